"""The consumer thread: polls, builds batches, and commits in order what has been acknowledged."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from contextlib import suppress
from typing import Any

import structlog

from millrace.config import Settings
from millrace.feeds.base import Feed
from millrace.processor import backoff
from millrace.processor.batch import Batch, Partition, Record
from millrace.processor.breaker import Breaker
from millrace.processor.derivation import Lane
from millrace.processor.errors import Permanent, Transient
from millrace.processor.metrics import Metrics
from millrace.processor.ports import Consumer, Store
from millrace.processor.recall import Interrupted, Recall
from millrace.progress import Progress

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.2
COMMIT_SECONDS = 0.1
LOOK_SECONDS = 5.0
TAKE_SECONDS = 10.0
"""After so long of asking what came before, what is complete is handed over."""
MOST_SERIES = 10_000
"""So many series, of all partitions, are known before those that were not used are forgotten."""
Polled = Mapping[Partition, Sequence[Record]]


class Loop:
    """Everything but writing. Nothing is committed that is not acknowledged, and nothing behind it.

    At most `processor_max_in_flight` batches are being written while the next one is built. When
    they do not get done, the partitions are paused and polling goes on, so that the group does not
    take the process for dead. A partition that is held through a change of the assignment goes on.
    When what came before a record cannot be asked for, it is read again, and all behind it.
    """

    def __init__(
        self,
        settings: Settings,
        feeds: Mapping[str, Feed[Any]],
        consumer: Consumer,
        store: Store,
        complete: Callable[[Batch], None],
        executor: Executor,
        *,
        metrics: Metrics,
        progress: Progress,
        beat: Callable[[], None],
        stop: threading.Event,
    ) -> None:
        """`feeds` by topic; `complete` writes a batch and returns when it is acknowledged."""
        self._settings = settings
        self._feeds = feeds
        self._consumer = consumer
        self._store = store
        self._complete = complete
        self._executor = executor
        self._metrics = metrics
        self._progress = progress
        self._beat = beat
        self._stop = stop
        self._breaker = Breaker(
            settings.processor_breaker_records, settings.processor_breaker_share
        )
        self._lanes: dict[Partition, Lane] = {}
        self._in_flight: deque[tuple[Batch, Future[None]]] = deque()
        self._event_ids: set[str] = set()
        self._ready: dict[Partition, int] = {}
        self._committed: dict[Partition, int] = {}
        self._holdings = consumer.holdings
        self._held = False
        self._starting_over = False
        self._submitted = 0
        self._take_until = 0.0
        self._committed_at = 0.0
        self._looked_at = 0.0
        self._failures = 0

    def run(self) -> None:
        """Work until told to stop; raise what only a person can put right.

        What is acknowledged is committed in either case.
        """
        self._progress.look({}, joined=False)
        try:
            while not self._stop.is_set():
                self._try_step()
        finally:
            self._finish()

    def _try_step(self) -> None:
        try:
            self.step()
            self._failures = 0
        except Transient as error:
            pause = backoff.seconds(self._failures, self._settings.processor_retry_seconds)
            log.warning("trying again", reason=str(error), seconds=pause)
            self._failures += 1
            self._stop.wait(pause)

    def step(self) -> None:
        """One turn: poll and follow up. It may end anywhere and go on with the next turn."""
        self._beat()
        self._settle()
        if self._must_wait():
            wait([self._in_flight[0][1]], timeout=POLL_SECONDS)
            self._settle()
        held = self._must_wait()
        self._hold(held)
        polled = self._consumer.poll(0.0 if held else POLL_SECONDS)
        if self._follow() or held:
            self._put_back(polled)  # the first of partitions that came, or came after the pause
        elif polled:
            self._take(polled)
        self._settle()
        self._commit_if_due()
        self._look_if_due()

    def _must_wait(self) -> bool:
        """Nothing may be taken now: enough is in flight, or all of it has to be stored first."""
        limit = 1 if self._starting_over else self._settings.processor_max_in_flight
        return len(self._in_flight) >= limit

    def _hold(self, needed: bool) -> None:
        """Keep the partitions, and take nothing while it is needed."""
        if needed:
            self._consumer.pause()
        elif self._held:
            self._consumer.resume()
        self._held = needed

    def _take(self, polled: Polled) -> None:
        self._starting_over = False
        self._take_until = time.monotonic() + TAKE_SECONDS
        batch = Batch(self._holdings)
        try:
            for partition, records in polled.items():
                lane = self._lane(partition)
                stored = self._stored_below(partition, records[0].offset)
                lane.take(records, batch, self._event_ids, stored)
        except (Transient, Interrupted) as error:
            self._progress.hear()
            self._put_back(polled, batch)
            if isinstance(error, Transient):
                raise
        finally:
            self._submit(batch)

    def _submit(self, batch: Batch) -> None:
        if not batch.consumed:
            return
        self._breaker.count(batch.consumed, len(batch.dead))
        self._event_ids |= batch.event_ids
        self._in_flight.append((batch, self._executor.submit(self._complete, batch)))
        self._submitted += 1

    def _lane(self, partition: Partition) -> Lane:
        lane = self._lanes.get(partition)
        if lane is None:
            feed = self._feeds[partition[0]]
            recall = Recall(feed, self._store, self._hear, self._turn)
            lane = Lane(feed, partition, self._settings.stock_alert_threshold, recall)
            self._lanes[partition] = lane
        settled = self._submitted - len(self._in_flight)
        lane.histories.age(MOST_SERIES // len(self._lanes), self._submitted, settled)
        return lane

    def _stored_below(self, partition: Partition, first: int) -> int:
        """The offset below which all of a partition is stored, `first` being the next to take."""
        batches = (batch.first for batch, _ in self._in_flight)
        return next((offsets[partition] for offsets in batches if partition in offsets), first)

    def _hear(self) -> None:
        """The database answers: that is life, and takes as long as it does, until told to stop."""
        self._progress.hear()
        self._beat()
        if self._stop.is_set():
            raise Interrupted

    def _turn(self) -> None:
        """Before one more question: there is other work too."""
        self._hear()
        if time.monotonic() > self._take_until:
            raise Interrupted

    def _follow(self) -> bool:
        """Whether the assignment changed: what is in flight of partitions that went is not ours.

        Of those that came, the first time or again, nothing is taken before all that is in flight
        is stored: their past comes from the database.
        """
        before, self._holdings = self._holdings, self._consumer.holdings
        if before == self._holdings:
            return False
        self._metrics.rebalances.inc()
        log.info("the assigned partitions changed", held=len(self._holdings))
        for partition, number in before.items():
            if self._holdings.get(partition) != number:
                for known in (self._lanes, self._ready, self._committed):
                    known.pop(partition, None)
        self._starting_over = True
        self._looked_at = 0.0
        return True

    def _put_back(self, polled: Polled, batch: Batch | None = None) -> None:
        """Read these records again, but those that are in the batch."""
        taken = batch.positions if batch else {}
        positions = {p: taken.get(p, records[0].offset) for p, records in polled.items()}
        ends = {p: records[-1].offset + 1 for p, records in polled.items()}
        self._consumer.seek({p: at for p, at in positions.items() if at != ends[p]})

    def _settle(self) -> None:
        """Take note of complete batches, oldest first; raise what stopped one."""
        while self._in_flight and self._in_flight[0][1].done():
            batch, future = self._in_flight[0]
            future.result()  # a batch that failed for good stays, and nothing passes it
            self._in_flight.popleft()
            self._event_ids -= batch.event_ids
            for partition, position in batch.positions.items():
                number = batch.holdings.get(partition)
                if number is not None and self._holdings.get(partition) == number:
                    self._ready[partition] = position
        self._metrics.in_flight.set(len(self._in_flight))

    def _commit_if_due(self) -> None:
        due = time.monotonic() - self._committed_at >= COMMIT_SECONDS
        if self._ready and due and self._consumer.joined:
            self._commit()

    def _commit(self) -> None:
        self._consumer.commit(self._ready)
        self._metrics.commits.inc()
        self._committed |= self._ready
        self._ready.clear()
        self._committed_at = time.monotonic()

    def _look_if_due(self) -> None:
        if time.monotonic() - self._looked_at >= LOOK_SECONDS:
            self._looked_at = time.monotonic()
            look = self._consumer.look()
            self._pass_empty_offsets(look.positions)
            lag = self._unstored(look.positions)
            self._progress.look(lag, look.unread, joined=self._consumer.joined)
            self._metrics.show_lag(lag)

    def _pass_empty_offsets(self, positions: Mapping[Partition, tuple[int, int]]) -> None:
        """Commit past offsets without a record too, such as the mark at a transaction's end."""
        busy = {partition for batch, _ in self._in_flight for partition in batch.positions}
        for partition, (position, _) in positions.items():
            known = max(self._committed.get(partition, 0), self._ready.get(partition, 0))
            if partition in self._holdings and partition not in busy and position > known:
                self._ready[partition] = position

    def _unstored(
        self, lag: Mapping[Partition, tuple[int, int]]
    ) -> Mapping[Partition, tuple[int, int]]:
        """The same, with the position of what is stored instead of what is read."""
        stored: dict[Partition, int] = {}
        for batch, _ in reversed(self._in_flight):
            stored |= batch.first
        return {
            p: (min(position, stored.get(p, position)), end) for p, (position, end) in lag.items()
        }

    def _finish(self) -> None:
        """Complete and commit what is in flight, within the budget for stopping."""
        deadline = time.monotonic() + self._settings.processor_stop_seconds
        with suppress(Permanent):
            while self._in_flight and (left := deadline - time.monotonic()) > 0:
                wait([self._in_flight[0][1]], timeout=left)
                self._settle()
        if self._ready:
            with suppress(Transient, Permanent):
                self._commit()
        if self._in_flight:
            unfinished = sum(batch.consumed for batch, _ in self._in_flight)
            log.warning("stopped before all was written", records_read_again=unfinished)
