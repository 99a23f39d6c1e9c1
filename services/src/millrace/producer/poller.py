"""Polls due units, follows operators' commands, respects the budget, and backs off on failures."""

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from millrace.config import LONGEST_SECONDS
from millrace.errors import MillraceError
from millrace.events import Event
from millrace.producer import overrides, refusals
from millrace.producer.agenda import Agenda
from millrace.producer.overrides import Overrides
from millrace.producer.status import KEY_REFUSED, Status
from millrace.producer.timing import MINUTE, Interval, Timing
from millrace.runtime import retry
from millrace.runtime.redaction import shown
from millrace.runtime.state_files import StateUnusable
from millrace.sources.base import (
    Auth,
    Batch,
    Paced,
    Permanent,
    Quota,
    Source,
    SourceError,
    Transient,
)

log = structlog.get_logger(__name__)

SLICE_SECONDS = 1.0
"""Commands are applied within this time."""
PERMANENT_SECONDS = 900.0
REFUSED_SECONDS = 3600.0
"""Retry interval after a refused key: a new key recreates the container, but the provider may
accept the old one after all."""
LONGEST_BACKOFF = 300.0
SET_BACK_SECONDS = 1.0
OVERRIDES = ("paused", "interval_seconds", "rate_per_second", "runs")
WORTH_A_LINE_SECONDS = 10.0
"""With shorter intervals there is no log line per poll; the status counts."""
MOST_KNOWN = 10_000
"""Maximum number of symbols whose latest event is kept: models may have unlimited names."""


