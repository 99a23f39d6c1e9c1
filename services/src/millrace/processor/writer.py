"""Completes batches on writer threads: stores documents, publishes dead letters and alerts."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import structlog

from millrace.processor import backoff
from millrace.processor.batch import Batch, Inserted, Record
from millrace.processor.conflicts import between_documents
from millrace.processor.errors import Abandoned, BadRecord, Transient, Unknown
from millrace.processor.metrics import Metrics
from millrace.processor.ports import Publisher, Store
from millrace.processor.sinks.dead_letters import letter

log = structlog.get_logger(__name__)

ATTEMPTS = 3
"""Number of attempts after unknown errors."""
SAID_SECONDS = 60.0
"""Minimum time between log lines about clocks that are ahead."""
T = TypeVar("T")
Stored = Callable[[str, Sequence[dict[str, Any]], Inserted], None]


class Writer:
    """Retries each step of a batch until it succeeds, fails permanently or must stop."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        metrics: Metrics,
        *,
        dead_letters_topic: str,
        give_up: threading.Event,
        longest_wait: float,
        stored: Stored = lambda *_: None,
    ) -> None:
        """`stored` is called for every part that MongoDB has acknowledged; it must not block."""
        self._store = store
        self._publisher = publisher
        self._metrics = metrics
        self._dead_letters_topic = dead_letters_topic
        self._give_up = give_up
        self._longest_wait = longest_wait
        self._stored = stored
        self._last_answer = time.monotonic()
        self._said_ahead_at = -math.inf

    def silent(self) -> float:
        """Seconds since a server answered, even with an error: waiting for a server is progress."""
        return time.monotonic() - self._last_answer

    def complete(self, batch: Batch, is_wanted: Callable[[], bool]) -> None:
        """Return when the whole batch is acknowledged. Raises Permanent, Abandoned, Unknown.

        No document is inserted after the batch is no longer wanted. Stored documents raise their
        alerts.
        """
        with self._metrics.write_seconds.time():
            inserted = self._insert_all(batch, is_wanted)
            own, conflicts = self._compare(batch, inserted.duplicates)
        for index, reason in inserted.rejected.items():
            batch.dead.append((batch.records[index], BadRecord("TASK_PUT", reason)))
        raised = batch.alerts.keys() - inserted.rejected.keys() - (inserted.duplicates - own)
        alerts = [batch.alerts[index] for index in sorted(raised)]
        repeated = len(inserted.duplicates) + len(batch.conflicts) - len(conflicts)
        if conflicts:
            self._say_conflicts(conflicts)
        dead = [*batch.dead, *conflicts]
        if dead:
            letters = [letter(self._dead_letters_topic, *one, batch.log) for one in dead]
            self._until_done(partial(self._publisher.publish, letters))
        if alerts:
            self._until_done(partial(self._publisher.publish, alerts))
        self._metrics.account(
            consumed=batch.consumed,
            stored=inserted.stored,
            duplicates=batch.duplicates + repeated,
            dead=len(dead),
            alerts=len(alerts),
        )
        if batch.ahead:
            self._say_ahead(batch)

    def _insert_all(self, batch: Batch, is_wanted: Callable[[], bool]) -> Inserted:
        if not batch.documents:
            return Inserted(0)
        inserted = self._until_done(partial(self._insert, batch, is_wanted))
        self._stored(batch.feed.collection, batch.documents, inserted)
        return inserted

    def _insert(self, batch: Batch, is_wanted: Callable[[], bool]) -> Inserted:
        if not is_wanted():
            raise Abandoned
        return self._store.insert(batch.feed.collection, batch.documents)

    def _say_ahead(self, batch: Batch) -> None:
        """Log the clocks that are ahead, but not for every batch."""
        self._metrics.not_believed.inc(batch.not_believed)
        now = time.monotonic()
        if now - self._said_ahead_at >= SAID_SECONDS:
            self._said_ahead_at = now
            seconds = {name: round(by.total_seconds(), 1) for name, by in batch.ahead.items()}
            log.warning("a clock is ahead of Kafka's: its times are not believed", seconds=seconds)

    def _compare(
        self, batch: Batch, duplicates: frozenset[int]
    ) -> tuple[frozenset[int], list[tuple[Record, BadRecord]]]:
        """The duplicates stored from the same position, and those that conflict with stored ones.

        An event that is stored from another position has raised its own alert.
        """
        ids = [batch.documents[index]["_id"] for index in duplicates]
        ids += [made["_id"] for _, made, _ in batch.conflicts]
        if not ids:
            return frozenset(), []
        stored = self._until_done(partial(self._store.stored, batch.feed.collection, ids))
        compare = partial(between_documents, at_any_time=batch.feed.is_one_at_any_time)
        own: set[int] = set()
        conflicts: list[tuple[Record, BadRecord]] = []
        for index in sorted(duplicates):
            made = batch.documents[index]
            known = stored.get(made["_id"])
            if known is None:
                continue  # it was removed since
            if known["kafka"] == made["kafka"]:
                own.add(index)
            elif conflict := compare(known, made):
                conflicts.append((batch.records[index], conflict))
        for record, made, reason in batch.conflicts:
            # The event that it conflicts with may itself equal the stored one.
            known = stored.get(made["_id"])
            if found := compare(known, made) if known is not None else reason:
                conflicts.append((record, found))
        return frozenset(own), conflicts

    def _say_conflicts(self, conflicts: Sequence[tuple[Record, BadRecord]]) -> None:
        self._metrics.conflicts.inc(len(conflicts))
        record, reason = conflicts[0]
        place = f"{record.topic}/{record.partition}/{record.offset}"
        log.warning(
            "events are not stored: dead letters",
            records=len(conflicts),
            first=place,
            reason=str(reason),
        )

    def _until_done(self, step: Callable[[], T]) -> T:
        attempt = 0
        while True:
            try:
                result = step()
            except (Transient, Unknown) as error:
                if isinstance(error, Unknown) and attempt + 1 >= ATTEMPTS:
                    raise
                self._metrics.retries.inc()
                wait = backoff.seconds(attempt, self._longest_wait)
                log.warning("trying again", reason=str(error), attempt=attempt, seconds=wait)
                attempt += 1
            else:
                self._last_answer = time.monotonic()
                return result
            self._last_answer = time.monotonic()
            if self._give_up.wait(wait):
                raise Abandoned
