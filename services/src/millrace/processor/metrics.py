"""All metrics of the processor. Always: consumed = stored + duplicates + dead letters."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from millrace.clients.lag_gauge import LagGauge
from millrace.processor.batch import Partition


class Metrics:
    """Counters are updated when a batch is complete, gauges in each turn of the loop."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        prefix = "millrace_processor_"

        def counter(name: str, text: str) -> Counter:
            return Counter(prefix + name, text, registry=self.registry)

        self.consumed = counter("records_consumed", "Records that were processed.")
        self.stored = counter("documents_stored", "Documents that were new.")
        self.duplicates = counter("duplicates", "Events that were stored before.")
        self.dead = counter("dead_letters", "Records that became dead letters.")
        self.not_believed = counter(
            "times_not_believed", "Events that are dated by Kafka's clock: theirs was ahead."
        )
        self.conflicts = counter(
            "conflicts", "Dead letters of events whose id is stored with other content."
        )
        self.alerts = counter("alerts", "Alerts that were published.")
        self.retries = counter("retries", "Attempts that failed and were made again.")
        self.rebalances = counter("rebalances", "Changes of the assigned partitions.")
        self.new_logs = counter(
            "new_logs", "Topics that were found made again: they are read from their start."
        )
        self.commits = counter("commits", "Commits of offsets.")
        self.cache_writes = counter("cache_writes", "Latest values that were written to Redis.")
        self.cache_refused = counter(
            "cache_refused", "Values that were not written: one as new was there."
        )
        self.cache_failures = counter("cache_failures", "Attempts to write to Redis that failed.")
        self.cache_up = Gauge(
            prefix + "cache_up",
            "Whether Redis has all latest values; 0 where there is no Redis.",
            registry=self.registry,
        )
        self.in_flight = Gauge(
            prefix + "batches_in_flight", "Batches not yet complete.", registry=self.registry
        )
        self.lag = LagGauge(
            prefix + "lag_records",
            "Records between the position and the end of a partition.",
            self.registry,
        )
        self.standing = Gauge(
            prefix + "standing",
            "Partitions that stand still at an offset, alone.",
            ["topic", "partition"],
            registry=self.registry,
        )
        self.write_seconds = Histogram(
            prefix + "write_seconds",
            "Time until MongoDB acknowledged a batch.",
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30),
            registry=self.registry,
        )

    def account(
        self, *, consumed: int, stored: int, duplicates: int, dead: int, alerts: int
    ) -> None:
        """Count a complete batch."""
        self.consumed.inc(consumed)
        self.stored.inc(stored)
        self.duplicates.inc(duplicates)
        self.dead.inc(dead)
        self.alerts.inc(alerts)

    def show_standing(self, partitions: Iterable[Partition]) -> None:
        """Set the standing partitions."""
        self.standing.clear()
        for topic, partition in partitions:
            self.standing.labels(topic, str(partition)).set(1)
