"""Decides when to poll what: at the interval, within the budget, and slowly where it fails."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from millrace.errors import MillraceError
from millrace.events import Event
from millrace.producer.status import Status
from millrace.sources.base import Auth, Batch, Permanent, Quota, Source, Transient
from millrace.state import write_atomically

log = structlog.get_logger(__name__)

SLICE_SECONDS = 5.0
PERMANENT_SECONDS = 900.0
LONGEST_BACKOFF = 300.0
WORTH_A_LINE_SECONDS = 10.0
"""Whoever polls more often logs no line a poll; the status counts."""


class KeyRefused(MillraceError):
    """The upstream does not accept the API key."""


class _Kept(msgspec.Struct):
    """What survives a restart: when each unit is due again, and which are finished for good."""

    due: dict[str, float] = {}
    finished: list[str] = []


class Poller:
    """Polls one source until told to stop, and passes what it brings to `publish`."""

    def __init__(
        self,
        source: Source,
        publish: Callable[[Sequence[Event]], None],
        status: Status,
        stop: threading.Event,
        *,
        interval: float,
        state_file: Path,
        beat: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._publish = publish
        self._status = status
        self._stop = stop
        self._interval = max(interval, source.shortest_interval)
        self._state_file = state_file
        self._beat = beat
        self._clock = clock
        self._latest: dict[str, str] = {}
        self._failures: dict[str, int] = {}
        self._kept = self._load()
        if self._interval > interval:
            log.info("polling less often, as the request budget demands", interval=self._interval)

    def run(self) -> None:
        """Poll until told to stop, or, if the source ends, until then; then wait for the stop."""
        while unit := self._next_unit():
            due = self._kept.due.get(unit, 0)
            self._status.next_poll = datetime.fromtimestamp(max(due, self._clock()), UTC)
            if not self._wait_until(due):
                return
            self._poll(unit)
            write_atomically(self._state_file, msgspec.json.encode(self._kept))
        self._status.next_poll = None
        self._status.state = "finished"
        log.info("everything is published", published=self._status.published)
        while self._wait_until(self._clock() + SLICE_SECONDS):
            pass

    def _next_unit(self) -> str | None:
        waiting = [unit for unit in self._source.units if unit not in self._kept.finished]
        return min(waiting, key=lambda unit: self._kept.due.get(unit, 0), default=None)

    def _wait_until(self, due: float) -> bool:
        """False if told to stop meanwhile."""
        while (left := due - self._clock()) > 0:
            self._beat()
            if self._stop.wait(min(left, SLICE_SECONDS)):
                return False
        return not self._stop.is_set()

    def _poll(self, unit: str) -> None:
        started = self._clock()
        self._status.last_poll = datetime.fromtimestamp(started, UTC)
        try:
            self._accept(self._source.fetch(unit))
        except Auth as error:
            raise KeyRefused(f"the API key is not accepted: {error}") from None
        except Quota as error:
            self._failed("quota", error)
            for each in self._source.units:
                later = max(self._kept.due.get(each, 0), error.retry_at.timestamp())
                self._kept.due[each] = later
        except Permanent as error:
            self._failed("permanent", error)
            self._kept.due[unit] = started + max(self._interval, PERMANENT_SECONDS)
        except Transient as error:
            self._failed("transient", error)
            self._kept.due[unit] = self._clock() + self._backoff(unit)
        else:
            self._failures.pop(unit, None)
            self._status.polls["success"] += 1
            self._status.last_success = self._status.last_poll
            self._status.last_error = None
            self._status.state = "polling"
            if self._source.endless:
                self._kept.due[unit] = started + self._interval
            else:
                self._kept.finished.append(unit)
        self._status.quota_left = self._source.budget_left

    def _accept(self, batch: Batch) -> None:
        self._status.simulated = batch.simulated
        for rejected in batch.rejected:
            self._status.rejected += 1
            log.warning("observation not believed", symbol=rejected.symbol, reason=rejected.reason)
        news = [e for e in batch.events if self._latest.get(e.symbol) != e.event_id]
        self._status.unchanged += len(batch.events) - len(news)
        self._publish(news)
        self._status.published += len(news)
        self._latest |= {event.symbol: event.event_id for event in news}
        if news:
            say = log.info if self._interval >= WORTH_A_LINE_SECONDS else log.debug
            say("published", events=len(news), simulated=batch.simulated)

    def _failed(self, outcome: str, error: Exception) -> None:
        self._status.polls[outcome] += 1
        self._status.last_error = str(error)
        self._status.state = f"waiting after an error ({outcome})"
        log.warning("poll failed", outcome=outcome, error=str(error))

    def _backoff(self, unit: str) -> float:
        """Exponential with jitter, from a sixtieth of the interval, so that budgets last."""
        failures = self._failures[unit] = self._failures.get(unit, 0) + 1
        first = max(1.0, self._interval / 60)
        longest = max(self._interval, LONGEST_BACKOFF)
        delay = min(longest, first * 2.0 ** min(failures, 20))
        return delay * random.uniform(0.5, 1)  # noqa: S311 - jitter, not a secret

    def _load(self) -> _Kept:
        """The state kept, if any; waits that a shorter interval has made too long are cut."""
        try:
            kept = msgspec.json.decode(self._state_file.read_bytes(), type=_Kept)
        except (FileNotFoundError, msgspec.DecodeError):
            return _Kept()
        latest = self._clock() + self._interval
        kept.due = {unit: min(due, latest) for unit, due in kept.due.items()}
        return kept
