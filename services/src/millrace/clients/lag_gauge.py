"""The metric of a consumer's lag."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Gauge

from millrace.clients.progress import Partition


class LagGauge:
    """Records between a position and the end of each partition."""

    def __init__(self, name: str, text: str, registry: CollectorRegistry) -> None:
        self._gauge = Gauge(name, text, ["topic", "partition"], registry=registry)

    def show(self, progress: Mapping[Partition, tuple[int, int]]) -> None:
        """Set the lag of these partitions, from (position, end), and forget the others."""
        self._gauge.clear()
        for (topic, partition), (position, end) in progress.items():
            self._gauge.labels(topic, str(partition)).set(max(0, end - position))
