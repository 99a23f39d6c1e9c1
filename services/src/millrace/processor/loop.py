"""The consumer thread: polls, builds batches, and commits acknowledged ones in order."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import suppress
from functools import partial
from typing import Any

import structlog

from millrace.clients.progress import Progress
from millrace.clients.records import Unreadable
from millrace.config import Settings
from millrace.feeds.base import Feed
from millrace.processor import backoff
from millrace.processor.batch import Batch, Partition, Record, Unread
from millrace.processor.breaker import Breaker, Tally
from millrace.processor.commands import Commands, skip
from millrace.processor.derivation import Derivation
from millrace.processor.errors import Abandoned, Permanent, Stuck, Transient, Unknown
from millrace.processor.flight import InFlight
from millrace.processor.metrics import Metrics
from millrace.processor.pace import Interrupted, Pace
from millrace.processor.ports import Consumer, Store
from millrace.processor.recall import Recall
from millrace.processor.standing import Standing

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.2
COMMIT_SECONDS = 0.1
LOOK_SECONDS = 5.0
MOST_SERIES = 10_000
"""Number of series, of all partitions, that are kept before unused ones are dropped."""
Polled = Mapping[Partition, Sequence[Record]]


class Loop:
    """Everything except writing. An offset is committed only if everything before is acknowledged.

    At most `processor_max_in_flight` batches are being written while the next one is built. While
    these are incomplete, the partitions are paused and polling continues, so that the group does
    not consider the process dead. A partition that is kept in a rebalance is not interrupted. If
    the history for a record cannot be read, the record and all later ones are read again.
    """

    def __init__(
        self,
        settings: Settings,
        feeds: Mapping[str, Feed[Any]],
        consumer: Consumer,
        store: Store,
        complete: Callable[[Batch, Callable[[], bool]], None],
        executor: Executor,
        *,
        metrics: Metrics,
        progress: Progress,
        beat: Callable[[], None],
        stop: threading.Event,
        standing: Standing,
    ) -> None:
        """`feeds` by topic; `complete` writes a batch and returns when it is acknowledged.

        It checks whether the batch is still wanted, and raises Abandoned if not.
        """
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
        self._pace = Pace(progress, beat, stop)
        self._standing = standing
        self._breakers = {
            topic: Breaker(settings.processor_breaker_records, settings.processor_breaker_share)
            for topic in feeds
        }
        self._commands = Commands(
            consumer, self._standing, lambda topic: self._breakers[topic].restore(Tally())
        )
        self._tallies: dict[str, Tally] = {}
        self._logs: dict[str, tuple[str | None, str]] = {}
        self._recalled: Mapping[Partition, int] = {}
        self._derivations: dict[Partition, Derivation] = {}
        self._in_flight = InFlight(settings.processor_max_in_flight)
        self._ready: dict[Partition, int] = {}
        self._committed: dict[Partition, int] = {}
        self._holdings = consumer.holdings
        self._held = False
        self._starting_over: set[str] = set()
        self._committed_at = 0.0
        self._looked_at = 0.0
        self._failures = 0
        self._rests = backoff.Rests(settings.processor_retry_seconds)

    def run(self) -> None:
        """Work until told to stop; raise errors that only a person can correct.

        Acknowledged batches are committed in either case.
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
            self._failures, self._progress.trouble = 0, None
        except (Transient, Unknown) as error:
            if isinstance(error, Unknown):
                self._progress.trouble = str(error)
            pause = backoff.seconds(self._failures, self._settings.processor_retry_seconds)
            log.warning("trying again", reason=str(error), seconds=pause)
            self._failures += 1
            self._stop.wait(pause)

    def step(self) -> None:
        """One turn: poll and follow up. After an error anywhere in it, the next turn continues."""
        self._beat()
        self._settle()
        # A retry waits for all batches of its topic, which other partitions would keep busy for
        # ever.
        self._starting_over |= {topic for topic, _ in self._standing.due()}
        if self._in_flight.full(self._starting_over):
            wait(self._in_flight.heads(), timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            self._settle()
        full = self._in_flight.full(self._starting_over)
        self._commands.try_again(self._in_flight.topics())
        held = self._standing.held()
        closed = full | self._rests.at(time.monotonic())
        if closed or held or self._held:
            self._consumer.hold(closed, held)
        self._held = bool(closed or held)
        if self._recalled != self._holdings:
            self._recall()
        polled = self._poll(0.0 if full else POLL_SECONDS)
        if self._follow():
            self._put_back(polled)  # the first records of new partitions
        else:
            kept = {p: r for p, r in polled.items() if p in held or p[0] in closed}
            self._put_back(kept)  # they arrived after the pause
            self._take({p: r for p, r in polled.items() if p not in kept})
        self._settle()
        self._commit_if_due()
        self._look_if_due()

    def _poll(self, seconds: float) -> Polled:
        try:
            return self._consumer.poll(seconds)
        except Stuck as error:
            if self._commands.skips(error.partition, error.offset) is None:
                self._standing.stand(error.partition, error.offset, str(error))
                return {}
            self._consumer.seek({error.partition: error.offset + 1})
            nothing = Unreadable.because(str(error), b"")
            return {error.partition: [Unread(*error.partition, error.offset, nothing)]}

    def _take(self, polled: Polled) -> None:
        """Process each feed separately: only a feed whose history cannot be read rests."""
        topics: dict[str, dict[Partition, Sequence[Record]]] = {}
        for partition, records in polled.items():
            topics.setdefault(partition[0], {})[partition] = records
        self._pace.begin()
        for topic, own in topics.items():
            failure = None
            for part, is_commanded in zip(self._commands.apart(own), (False, True), strict=True):
                try:
                    self._take_feed(topic, part, is_commanded=is_commanded)
                except Transient as error:
                    failure = error
            if failure is None:
                self._rests.succeed(topic)
            else:
                rest = self._rests.fail(topic, time.monotonic())
                log.warning("trying again", topic=topic, reason=str(failure), seconds=rest)

    def _take_feed(self, topic: str, polled: Polled, *, is_commanded: bool) -> None:
        self._starting_over.discard(topic)
        known, stored = self._in_flight.events(topic), self._in_flight.first()
        batch = Batch(self._feeds[topic], self._holdings)
        try:
            for partition, records in polled.items():
                below = stored.get(partition, records[0].offset)
                try:
                    batch.log_id, batch.log = self._log(topic)
                    if command := self._commands.skips(partition, records[0].offset):
                        skip(partition, records, batch, command)
                    else:
                        self._derivation(partition, batch.log).take(records, batch, known, below)
                except (Transient, Permanent, Interrupted):
                    raise
                except Exception as error:
                    offset = batch.positions.get(partition, records[0].offset)
                    self._stand(partition, offset, error)
        except (Transient, Interrupted) as error:
            self._progress.hear()
            self._put_back(polled, batch)
            if isinstance(error, Transient):
                raise
        finally:
            self._submit(topic, batch, is_commanded=is_commanded)

    def _recall(self) -> None:
        """Read other members' counts, and the commands, of new partitions."""
        for topic in {topic for topic, _ in self._holdings} - self._tallies.keys():
            self._tallies[topic] = self._consumer.tally(topic)
            self._breakers[topic].restore(self._tallies[topic])
        self._commands.recall(self._holdings.keys())
        self._recalled = self._holdings

    def _stand(self, partition: Partition, offset: int, error: BaseException) -> None:
        """Let the partition stand still at an offset, from which it is read again later."""
        self._derivations.pop(partition, None)
        self._consumer.seek({partition: offset})
        self._standing.stand(partition, offset, f"{type(error).__name__}: {error}")

    def _submit(self, topic: str, batch: Batch, *, is_commanded: bool) -> None:
        if not batch.consumed:
            return
        breaker = self._breakers[topic]
        if not is_commanded and (reason := breaker.count(batch.consumed, len(batch.dead))):
            for partition, offset in batch.first.items():
                self._derivations.pop(partition, None)
                self._standing.stand(partition, offset, reason, again=False)
            self._consumer.seek(batch.first)
            return
        batch.tally = breaker.tally
        self._in_flight.add(batch, self._write)

    def _write(self, batch: Batch) -> Future[None]:
        return self._executor.submit(self._complete, batch, partial(self._is_wanted, batch))

    def _is_wanted(self, batch: Batch) -> bool:
        """Whether a batch in flight is still wanted; called by writer threads.

        It is not if this or another member reads its records again, with a possible command to skip
        some, or if it is of a former log.
        """
        now = self._consumer.holdings
        is_held = all(now.get(p) == batch.holdings[p] for p in [*batch.first])
        is_former = self._consumer.log_id(batch.topic) != batch.log_id
        return bool(batch.positions) and (is_held or is_former)

    def _log(self, topic: str) -> tuple[str | None, str]:
        """The id and the name of the log of a topic's records."""
        log_id = self._consumer.log_id(topic)
        if topic not in self._logs or self._logs[topic][0] != log_id:
            self._logs[topic] = log_id, self._store.log_name(topic, log_id)
        return self._logs[topic]

    def _derivation(self, partition: Partition, log: str) -> Derivation:
        derivation = self._derivations.get(partition)
        if derivation is None:
            feed = self._feeds[partition[0]]
            recall = Recall(feed, self._store, self._pace, log)
            derivation = Derivation(
                feed, partition, self._settings.stock_alert_threshold, recall, log
            )
            self._derivations[partition] = derivation
        safe = self._in_flight.oldest(partition[0])
        derivation.histories.age(
            MOST_SERIES // len(self._derivations), self._in_flight.submitted, safe
        )
        return derivation

    def _follow(self) -> bool:
        """Follow a change of the assignment; return whether there was one.

        The results of batches in flight of lost partitions are ignored. New partitions, also
        regained ones, are not processed before everything in flight is stored, because their
        history comes from the database.
        """
        before, self._holdings = self._holdings, self._consumer.holdings
        if before == self._holdings:
            return False
        self._metrics.rebalances.inc()
        log.info("the assigned partitions changed", held=len(self._holdings))
        for partition, number in before.items():
            if self._holdings.get(partition) != number:
                for known in (self._derivations, self._ready, self._committed):
                    known.pop(partition, None)
                self._standing.forget(partition)
        self._starting_over = set(self._feeds)
        self._looked_at = 0.0
        return True

    def _put_back(self, polled: Polled, batch: Batch | None = None) -> None:
        """Read these records again, except those in the batch."""
        taken = batch.positions if batch else {}
        positions = {p: taken.get(p, records[0].offset) for p, records in polled.items()}
        ends = {p: records[-1].offset + 1 for p, records in polled.items()}
        self._consumer.seek({p: at for p, at in positions.items() if at != ends[p]})

    def _settle(self) -> None:
        """Handle completed batches, each topic's oldest first.

        If a batch fails, its partitions stand still; Permanent stops the process.
        """
        for batch, error in self._in_flight.done():
            if error is None:
                self._complete_positions(batch)
            elif batch.positions:
                self._fail(batch, error)
        self._metrics.in_flight.set(len(self._in_flight))

    def _complete_positions(self, batch: Batch) -> None:
        if batch.positions:
            self._tallies[batch.topic] = batch.tally
        for partition, position in batch.positions.items():
            if self._is_held(batch, partition):
                self._ready[partition] = position
                self._standing.moved(partition, position)

    def _fail(self, batch: Batch, error: BaseException) -> None:
        """Read this batch and later ones of its topic again, delayed if it cannot be stored."""
        self._breakers[batch.topic].restore(self._tallies[batch.topic])
        behind = self._in_flight.of(batch.topic)
        first: dict[Partition, int] = {}
        for one in (batch, *behind):
            for partition, offset in one.first.items():
                if self._is_held(one, partition):
                    first.setdefault(partition, offset)
        for other in behind:
            other.positions.clear()
        for partition, offset in first.items():
            if isinstance(error, Abandoned):
                self._derivations.pop(partition, None)
                self._consumer.seek({partition: offset})
            else:
                self._stand(partition, offset, error)

    def _is_held(self, batch: Batch, partition: Partition) -> bool:
        number = batch.holdings.get(partition)
        return number is not None and self._consumer.holdings.get(partition) == number

    def _commit_if_due(self) -> None:
        due = time.monotonic() - self._committed_at >= COMMIT_SECONDS
        if self._ready and due and self._consumer.joined:
            self._commit()

    def _commit(self) -> None:
        self._consumer.commit(self._ready, self._tallies)
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
            stand = self._standing
            self._progress.look(lag, look.unread, stand, joined=self._consumer.joined)
            self._metrics.lag.show(lag)
            self._metrics.show_standing([p for p in lag if p in stand])
            self._commands.look()

    def _pass_empty_offsets(self, positions: Mapping[Partition, tuple[int, int]]) -> None:
        """Commit past offsets without a record too, such as a transaction marker."""
        busy = self._in_flight.first()
        held = self._standing.held()
        for partition, (position, end) in positions.items():
            if partition not in held and partition not in busy:
                # The offset at which it stood has no record.
                self._standing.moved(partition, position + (position >= end))
            recalled = partition[0] in self._tallies
            own = recalled and partition in self._holdings and partition not in held
            if own and partition not in busy and position > self._committed.get(partition, 0):
                self._ready[partition] = position

    def _unstored(
        self, lag: Mapping[Partition, tuple[int, int]]
    ) -> Mapping[Partition, tuple[int, int]]:
        """The lag, with the stored position instead of the read position."""
        stored = self._in_flight.first()
        return {
            p: (min(position, stored.get(p, position)), end) for p, (position, end) in lag.items()
        }

    def _finish(self) -> None:
        """Complete and commit batches in flight, within the time for stopping."""
        deadline = time.monotonic() + self._settings.processor_stop_seconds
        with suppress(Permanent):
            while self._in_flight and (left := deadline - time.monotonic()) > 0:
                wait(self._in_flight.heads(), timeout=left, return_when=FIRST_COMPLETED)
                self._settle()
        if self._ready:
            with suppress(Transient, Permanent, Unknown):
                self._commit()
        if self._in_flight:
            unfinished = self._in_flight.records()
            log.warning("stopped before all was written", records_read_again=unfinished)
