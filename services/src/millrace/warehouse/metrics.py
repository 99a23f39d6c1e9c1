"""All metrics of the process that builds the warehouse again and again."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from millrace.warehouse.contents import Built, Contents

PREFIX = "millrace_warehouse_"


class Metrics:
    """What the last build was like, and what readers find."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(PREFIX + name, text, labels, registry=self.registry)

        self.builds = Counter(PREFIX + "builds", "Builds.", registry=self.registry)
        self.failures = Counter(PREFIX + "failures", "Builds that failed.", registry=self.registry)
        self.built = gauge("built_seconds", "When the last build began, since 1970.")
        self.bytes = gauge("bytes", "Size of the database.")
        self.new_events = gauge("new_events", "Events that the last build added.")
        self.took = gauge("build_seconds", "Time that the last build took.")
        self.memory = gauge("build_memory_bytes", "Memory that the last build took.")
        self.events = gauge("events", "Events that the database has.", "feed")
        self.newest = gauge(
            "newest_event_seconds", "When the last of these events arrived, since 1970.", "feed"
        )

    def show(self, contents: Contents) -> None:
        """Set what readers find."""
        self.built.set(contents.built_at.timestamp())
        if contents.bytes is not None:
            self.bytes.set(contents.bytes)
        self.new_events.set(contents.new_events)
        for feed, found in contents.feeds.items():
            self.events.labels(feed).set(found.events)
            if found.newest:
                self.newest.labels(feed).set(found.newest.timestamp())

    def succeed(self, built: Built) -> None:
        """Count a build."""
        self.builds.inc()
        self.took.set(built.seconds)
        self.memory.set(built.memory_bytes)
        self.show(built.contents)

    def fail(self) -> None:
        """Count a build that failed."""
        self.builds.inc()
        self.failures.inc()
