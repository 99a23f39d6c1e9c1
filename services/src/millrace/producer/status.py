"""The status of a producer: /status for people, /metrics for Prometheus."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX = "millrace_producer_"
OUTCOMES = ("success", "transient", "quota", "permanent", "auth")
KEY_REFUSED = "key refused"


class Status(msgspec.Struct):
    """The state of a producer. The polling thread writes it, and others read it."""

    name: str
    source: str
    feed: str
    simulated: bool
    symbols: list[str] = []
    """The symbols to poll or to replay; empty: all that the source knows."""
    state: str = "connecting to Kafka"
    paused: bool = False
    timing: str = ""
    rate_per_second: float | None = None
    commands: int = 0
    """Number of an operator's commands that were applied."""
    published: int = 0
    unchanged: int = 0
    rejected: int = 0
    delivery_failures: int = 0
    polls: dict[str, int] = msgspec.field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    last_poll: datetime | None = None
    last_success: datetime | None = None
    next_poll: datetime | None = None
    quota_left: int | None = None
    last_error: str | None = None
    clock_ahead_seconds: float = 0.0
    """The minimum by which this host's clock is ahead of Kafka's; negative: behind."""

    def page(self) -> Mapping[str, Any]:
        """The content of /status."""
        page: dict[str, Any] = msgspec.to_builtins(self)
        errors = sum(self.polls.values()) - self.polls["success"]
        return page | {"state": "paused" if self.paused else self.state, "errors": errors}

    def refusal(self) -> str | None:
        """Why the producer cannot work until a person acts, or None."""
        refused = self.state == KEY_REFUSED and not self.paused
        return self.last_error if refused else None


class _Collector(Collector):
    def __init__(self, status: Status) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        status = self._status
        for name, help_text in (
            ("published", "Events acknowledged by Kafka"),
            ("unchanged", "Observations that were the same as at the poll before"),
            ("rejected", "Observations that were not believed"),
            ("delivery_failures", "Attempts to publish that Kafka did not acknowledge"),
        ):
            yield CounterMetricFamily(PREFIX + name, help_text, getattr(status, name))
        polls = CounterMetricFamily(PREFIX + "polls", "Polls by outcome", labels=["outcome"])
        for outcome, count in status.polls.items():
            polls.add_metric([outcome], count)
        yield polls
        yield GaugeMetricFamily(
            PREFIX + "simulated", "1 if prices are invented", float(status.simulated)
        )
        yield GaugeMetricFamily(PREFIX + "paused", "1 if told to pause", float(status.paused))
        yield GaugeMetricFamily(
            PREFIX + "clock_ahead_seconds",
            "How far the clock is ahead of Kafka's at least; negative: behind",
            status.clock_ahead_seconds,
        )
        if status.quota_left is not None:
            yield GaugeMetricFamily(
                PREFIX + "quota_left", "Requests left in this period", status.quota_left
            )
        for name, when in (
            ("last poll", status.last_poll),
            ("last success", status.last_success),
            ("next poll", status.next_poll),
        ):
            if when:
                yield GaugeMetricFamily(
                    f"{PREFIX}{name.replace(' ', '_')}_timestamp_seconds",
                    f"Time of the {name}",
                    when.timestamp(),
                )


def registry(status: Status) -> CollectorRegistry:
    """The Prometheus metrics that mirror a status."""
    metrics = CollectorRegistry()
    metrics.register(_Collector(status))
    return metrics
