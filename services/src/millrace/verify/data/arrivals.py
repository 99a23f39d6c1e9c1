"""`millrace verify workflow`: new events flow from the producers into the database.

It counts documents, waits for the producers' next events, and follows each of them: every event
published since must be stored or a dead letter. Every producer has to answer, and those that poll
often have to publish.
"""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
from pymongo.database import Database

from millrace.clients import mongodb, topic_ids
from millrace.clients.services import Peer, ask
from millrace.config import Settings
from millrace.feeds import FEEDS, Feed
from millrace.processor.decode import decoder
from millrace.processor.errors import BadRecord
from millrace.runtime.chunks import chunks
from millrace.runtime.retry import wait_for
from millrace.verify.data.compare import Letters, Partition, RecordPosition
from millrace.verify.data.log import Log
from millrace.verify.data.stored import wait_for_group

POLL_SECONDS = 0.5
AT_ONCE = 1000
"""Number of events per query, whose size is limited."""
LIMIT_MILLISECONDS = 25_000
SETTLE_SECONDS = 5.0
"""How long to continue after the first events, because those of other producers may follow."""
OFTEN_SECONDS = 10.0
"""Producers with at most this interval are waited for."""


class Flow(msgspec.Struct, frozen=True):
    """The results of a feed's events that were published meanwhile."""

    published: int
    stored: int
    repeated: int
    dead_letters: int
    documents_before: int
    documents_after: int

    @property
    def is_complete(self) -> bool:
        """Whether every record has a result, and the collection has grown by the new ones."""
        known = self.stored + self.repeated + self.dead_letters
        grown = self.documents_after - self.documents_before
        return self.published == known and grown >= self.stored


class WorkflowReport(msgspec.Struct, frozen=True):
    """All feeds; `silent` has a possible reason for each producer without events."""

    ok: bool
    waited_seconds: float
    feeds: dict[str, Flow]
    silent: list[str]


def verify(settings: Settings, seconds: float) -> WorkflowReport:
    """Wait up to `seconds` for new events, then until they are processed, and follow them."""
    start = time.monotonic()
    feeds = {name: FEEDS[name] for name in settings.feeds}
    with ExitStack() as stack:
        client = stack.enter_context(mongodb.client(settings))
        database = client[settings.mongodb_database]
        log = stack.enter_context(Log(settings, partial(topic_ids.name, database)))
        mongodb.check(client)
        # Count before reading the log: what is published later is stored later.
        before = {name: _count(database, feed) for name, feed in feeds.items()}
        first = log.partitions([feed.topic for feed in feeds.values()])
        sources = _Producers(settings, list(feeds))
        last = _wait_for_events(log, first, sources, start + seconds)
        wait_for_group(settings, last)
        waited = time.monotonic() - start
        news = between(first, last)
        letters = log.letters(settings.dead_letters_topic) if news else {}
        flows = {
            name: follow(
                feed,
                (
                    (part.place(record.offset), record)
                    for part in news
                    if part.topic == feed.topic
                    for record in log.read(part)
                ),
                database,
                letters,
                before[name],
            )
            for name, feed in feeds.items()
        }
    silent = sources.silent(_came(news))
    return WorkflowReport(
        ok=bool(news) and not silent and all(flow.is_complete for flow in flows.values()),
        waited_seconds=round(waited, 1),
        feeds=flows,
        silent=silent,
    )


class _Producers:
    """The producers' states at the beginning and now."""

    def __init__(self, settings: Settings, feeds: Sequence[str]) -> None:
        self._settings = settings
        self._hosts = settings.status_hosts[1:]
        self._feeds = feeds
        self._before = self._look()

    def _look(self) -> list[Peer]:
        return [ask(self._settings, host) for host in self._hosts]

    def awaited(self, came: set[str]) -> list[Peer]:
        """The producers whose feed must have events and has none, with their current states."""
        if not any(_owes(peer, self._feeds, came) for peer in self._before):
            return []
        return [
            now
            for then, now in zip(self._before, self._look(), strict=True)
            if _owes(then, self._feeds, came) and not has_nothing_new(then, now)
        ]

    def silent(self, came: set[str]) -> list[str]:
        """Producers that do not answer or lack events, with reasons; all if nothing came."""
        late = [peer.host for peer in self.awaited(came)]
        now = self._look()
        wrong = [peer for peer in now if not (came and peer.ready) or peer.host in late]
        return producers(wrong) if wrong or not came else []


