"""vLLM: the tokens that its models used between two polls of its metrics.

Counters begin at 0 when the server starts: where the page says another time of its start than
before, or a counter is smaller, it has begun anew, and all that it shows was used since. Every poll
has an event of every model, also of one that used nothing, and says how many seconds it is about:
after a pause, an outage or a restart of the producer these are many. The very first poll shows only
where counters stand, so what was used before it is not known, nor what is used between the last
poll and a restart of the server.

Series of one model that differ in any other label (the engine, a replica) are counters of their
own, and begin anew each for itself; what they say is summed.

Counters survive a restart, together with the events that came of them: whether these were published
is not known then, so they are told again, and are the same events. The page is asked when they are
acknowledged: until then nothing moves on. Nor do the counters of a model whose reading is rejected.
What was told of one server is told again also where another one is asked by now.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from millrace.config import Settings
from millrace.errors import ConfigurationError
from millrace.feeds.token_usage import WINDOW, TokenUsage
from millrace.sources.base import Batch, Rejected, Transient
from millrace.sources.gpus import Place, batch, usage
from millrace.sources.scrape import Exporter
from millrace.sources.vllm_counters import Counter, Used, check, normalise, parts, read, renamed
from millrace.state import write_atomically

LONGEST_INTERVAL = WINDOW.total_seconds()
STARTED = "process_start_time_seconds"


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
        place: Place,
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
        starts = [value for name, _, value in page.samples if name == STARTED]
        # Of several servers on one page it does not say whose counters began anew.
        started = starts[0] if len(starts) == 1 else None
        found: list[TokenUsage | Rejected] = []
        before: dict[Counter, float] = {}
        behind: dict[str, float | None] = {}
        if self._seen is None:
            check(counters)
        else:
            anew = None not in (started, self._seen.started) and started != self._seen.started
            before = {} if anew else renamed(dict(self._seen.counters), counters)
            spans = self._spans(self._seen, {c.model for c in (*before, *counters)}, now)
            used = normalise(before, counters)
            found, kept = self._found(used, spans, now, page.simulated)
            counters = {c: value for c, value in counters.items() if c.model not in kept}
            known = {counter.model for counter in counters}
            behind = {model: span for model, span in spans.items() if model not in known}
        # A counter that the page leaves out once was not reset by that.
        counters = before | counters
        events = [one for one in found if isinstance(one, TokenUsage)]
        seen = Seen(self._server, now, [*counters.items()], events, started, behind)
        write_atomically(self._state, msgspec.json.encode(seen))
        self._polled_at = self._monotonic()
        self._seen = seen
        return batch(found, simulated=page.simulated)

    def _spans(self, before: Seen, models: Iterable[str], now: float) -> dict[str, float | None]:
        """Seconds since the counters of each model that are known, if that is known."""
        span = self._span(before, now)
        older = {model: before.behind.get(model, 0.0) for model in models}
        return {
            model: None if span is None or more is None else span + more
            for model, more in older.items()
        }

    def _span(self, before: Seen, now: float) -> float | None:
        """Seconds since the poll before, if that is known."""
        if self._polled_at is not None:
            return self._monotonic() - self._polled_at
        # A clock that was set back says nothing about how long it was.
        return now - before.at if now >= before.at else None

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
        try:
            return msgspec.json.decode(self._state.read_bytes(), type=Seen)
        except (FileNotFoundError, msgspec.DecodeError):
            return None


def from_settings(settings: Settings) -> Vllm:
    """The source as configured."""
    if settings.producer_interval_seconds > LONGEST_INTERVAL:
        raise ConfigurationError(
            f"vllm must be polled every {LONGEST_INTERVAL:.0f} seconds at least, for a rate to be"
            " known: set MILLRACE_PRODUCER_INTERVAL_SECONDS"
        )
    return Vllm(
        Exporter.from_settings(settings),
        Place.from_settings(settings),
        settings.producer_state_dir / "counters.json",
    )
