"""vLLM: the tokens that its models used between two polls of its metrics.

Counters begin at 0 when the server starts: where the page says another time of its start than
before, or a counter is smaller, it has begun anew, and all that it shows was used since. Every poll
has an event of every model, also of one that used nothing, and says how many seconds it is about:
after a pause, an outage or a restart of the producer these are many. The very first poll shows only
where counters stand, so what was used before it is not known, nor what is used between the last
poll and a restart of the server.

Counters survive a restart, together with the events that came of them: whether these were published
is not known then, so they are told again, and are the same events. The page is asked when they are
acknowledged: until then nothing moves on. Nor do the counters of a model whose reading is rejected.
"""

import hashlib
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypedDict

import msgspec

from millrace.config import Settings
from millrace.errors import ConfigurationError
from millrace.feeds.token_usage import MOST_TOKENS, WINDOW, TokenUsage
from millrace.sources.base import Batch, Permanent, Rejected
from millrace.sources.gpus import Place, batch, usage
from millrace.sources.scrape import Exporter, Sample
from millrace.state import write_atomically

LONGEST_INTERVAL = WINDOW.total_seconds()
PROMPT, COMPLETION = "vllm:prompt_tokens_total", "vllm:generation_tokens_total"
LATENCY = "vllm:e2e_request_latency_seconds_sum"
REQUESTS = "vllm:e2e_request_latency_seconds_count"
NAMES = frozenset({PROMPT, COMPLETION, LATENCY, REQUESTS})
STARTED = "process_start_time_seconds"
MOST_EVENTS = 100
"""Of one model at one poll: more tokens than these can say is no reading."""


class Counter(NamedTuple):
    """A counter of one model in one engine."""

    name: str
    model: str
    engine: str


class Used(TypedDict):
    """What one model used, by the names of TokenUsage."""

    model: str
    prompt_tokens: int
    completion_tokens: int
    latency_ms: float | None


class Seen(msgspec.Struct, frozen=True):
    """What the last poll saw, and the events that came of it."""

    server: str
    """A digest of its URL: another server has other counters."""
    at: float
    counters: list[tuple[Counter, float]]
    events: list[TokenUsage]
    started: float | None = None
    """When the server started, if its page says so."""


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
        self._seen = self._load()
        self._again = [] if self._seen is None else self._seen.events

    def fetch(self, unit: str) -> Batch:  # noqa: ARG002 - there is one unit
        """What each model used since the poll before; nothing at the first."""
        if self._again:
            again, self._again = self._again, []
            return Batch(again, simulated=any(event.simulated for event in again))
        page = self._exporter.scrape()
        now = self._clock()
        counters = read(page.samples)
        if not counters:
            raise Permanent("the page has no counters of vLLM: is the URL right?")
        started = next((value for name, _, value in page.samples if name == STARTED), None)
        found: list[TokenUsage | Rejected] = []
        before: dict[Counter, float] = {}
        if self._seen is not None:
            anew = None not in (started, self._seen.started) and started != self._seen.started
            before = {} if anew else dict(self._seen.counters)
            used = normalise(before, counters)
            found, kept = self._found(used, self._span(self._seen, now), now, page.simulated)
            counters = {c: value for c, value in counters.items() if c.model not in kept}
        # A counter that the page leaves out once was not reset by that.
        counters = before | counters
        events = [one for one in found if isinstance(one, TokenUsage)]
        seen = Seen(self._server, now, [*counters.items()], events, started)
        write_atomically(self._state, msgspec.json.encode(seen))
        self._polled_at = self._monotonic()
        self._seen = seen
        return batch(found, simulated=page.simulated)

    def _span(self, before: Seen, now: float) -> float | None:
        """Seconds since the poll before, if that is known."""
        if self._polled_at is not None:
            return self._monotonic() - self._polled_at
        # A clock that was set back says nothing about how long it was.
        return now - before.at if now >= before.at else None

    def _found(
        self, used: Iterable[Used], span: float | None, now: float, simulated: bool
    ) -> tuple[list[TokenUsage | Rejected], set[str]]:
        """The events of each model, and the models of which a reading is rejected."""
        found: list[TokenUsage | Rejected] = []
        kept = set()
        for fields in used:
            events = [
                usage(
                    "vllm",
                    self._place,
                    {**part, "span_s": span},
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
            seen = msgspec.json.decode(self._state.read_bytes(), type=Seen)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        return seen if seen.server == self._server else None


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


def read(samples: Iterable[Sample]) -> dict[Counter, float]:
    """The counters of each model. Triton, where it runs vLLM, has other labels for the same."""
    return {
        Counter(
            name,
            labels.get("model_name") or labels.get("model", ""),
            labels.get("engine") or labels.get("version", ""),
        ): value
        for name, labels, value in samples
        if name in NAMES
    }


def normalise(before: Mapping[Counter, float], now: Mapping[Counter, float]) -> list[Used]:
    """The fields of TokenUsage for each model on the page, all its engines together."""
    models: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for counter, value in now.items():
        earlier = before.get(counter, 0.0)
        models[counter.model][counter.name] += value - earlier if value >= earlier else value
    return [
        {
            "model": model,
            "prompt_tokens": round(used[PROMPT]),
            "completion_tokens": round(used[COMPLETION]),
            "latency_ms": 1000 * used[LATENCY] / used[REQUESTS] if used[REQUESTS] > 0 else None,
        }
        for model, used in models.items()
    ]


def parts(used: Used) -> list[Used]:
    """The same, with no more tokens in each than an event may have: after an outage it is many."""
    count = math.ceil(max(used["prompt_tokens"], used["completion_tokens"]) / MOST_TOKENS)
    if not 1 < count <= MOST_EVENTS:
        return [used]
    return [
        Used(
            model=used["model"],
            prompt_tokens=_part(used["prompt_tokens"], number),
            completion_tokens=_part(used["completion_tokens"], number),
            latency_ms=used["latency_ms"],
        )
        for number in range(count)
    ]


def _part(tokens: int, number: int) -> int:
    return min(max(tokens - number * MOST_TOKENS, 0), MOST_TOKENS)
