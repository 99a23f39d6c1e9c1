"""All metrics of the archiver. Always: consumed = archived + bad + in memory."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from millrace.clients.lag_gauge import LagGauge

PREFIX = "millrace_archiver_"


class Metrics:
    """Counters and gauges, most of them per feed."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str) -> Counter:
            return Counter(PREFIX + name, text, ["feed"], registry=self.registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(PREFIX + name, text, ["feed"], registry=self.registry)

        self.consumed = counter("records_consumed", "Records that were read, also if read again.")
        self.bad = counter("bad_records", "Records that are no event of their feed.")
        self.lost = counter(
            "offsets_lost", "Offsets that retention removed before they were archived."
        )
        self.rows = counter("rows", "Rows that were committed.")
        self.bytes = counter("bytes", "Bytes of the files that were committed.")
        self.commits = counter("commits", "Commits of rows with their offsets.")
        self.failures = counter("failures", "Attempts to write that failed.")
        self.combined = counter("files_combined", "Files that maintenance combined with others.")
        self.expired = counter("snapshots_expired", "Snapshots that maintenance dropped.")
        self.removed = counter("files_removed", "Files without a snapshot that were removed.")
        self.periods_failed = counter(
            "periods_failed", "Periods whose files could not be combined, in each maintenance."
        )
        self.maintained = gauge("maintained_seconds", "When it was maintained, since 1970.")
        self.waiting_rows = gauge("waiting_rows", "Rows in memory.")
        self.waiting_bytes = gauge("waiting_bytes", "Memory of these rows, about.")
        self.oldest_seconds = gauge(
            "oldest_unflushed_seconds", "Time since the oldest of these rows was read."
        )
        self.lag = LagGauge(
            PREFIX + "lag_records",
            "Records between what was read and the end of a partition.",
            self.registry,
        )
        self.flush_seconds = Histogram(
            PREFIX + "flush_seconds",
            "Time to write and commit a feed's rows.",
            buckets=(0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120),
            registry=self.registry,
        )
