"""vLLM: the tokens that its models used between two polls of its metrics.

Counters begin at 0 when the server starts: one that is smaller than before has begun anew, and all
that it shows was used since. The first poll shows only where counters stand, so what is used while
the producer is down, and between the last poll and a restart of the server, is not known.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from millrace.config import Settings
from millrace.errors import ConfigurationError
from millrace.feeds.token_usage import WINDOW
from millrace.sources.base import Batch, Permanent
from millrace.sources.gpus import Place, batch, usage
from millrace.sources.scrape import Exporter, Sample

PROMPT, COMPLETION = "vllm:prompt_tokens_total", "vllm:generation_tokens_total"
LATENCY = "vllm:e2e_request_latency_seconds_sum"
REQUESTS = "vllm:e2e_request_latency_seconds_count"
NAMES = frozenset({PROMPT, COMPLETION, LATENCY, REQUESTS})


class Counter(NamedTuple):
    """A counter of one model in one engine."""

    name: str
    model: str
    engine: str


class Vllm:
    """The source: one poll reads the server's page."""

    feed = "token_usage"
    units: tuple[str, ...] = ("metrics",)
    shortest_interval = 0.0
    endless = True
    simulated = False
    budget_left = None

    def __init__(
        self, exporter: Exporter, place: Place, clock: Callable[[], float] = time.time
    ) -> None:
        self._exporter = exporter
        self._place = place
        self._clock = clock
        self._before: Mapping[Counter, float] | None = None

    def fetch(self, unit: str) -> Batch:  # noqa: ARG002 - there is one unit
        """What each model used since the poll before; nothing at the first."""
        page = self._exporter.scrape()
        now = self._clock()
        counters = read(page.samples)
        if not counters:
            raise Permanent("the page has no counters of vLLM: is the URL right?")
        before, self._before = self._before, counters
        if before is None:
            return Batch((), page.simulated)
        found = [
            usage("vllm", self._place, used, "", now, simulated=page.simulated)
            for used in normalise(before, counters)
        ]
        return batch(found, simulated=page.simulated)


def from_settings(settings: Settings) -> Vllm:
    """The source as configured."""
    longest = WINDOW.total_seconds()
    if settings.producer_interval_seconds > longest:
        raise ConfigurationError(
            f"vllm must be polled every {longest:.0f} seconds at least, for a rate to be known:"
            " set MILLRACE_PRODUCER_INTERVAL_SECONDS"
        )
    return Vllm(Exporter.from_settings(settings), Place.from_settings(settings))


def read(samples: Iterable[Sample]) -> dict[Counter, float]:
    """The counters of each model."""
    return {
        Counter(name, labels.get("model_name", ""), labels.get("engine", "")): value
        for name, labels, value in samples
        if name in NAMES
    }


def normalise(
    before: Mapping[Counter, float], now: Mapping[Counter, float]
) -> list[dict[str, object]]:
    """The fields of TokenUsage for each model that used a token, all its engines together."""
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
        if round(used[PROMPT]) or round(used[COMPLETION])
    ]