def _owes(peer: Peer, feeds: Sequence[str], came: set[str]) -> bool:
    return polls_often(peer) and peer.says["feed"] in feeds and peer.says["feed"] not in came


def polls_often(peer: Peer) -> bool:
    """Whether a producer polls often; false if it is paused or has finished."""
    every = re.fullmatch(r"every (\S+) s", str(peer.says.get("timing", "")))
    rests = peer.says.get("state") in ("paused", "finished")
    return peer.ready and not rests and bool(every and float(every[1]) <= OFTEN_SECONDS)


def has_nothing_new(then: Peer, now: Peer) -> bool:
    """Whether a producer has polled successfully since, without anything to publish."""
    if not (then.ready and now.ready):
        return False
    polled = now.says["polls"]["success"] > then.says["polls"]["success"]
    return bool(polled and now.says["published"] == then.says["published"])


def _came(news: Iterable[Partition]) -> set[str]:
    topics = {feed.topic: name for name, feed in FEEDS.items()}
    return {topics[part.topic] for part in news}


def _count(database: Database[dict[str, Any]], feed: Feed[Any]) -> int:
    return database[feed.collection].estimated_document_count()


def _wait_for_events(
    log: Log, first: Sequence[Partition], sources: _Producers, deadline: float
) -> list[Partition]:
    """The partitions when all expected events have arrived, or when the time is over."""
    topics = sorted({partition.topic for partition in first})

    def all_came() -> bool:
        came = _came(between(first, log.partitions(topics)))
        return bool(came) and not sources.awaited(came)

    if wait_for(all_came, bool, deadline - time.monotonic(), POLL_SECONDS):
        time.sleep(SETTLE_SECONDS)
    return log.partitions(topics)


def between(first: Sequence[Partition], last: Sequence[Partition]) -> list[Partition]:
    """The parts of partitions that were written between two states."""
    ends = {part.place(0): part.end for part in first}
    parts = [replace(part, start=ends.get(part.place(0), 0)) for part in last]
    return [part for part in parts if part.end > part.start]


def follow(
    feed: Feed[Any],
    records: Iterable[tuple[RecordPosition, Any]],
    database: Database[dict[str, Any]],
    letters: Letters,
    documents_before: int,
) -> Flow:
    """Find the result of each record by its position. Records are those of a consumer."""
    decode = decoder(feed)
    collection = database[feed.collection]
    dead = published = stored = found = 0
    for some in chunks(records, AT_ONCE):
        published += len(some)
        places: dict[RecordPosition, str] = {}
        for place, record in some:
            if place in letters:
                dead += 1
                continue
            with suppress(BadRecord):
                places[place] = decode(record.value).event_id
        ids = {"_id": {"$in": sorted({*places.values()})}}
        documents = {
            document["_id"]: document["kafka"]
            for document in collection.find(ids, {"kafka": 1}, max_time_ms=LIMIT_MILLISECONDS)
        }
        stored += sum(_is_at(documents.get(event_id), place) for place, event_id in places.items())
        found += sum(event_id in documents for event_id in places.values())
    after = _count(database, feed)
    return Flow(published, stored, found - stored, dead, documents_before, after)


def _is_at(position: Mapping[str, Any] | None, place: RecordPosition) -> bool:
    return position is not None and place == RecordPosition(**position)


def producers(peers: Iterable[Peer]) -> list[str]:
    """One line per producer, with what may explain the lack of events."""
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
