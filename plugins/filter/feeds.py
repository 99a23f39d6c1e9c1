# SPDX-License-Identifier: Apache-2.0
"""Filters of the inventories: the topics, access rules and collections that feeds need.

A feed's own file in services/src/millrace/feeds names its topic and its collection; these filters
derive what each service may do with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

# A record has the time at which a broker took it, so that neither retention nor the check of event
# times depends on a sender's clock.
BY_KAFKA_S_CLOCK = {"message.timestamp.type": "LogAppendTime"}
# What each service does with the topic of events, and with the topic of derived alerts.
ON_EVENTS = {
    "producer": ("write",),
    "processor": ("read",),
    # The API shows the lag and forwards clients' events: it can read offsets, but no events.
    "api": ("describe", "write"),
    # The operator reads everything and can replay a dead letter to its topic.
    "operator": ("read", "write"),
    "archiver": ("read",),
}
ON_ALERTS = {"processor": ("write",), "operator": ("read",)}
# The processor creates its indexes, reads its history and inserts. It can neither update nor drop.
ON_DOCUMENTS = ("find", "insert", "createIndex", "listIndexes")
# It also updates reference collections to match the services' data.
ON_REFERENCES = (*ON_DOCUMENTS, "update")
# It stores once which log of a topic was the first.
LOGS = "logs"
ON_LOGS = ("find", "insert")


def known() -> Mapping[str, Any]:
    """Return all feeds by name."""
    from millrace.feeds import FEEDS

    return FEEDS


def found(names: Sequence[str]) -> list[Any]:
    """Return the feeds of these names."""
    if missing := sorted(set(names) - known().keys()):
        raise AnsibleFilterError(
            f"millrace_feeds: no such feed: {', '.join(missing)} (known: {', '.join(known())})"
        )
    return [known()[name] for name in names]


def feed_problems(names: Sequence[str], producers: Iterable[Mapping[str, Any]]) -> list[str]:
    """Report producers that publish to a feed that is not in `millrace_feeds`."""
    unread = [producer["name"] for producer in producers if producer["feed"] not in names]
    if not unread:
        return []
    return [
        f"millrace_producers: {', '.join(unread)} would publish to a feed that is not in"
        f" millrace_feeds ({', '.join(names)}): add the feed, or remove the producer"
    ]


def feed_topics(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the topics in the form of `kafka_topics`."""
    feeds = found(names)
    topics = {feed.topic: feed.partitions for feed in feeds}
    topics |= {feed.alert_topic: 1 for feed in feeds if feed.alert_topic}
    return [
        {"name": name, "partitions": partitions, "config": dict(BY_KAFKA_S_CLOCK)}
        for name, partitions in topics.items()
    ]


def rules(topic: str, services: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    """Return an access rule for each operation of a service on a topic."""
    for service, operations in services.items():
        for operation in operations:
            yield {
                "principal": f"User:{service}",
                "resource_type": "topic",
                "resource_name": topic,
                "pattern": "literal",
                "operation": operation,
            }


def feed_acls(names: Sequence[str]) -> list[dict[str, str]]:
    """Return the access rules in the form of `kafka_acls`."""
    feeds = found(names)
    events = [rule for feed in feeds for rule in rules(feed.topic, ON_EVENTS)]
    alerts = [rule for f in feeds if f.alert_topic for rule in rules(f.alert_topic, ON_ALERTS)]
    return events + alerts


def feed_privileges(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the processor's privileges in the form of `mongodb_roles`."""
    feeds = found(names)
    actions = {feed.collection: ON_DOCUMENTS for feed in feeds}
    actions |= {feed.reference.collection: ON_REFERENCES for feed in feeds if feed.reference}
    actions[LOGS] = ON_LOGS
    return [{"collection": name, "actions": [*allowed]} for name, allowed in actions.items()]


def feeds_cached(names: Sequence[str]) -> list[str]:
    """Return the feeds whose latest events Redis keeps."""
    return [feed.name for feed in found(names) if feed.is_cached]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {
            "feed_topics": feed_topics,
            "feed_acls": feed_acls,
            "feed_privileges": feed_privileges,
            "feed_problems": feed_problems,
            "feeds_cached": feeds_cached,
        }
