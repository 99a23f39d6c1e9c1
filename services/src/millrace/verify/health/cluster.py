"""`millrace verify kafka`: all brokers answer, all topics exist with all replicas in sync."""

from collections.abc import Mapping, Sequence
from typing import Any

from millrace.clients import kafka
from millrace.config import Settings
from millrace.feeds import FEEDS
from millrace.verify import checks
from millrace.verify.checks import Check, PartReport

NONE = -1
"""The leader id of a partition without a leader."""


def verify(settings: Settings) -> PartReport:
    """Check the certificate of every broker, and the topics on one of them."""
    servers = [server.strip() for server in settings.kafka_bootstrap_servers.split(",")]
    found = [
        check
        for server in servers
        for check in checks.reached(server, settings.kafka_ca_file, "TLS port answers")
    ]
    wanted = topics(settings)

    def ask() -> list[Check]:
        with kafka.asking(settings) as client:
            described = client.describe_topics(sorted(wanted))
        return compare(wanted, described, settings.verify_replication_factor)

    return checks.report("Kafka", found + checks.attempt("topics", "described", ask))


def topics(settings: Settings) -> dict[str, int]:
    """The minimum number of partitions of each topic: an operator may add some."""
    feeds = [FEEDS[name] for name in settings.feeds]
    return {
        **{feed.topic: feed.partitions for feed in feeds},
        **{feed.alert_topic: 1 for feed in feeds if feed.alert_topic},
        settings.dead_letters_topic: 1,
    }


def compare(
    wanted: Mapping[str, int], described: Sequence[Mapping[str, Any]], replication_factor: int
) -> list[Check]:
    """Compare topics, as the admin client describes them, with the expected ones."""
    found = {topic["name"]: topic["partitions"] for topic in described if topic["partitions"]}
    return [
        check
        for name, count in wanted.items()
        for check in _topic(name, count, found.get(name, []), replication_factor)
    ]


def _topic(
    name: str, count: int, partitions: Sequence[Mapping[str, Any]], replication_factor: int
) -> list[Check]:
    if not partitions:
        return [Check(name, "exists", "there is no such topic, or no right to see it", ok=False)]
    copies = sorted({len(partition["replica_nodes"]) for partition in partitions})
    leaderless = [p["partition_index"] for p in partitions if p["leader_id"] == NONE]
    behind = [
        p["partition_index"] for p in partitions if len(p["isr_nodes"]) < len(p["replica_nodes"])
    ]
    return [
        Check(name, f"partitions, {count} or more", str(len(partitions)), len(partitions) >= count),
        Check(
            name,
            f"{replication_factor} replicas",
            " or ".join(map(str, copies)),
            copies == [replication_factor],
        ),
        Check(name, "leaders", _numbers(leaderless, "none for"), not leaderless),
        Check(name, "in-sync sets full", _numbers(behind, "not full:"), not behind),
    ]


def _numbers(partitions: Sequence[int], problem: str) -> str:
    if not partitions:
        return "all"
    return f"{problem} {', '.join(str(number) for number in sorted(partitions))}"
