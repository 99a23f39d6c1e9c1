"""vLLM: the tokens that its models used between two polls of its metrics.

Counters start at 0 when the server starts: if the page shows another start time than before, or a
counter is smaller, the counter was reset, and its whole value was used since. Every poll has an
event of every known model, even an idle one, with the number of seconds that it covers: many after
a pause, an outage or a restart of the producer. The very first poll only reads the counters, so
earlier usage is unknown, as is usage between the last poll and a restart of the server.

Series of one model that differ in any other label (the engine, a replica) are separate counters
with separate resets; their usage is summed. A series that appears later starts at its current value
too, because a replica that joins may have run for days; but if its process started after the
previous poll, its whole value was used since. A series that the page leaves out is kept for an hour
of polls, not for ever, because replicas come and go under changing names.

A start time that has changed, but is not after the previous poll, is that of another server behind
the same URL: the reading is rejected, and counting continues from that server's values. If the page
has no start time, the counters of two alternating servers look like restarts: each decrease is
logged.

Counters are stored across restarts, together with the events derived from them. Whether these were
published is unknown after a restart, so they are sent again, as the same events, even if another
server is polled by then. The page is polled only after they are acknowledged. The counters of a
model whose reading is rejected do not advance.
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
    """A digest of the server's URL: another server has other counters."""
    at: float
    counters: list[tuple[Counter, float]]
    events: list[TokenUsage]
    started: float | None = None
    """When the server started, if its page shows it."""
    behind: dict[str, float | None] = {}
    """Seconds by which the counters of a model are older than `at`; None: unknown."""
    missing: list[tuple[Counter, float]] = []
    """The kept counters that the page does not show, and for how many seconds of polls."""


class Vllm:
    """The source: each poll reads the server's page."""

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
        """The usage of each model since the previous poll; empty for the first one."""
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
        """The rejection if another server answers, which already ran at the previous poll."""
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
        """The usage since the last page, and the state to keep of this one."""
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
        # A counter that the page leaves out once was not reset.
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
        """Seconds since the previous poll, if known."""
        if self._polled_at is not None:
            return self._monotonic() - self._polled_at
        # If the clock was set back, the time is unknown.
        return now - before.at if now >= before.at else None

    @staticmethod
    def _away(last: Seen, counters: Iterable[Counter], since: float | None) -> dict[Counter, float]:
        """For how many seconds of polls each of these counters has been missing, if not too many.

        A time without polls does not count, because the page is unknown then.
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
        """The events of each model, and the models with a rejected reading."""
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
    """The only start time; None if the page has several servers, whose resets it cannot show."""
    return starts[0].value if len(starts) == 1 else None


def _spans(
    since: float | None, behind: Mapping[str, float | None], models: Iterable[str]
) -> dict[str, float | None]:
    """Seconds since the known counters of each model, if known."""
    older = {model: behind.get(model, 0.0) for model in models}
    return {
        model: None if since is None or more is None else since + more
        for model, more in older.items()
    }


def from_settings(settings: Settings) -> Vllm:
    """The configured source."""
    return Vllm(
        Exporter.from_settings(settings),
        ServingGpu.from_settings(settings),
        settings.producer_state_dir / "counters.json",
    )
