"""`millrace verify workflow`: new events flow from the producers into the database.

Counts what there is, waits for the producers' next events, and follows each of them: what was
published since is stored or a dead letter, and nothing is left behind.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from pymongo.database import Database

from millrace import mongo
from millrace.config import Settings
from millrace.feeds import FEEDS, Feed
from millrace.peers import Peer, ask
from millrace.processor.decode import decoder
from millrace.processor.errors import BadRecord
from millrace.verify.compare import Letters, Partition
from millrace.verify.log import Log
from millrace.verify.stored import wait_for_group

POLL_SECONDS = 0.5
SETTLE_SECONDS = 5.0
"""How long to go on after the first event: that of other producers may be under way."""


class Flow(msgspec.Struct, frozen=True):
    """What became of the events of a feed that were published meanwhile."""

    published: int
    stored: int
    repeated: int
    dead_letters: int
    documents_before: int
    documents_after: int

    @property
    def is_complete(self) -> bool:
        """Every record is accounted for, and the collection has grown by what is new."""
        known = self.stored + self.repeated + self.dead_letters
        grown = self.documents_after - self.documents_before
        return self.published == known and grown >= self.stored


class WorkflowReport(msgspec.Struct, frozen=True):
    """All feeds; `silent` says of each producer why nothing may have come, if nothing came."""

    ok: bool
    waited_seconds: float
    feeds: dict[str, Flow]
    silent: list[str]


def verify(settings: Settings, seconds: float) -> WorkflowReport:
    """Wait up to `seconds` for new events, then until they are processed, and follow them."""
    start = time.monotonic()
    feeds = {name: FEEDS[name] for name in settings.feeds}
    with mongo.client(settings) as client, Log(settings) as log:
        mongo.check(client)
        database = client[settings.mongodb_database]
        # Counted before the log is looked at: what is published later is stored later.
        before = {name: _count(database, feed) for name, feed in feeds.items()}
        first = log.partitions([feed.topic for feed in feeds.values()])
        last = _wait_for_events(log, first, start + seconds)
        wait_for_group(settings, last)
        waited = time.monotonic() - start
        news = between(first, last)
        letters = log.letters(settings.dead_letters_topic) if news else {}
        flows = {
            name: follow(
                feed,
                (record for part in news if part.topic == feed.topic for record in log.read(part)),
                database,
                letters,
                before[name],
            )
            for name, feed in feeds.items()
        }
    silent = [] if news else producers(ask(settings, host) for host in settings.status_hosts[1:])
    return WorkflowReport(
        ok=bool(news) and all(flow.is_complete for flow in flows.values()),
        waited_seconds=round(waited, 1),
        feeds=flows,
        silent=silent,
    )


def _count(database: Database[dict[str, Any]], feed: Feed[Any]) -> int:
    return database[feed.collection].estimated_document_count()


def _wait_for_events(log: Log, first: Sequence[Partition], deadline: float) -> list[Partition]:
    """The partitions as they are when something was published, or when the time is over."""
    topics = sorted({partition.topic for partition in first})
    while time.monotonic() < deadline:
        if between(first, log.partitions(topics)):
            time.sleep(SETTLE_SECONDS)
            break
        time.sleep(POLL_SECONDS)
    return log.partitions(topics)


def between(first: Sequence[Partition], last: Sequence[Partition]) -> list[Partition]:
    """The parts of partitions that were written between two looks."""
    ends = {(part.topic, part.number): part.end for part in first}
    parts = [
        Partition(part.topic, part.number, ends.get((part.topic, part.number), 0), part.end)
        for part in last
    ]
    return [part for part in parts if part.end > part.start]


def follow(
    feed: Feed[Any],
    records: Iterable[Any],
    database: Database[dict[str, Any]],
    letters: Letters,
    documents_before: int,
) -> Flow:
    """Find what became of each record. Records are what a consumer gives."""
    decode = decoder(feed)
    places: dict[tuple[int, int], str] = {}
    dead = published = 0
    for record in records:
        published += 1
        place = Partition(feed.topic, record.partition, 0, 0).place(record.offset)
        if place in letters:
            dead += 1
            continue
        with suppress(BadRecord):
            places[record.partition, record.offset] = decode(record.value).event_id
    ids = sorted({*places.values()})
    documents = {
        document["_id"]: document["kafka"]
        for document in database[feed.collection].find({"_id": {"$in": ids}}, {"kafka": 1})
    }
    stored = sum(_is_at(documents.get(event_id), place) for place, event_id in places.items())
    found = sum(event_id in documents for event_id in places.values())
    after = _count(database, feed)
    return Flow(published, stored, found - stored, dead, documents_before, after)


def _is_at(position: Mapping[str, Any] | None, place: tuple[int, int]) -> bool:
    return position is not None and (position["partition"], position["offset"]) == place


def producers(peers: Iterable[Peer]) -> list[str]:
    """One line a producer: what it says that may explain its silence."""
    lines = []
    for peer in peers:
        words = (
            ("state", "{}"),
            ("last_error", "last error: {}"),
            ("problem", "{}"),
            ("next_poll", "next poll {}"),
        )
        said = [text.format(peer.says[name]) for name, text in words if peer.says.get(name)]
        lines.append(f"{peer.host}: {', '.join(said) or 'no word why'}")
    return lines or ["there is no producer"]
