"""vLLM: the tokens that its models used between two polls of its metrics.

Counters begin at 0 when the server starts: where the page says another time of its start than
before, or a counter is smaller, it has begun anew, and all that it shows was used since. Every poll
has an event of every known model, also of one that used nothing, and says how many seconds it is
about: after a pause, an outage or a restart of the producer these are many. The very first poll
shows only where counters stand, so what was used before it is not known, nor what is used between
the last poll and a restart of the server.

Series of one model that differ in any other label (the engine, a replica) are counters of their
own, and begin anew each for itself; what they say is summed. One that comes later begins where it
stands, too, for a replica that joins may have run for days; where its process started after the
poll before, all that it shows was used since. One that the page leaves out is kept for an hour of
polls, not for ever: replicas come and go, and each has a name of its own.

A start that is other than before, and was not after the poll before, is that of another server
behind the same URL: the reading is rejected, and what is counted begins where that one stands.
Where the page has no start, counters of two servers that answer in turn look like restarts: each
time they get smaller a line in the log says so.

Counters survive a restart, together with the events that came of them: whether these were published
is not known then, so they are told again, and are the same events. The page is asked when they are
acknowledged: until then nothing moves on. Nor do the counters of a model whose reading is rejected.
What was told of one server is told again also where another one is asked by now.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import structlog

from millrace.config import Settings
from millrace.events import CLOCKS
from millrace.feeds.token_usage import WINDOW, TokenUsage
from millrace.runtime.redaction import shown
from millrace.runtime.state_files import load_state, write_atomically
from millrace.sources.base import Batch, Rejected, Transient
from millrace.sources.gpus import ServingGpu, batch, usage
from millrace.sources.scrape import Exporter, Sample
from millrace.sources.vllm_counters import (
    KEPT,
    Counter,
    Used,
    beginnings,
    check,
    normalise,
    parts,
    read,
    renamed,
    start_of,
)

log = structlog.get_logger(__name__)

LONGEST_INTERVAL = WINDOW.total_seconds()
STARTED = "process_start_time_seconds"
ONE_EACH = "if several servers answer at this URL, give each its own URL and producer"


class Seen(msgspec.Struct, frozen=True):
    """What the last poll saw, and the events that came of it."""

    server: str
    """A digest of its URL: another server has other counters."""
    at: float
    counters: list[tuple[Counter, float]]
    events: list[TokenUsage]
    started: float | None = None
    """When the server started, if its page says so."""
    behind: dict[str, float | None] = {}
    """Seconds by which the counters of a model are older than `at`; None: it is not known."""
    missing: list[tuple[Counter, float]] = []
    """For how many seconds of polls the page has not shown a counter that is kept."""


class Vllm:
    """The source: one poll reads the server's page."""

    feed = "token_usage"
    units: tuple[str, ...] = ("metrics",)
    shortest_interval = 0.0
    endless = True
    simulated = False
    budget_left = None

    def __init__(
        self,
        exporter: Exporter,
        place: ServingGpu,
        state: Path,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exporter = exporter
        self._place = place
        self._state = state
        self._clock = clock
        self._monotonic = monotonic
        self._polled_at: float | None = None
        self._server = hashlib.sha256(exporter.url.encode()).hexdigest()
        kept = self._load()
        self._again = [] if kept is None else kept.events
        self._seen = kept if kept and kept.server == self._server else None

    def fetch(self, unit: str) -> Batch:  # noqa: ARG002 - there is one unit
        """What each model used since the poll before; nothing at the first."""
        if self._again:
            again, self._again = self._again, []
            return Batch(again, simulated=any(event.simulated for event in again))
        page = self._exporter.scrape()
        now = self._clock()
        counters = read(page.samples)
        if not counters:
            raise Transient("the page has no counters of vLLM: it starts yet, or the URL is wrong")
        starts = [sample for sample in page.samples if sample.name == STARTED]
        found: list[TokenUsage | Rejected] = []
        started = _of_all(starts)
        another = self._another(started)
        if self._seen is None or another:
            check(counters)
            seen = Seen(self._server, now, [*counters.items()], [], started)
            found += another
        else:
            found, seen = self._move(self._seen, counters, starts, now, page.simulated)
        write_atomically(self._state, msgspec.json.encode(seen))
        self._polled_at = self._monotonic()
        self._seen = seen
        return batch(found, simulated=page.simulated)

    def _another(self, started: float | None) -> list[Rejected]:
        """That a server answers which ran at the poll before, and was not the one that answered."""
        last = self._seen
        if last is None or started is None or last.started in (None, started):
            return []
        if started > last.at - CLOCKS.total_seconds():
            return []
        reason = (
            f"another process answers, which started at {started:.12g}, that of the poll before at"
            f" {last.started:.12g}: what it used since is not known; {ONE_EACH}"
        )
        return [Rejected(shown(self._place.host), reason)]

    def _move(
        self,
        last: Seen,
        page: dict[Counter, float],
        starts: list[Sample],
        now: float,
        simulated: bool,
    ) -> tuple[list[TokenUsage | Rejected], Seen]:
        """What was used since, and what to keep of this page."""
        before = renamed(dict(last.counters), page)
        started = _of_all(starts)
        if None not in (started, last.started) and started != last.started:
            before |= {c: 0.0 for c in (*before, *page) if start_of(c, starts) is not None}
        smaller = [c.model for c, value in page.items() if 0 <= value < before.get(c, 0.0)]
        if smaller and started is None:
            log.warning(
                "counters are smaller than before: a restart of vLLM, as far as its page says",
                model=shown(smaller[0]),
                hint=ONE_EACH,
            )
        anew, standing = beginnings(before, page, starts, last.at)
        before |= anew
        since = self._span(last, now)
        spans = _spans(since, last.behind, {c.model for c in (*before, *page)})
        counted = {c: value for c, value in page.items() if c not in standing}
        found, kept = self._found(normalise(before, counted), spans, now, simulated)
        # A counter that the page leaves out once was not reset by that.
        away = self._away(last, before.keys() - page.keys(), since)
        moved = {c: value for c, value in page.items() if c.model not in kept}
        counters = {
            c: value for c, value in (before | standing | moved).items() if c in page or c in away
        }
        known = {counter.model for counter in moved}
        behind = {model: spans[model] for model in {c.model for c in counters} - known}
        events = [one for one in found if isinstance(one, TokenUsage)]
        return found, Seen(
            self._server, now, [*counters.items()], events, started, behind, [*away.items()]
        )

    def _span(self, before: Seen, now: float) -> float | None:
        """Seconds since the poll before, if that is known."""
        if self._polled_at is not None:
            return self._monotonic() - self._polled_at
        # A clock that was set back says nothing about how long it was.
        return now - before.at if now >= before.at else None

    @staticmethod
    def _away(last: Seen, counters: Iterable[Counter], since: float | None) -> dict[Counter, float]:
        """For how many seconds of polls each of those has been away, where that is not too many.

        A time without polls says nothing about what is on the page.
        """
        known = dict(last.missing)
        more = min(since or 0.0, LONGEST_INTERVAL)
        away = {counter: known.get(counter, 0.0) + more for counter in counters}
        return {counter: seconds for counter, seconds in away.items() if seconds <= KEPT}

    def _found(
        self,
        used: Iterable[Used],
        spans: Mapping[str, float | None],
        now: float,
        simulated: bool,
    ) -> tuple[list[TokenUsage | Rejected], set[str]]:
        """The events of each model, and the models of which a reading is rejected."""
        found: list[TokenUsage | Rejected] = []
        kept = set()
        for fields in used:
            events = [
                usage(
                    "vllm",
                    self._place,
                    {**part, "span_s": spans[part["model"]]},
                    str(number) if number else "",
                    now,
                    simulated=simulated,
                )
                for number, part in enumerate(parts(fields))
            ]
            rejected = [one for one in events if isinstance(one, Rejected)]
            if rejected:
                kept.add(fields["model"])
            found += rejected[:1] or events
        return found, kept

    def _load(self) -> Seen | None:
        forgotten = "tokens used since the last poll are not counted"
        return load_state(self._state, Seen, forgotten)


def _of_all(starts: Sequence[Sample]) -> float | None:
    """Of several servers on one page it does not say whose counters began anew."""
    return starts[0].value if len(starts) == 1 else None


def _spans(
    since: float | None, behind: Mapping[str, float | None], models: Iterable[str]
) -> dict[str, float | None]:
    """Seconds since the counters of each model that are known, if that is known."""
    older = {model: behind.get(model, 0.0) for model in models}
    return {
        model: None if since is None or more is None else since + more
        for model, more in older.items()
    }


def from_settings(settings: Settings) -> Vllm:
    """The source as configured."""
    return Vllm(
        Exporter.from_settings(settings),
        ServingGpu.from_settings(settings),
        settings.producer_state_dir / "counters.json",
    )