class Poller:
    """Polls one source until told to stop, and passes its events to `publish`."""

    def __init__(
        self,
        source: Source,
        publish: Callable[[Sequence[Event]], None],
        status: Status,
        stop: threading.Event,
        *,
        timing: Timing,
        rate: float,
        state_dir: Path,
        beat: Callable[[], None],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`timing` and `rate` are the declared ones; the state directory may have overrides."""
        self._source = source
        self._publish = publish
        self._status = status
        self._stop = stop
        self._declared = timing
        self._rate = rate
        self._state_dir = state_dir
        self._beat = beat
        self._clock = clock
        self._monotonic = monotonic
        self._offset = clock() - monotonic()
        self._latest: dict[str, Event] = {}
        self._rest_until = 0.0
        self._is_readable = True
        self._overrides = self._read(Overrides())
        self._timing = self._wanted_timing()
        self._agenda = Agenda(
            source.units, self._timing, state_dir / "state.json", clock, runs=self._overrides.runs
        )
        self._apply_overrides()

    def run(self) -> None:
        """Poll until told to stop; a finished source waits for this, too."""
        while True:
            self._beat()
            self._read_overrides()
            self._follow_clock()
            unit, due = self._agenda.next()
            due = max(due, self._rest_until)
            self._report_next_poll(unit, due)
            if self._stop.is_set():
                return
            wait = due - self._clock()
            if unit is None or self._overrides.paused:
                self._stop.wait(SLICE_SECONDS)
            elif wait > 0:
                self._stop.wait(min(wait, SLICE_SECONDS))
            else:
                self._poll(unit)
                self._agenda.save()

    def _follow_clock(self) -> None:
        """Adapt due times, which are wall-clock times, if the clock was set back."""
        before, self._offset = self._offset, self._clock() - self._monotonic()
        set_back = before - self._offset
        if set_back < SET_BACK_SECONDS:
            return
        log.warning("the clock was set back", seconds=round(set_back, 1))
        self._agenda.resume()
        self._rest_until -= set_back

    def _report_next_poll(self, unit: str | None, due: float) -> None:
        self._status.quota_left = self._source.budget_left
        resting = unit is None or self._overrides.paused
        self._status.next_poll = (
            None if resting else datetime.fromtimestamp(max(due, self._clock()), UTC)
        )
        if unit is None and self._status.state != "finished":
            self._status.state = "finished"
            log.info("everything is published", published=self._status.published)

    def _read_overrides(self) -> None:
        """Apply an operator's new commands."""
        before, self._overrides = self._overrides, self._read(self._overrides)
        if self._overrides == before:
            return
        log.info("commanded", **{name: getattr(self._overrides, name) for name in OVERRIDES})
        timing = self._wanted_timing()
        if timing.text != self._timing.text or (before.paused and not self._overrides.paused):
            self._timing = timing
            self._agenda.resume(timing)
        self._apply_overrides()

    def _read(self, otherwise: Overrides) -> Overrides:
        try:
            found = overrides.read(self._state_dir)
        except StateUnusable as error:
            if self._is_readable:
                log.warning("commands cannot be read", problem=str(error))
            self._is_readable = False
            return otherwise
        self._is_readable = True
        return found

    def _wanted_timing(self) -> Timing:
        if self._declared.interval is None:
            return self._declared
        # A stored override may be older than the current limit.
        wanted = min(self._overrides.interval_seconds or self._declared.interval, LONGEST_SECONDS)
        if wanted < self._source.shortest_interval:
            wanted = self._source.shortest_interval
            log.info("polling less often, as the request budget demands", interval=wanted)
        return Interval(wanted)

    def _apply_overrides(self) -> None:
        rate = self._overrides.rate_per_second or self._rate
        if isinstance(self._source, Paced):
            self._status.rate_per_second = self._source.pace(rate, self._timing.spacing)
        if self._agenda.ask(self._overrides.runs):
            self._rest_until = 0.0
        self._status.timing = self._timing.text if self._source.endless else "once"
        self._status.paused = self._overrides.paused
        self._status.commands = self._overrides.number

    def _poll(self, unit: str) -> None:
        started = self._clock()
        self._status.last_poll = datetime.fromtimestamp(started, UTC)
        delay = self._backoff(self._agenda.attempt(unit))
        if self._source.budget_left is not None:
            # A request is used up even if this process ends, so the next process must wait, too.
            self._agenda.put(unit, started + delay)
            self._agenda.save()
        try:
            batch = self._fetch(unit)
            self._accept(batch)
        except Auth as error:
            self._failed("auth", f"the API key is not accepted: {error}", KEY_REFUSED)
            self._rest(unit, started, started + REFUSED_SECONDS)
        except Quota as error:
            self._failed("quota", str(error))
            self._rest(unit, started, error.retry_at.timestamp())
        except Permanent as error:
            self._failed("permanent", str(error))
            self._agenda.answered(unit)
            self._agenda.polled(unit, started)
            self._agenda.postpone(unit, started + PERMANENT_SECONDS)
        except Transient as error:
            self._failed("transient", str(error))
            self._agenda.put(unit, self._clock() + delay)
        else:
            self._agenda.answered(unit)
            self._rest_until = 0.0
            self._status.polls["success"] += 1
            self._status.last_success = self._status.last_poll
            self._status.last_error = None
            self._status.state = "polling"
            if batch.has_more:
                self._agenda.put(unit, self._clock())
            elif self._source.endless:
                self._agenda.polled(unit, started)
            else:
                self._agenda.finish(unit)

    def _fetch(self, unit: str) -> Batch:
        """Fetch a batch from the source; unknown errors are treated as transient."""
        try:
            return self._source.fetch(unit)
        except (SourceError, MillraceError):
            raise
        except Exception as error:
            # Log the error's location, not its text, which may contain a URL with a key.
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(frame.filename).name}:{frame.lineno}"
            raise Transient(f"{type(error).__name__} at {where}") from None

    def _rest(self, unit: str, due: float, until: float) -> None:
        """Make no requests until then. A restart may bring another key, so it tries again."""
        self._agenda.answered(unit)
        self._agenda.put(unit, due)
        self._rest_until = until

    def _accept(self, batch: Batch) -> None:
        self._status.simulated = batch.simulated
        news = [event for event in batch.events if not self._is_unchanged(event)]
        self._status.unchanged += len(batch.events) - len(news)
        self._publish(news)
        self._status.published += len(news)
        for event in news:
            self._latest.pop(event.symbol, None)
            self._latest[event.symbol] = event
        while len(self._latest) > MOST_KNOWN:
            del self._latest[next(iter(self._latest))]
        # An unpublished batch is fetched again, and would be counted and reported again.
        self._status.rejected += len(batch.rejected)
        refusals.tell(batch.rejected)
        if news:
            say = log.info if self._spacing >= WORTH_A_LINE_SECONDS else log.debug
            say("published", events=len(news), simulated=batch.simulated)

    def _is_unchanged(self, event: Event) -> bool:
        """Whether the event equals the latest one of its symbol. Events with its id and other
        content are left to the processor, which reports the conflict."""
        latest = self._latest.get(event.symbol)
        return latest is not None and latest == msgspec.structs.replace(
            event, produced_at=latest.produced_at
        )

    def _failed(self, outcome: str, error: str, state: str | None = None) -> None:
        error = shown(error, refusals.LONGEST_REASON)
        self._status.polls[outcome] += 1
        self._status.last_error = error
        self._status.state = state or f"waiting after an error ({outcome})"
        log.warning("poll failed", outcome=outcome, error=error)

    @property
    def _spacing(self) -> float:
        """Minimum seconds between polls; a schedule has at least a minute."""
        return max(self._timing.interval or MINUTE, self._source.shortest_interval)

    def _backoff(self, attempts: int) -> float:
        """Exponential backoff with jitter, from a sixtieth of the interval, to save the budget."""
        first = max(1.0, self._spacing / 60)
        longest = max(self._spacing, LONGEST_BACKOFF)
        return retry.backoff(attempts, first, longest)
