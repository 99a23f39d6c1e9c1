"""The counters of a vLLM server, and the usage of its models between two polls."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypedDict

from millrace.feeds.token_usage import MOST_TOKENS
from millrace.runtime.redaction import shown
from millrace.sources.base import Transient
from millrace.sources.scrape import Sample

PROMPT, COMPLETION = "vllm:prompt_tokens_total", "vllm:generation_tokens_total"
LATENCY = "vllm:e2e_request_latency_seconds_sum"
REQUESTS = "vllm:e2e_request_latency_seconds_count"
NAMES = frozenset({PROMPT, COMPLETION, LATENCY, REQUESTS})
MODEL_LABELS = ("model_name", "model")
"""The second is Triton's, when it runs vLLM."""
ENGINE_LABELS = ("engine", "version")
LARGEST = 2.0**53
"""Larger values are not counts."""
KEPT = 3600.0
"""Seconds of polls for which a series that the page does not show is kept."""
MOST_EVENTS = 100
"""Maximum number of events of one model per poll; more tokens than fit are not plausible."""


class Counter(NamedTuple):
    """A counter of one model."""

    name: str
    model: str
    series: str
    """The other labels; if there is only an engine number, this number."""


class Used(TypedDict):
    """The usage of one model, by the names of TokenUsage."""

    model: str
    prompt_tokens: int
    completion_tokens: int
    latency_ms: float | None


def read(samples: Iterable[Sample]) -> dict[Counter, float]:
    """The counters of each model."""
    found = {}
    for name, labels, value in samples:
        if name in NAMES:
            model = next((labels[label] for label in MODEL_LABELS if labels.get(label)), "")
            others = {
                label: said
                for label, said in sorted(labels.items())
                if said and label not in MODEL_LABELS
            }
            found[Counter(name, model, _series(others))] = value
    return found


def renamed(before: dict[Counter, float], now: Mapping[Counter, float]) -> dict[Counter, float]:
    """Kept series that now have additional labels, under their new labels if the match is unique.

    Of several series that were one, only the current values are known.
    """
    new = defaultdict(list)
    for counter in now.keys() - before.keys():
        labels = _labels(counter)
        engine = next((labels[label] for label in ENGINE_LABELS if label in labels), "")
        new[counter._replace(series=engine)].append(counter)
    for old, counters in new.items():
        if old in before and old not in now:
            value = before.pop(old)
            before |= {c: value if len(counters) == 1 else now[c] for c in counters}
    return before


def beginnings(
    before: Mapping[Counter, float],
    now: Mapping[Counter, float],
    starts: Sequence[Sample],
    at: float,
) -> tuple[dict[Counter, float], dict[Counter, float]]:
    """The starting values of series that were unknown `at` the previous poll.

    A series starts at 0 if its process started since, otherwise at its current value. Values that
    are not counts are no starting values.
    """
    anew: dict[Counter, float] = {}
    standing: dict[Counter, float] = {}
    for counter in now.keys() - before.keys():
        started = start_of(counter, starts)
        if started is not None and started > at:
            anew[counter] = 0.0
        elif _is_count(now[counter]):
            standing[counter] = now[counter]
    return anew, standing


def start_of(counter: Counter, starts: Sequence[Sample]) -> float | None:
    """When the process of a series started, if the page shows it.

    A start time applies to the series that have all its labels.
    """
    its = {*_labels(counter).items(), *((label, counter.model) for label in MODEL_LABELS)}
    found = []
    for _, labels, value in starts:
        theirs = {(label, said) for label, said in labels.items() if said}
        if theirs <= its:
            found.append((len(theirs), value))
    return max(found)[1] if found else None


def _labels(counter: Counter) -> dict[str, str]:
    return dict(part.split("=", 1) for part in counter.series.split("\n") if "=" in part)


def _series(labels: Mapping[str, str]) -> str:
    if len(labels) == 1:
        ((label, said),) = labels.items()
        if label in ENGINE_LABELS:
            return said
    return "\n".join(f"{label}={said}" for label, said in labels.items())


def check(counters: Mapping[Counter, float]) -> None:
    """Raise Transient if a counter is impossible, because counting cannot continue from it."""
    for counter, value in counters.items():
        if not _is_count(value):
            raise Transient(f"{counter.name} of {shown(counter.model)} is no count: {value:g}")


def _is_count(value: float) -> bool:
    return 0 <= value <= LARGEST


def normalise(before: Mapping[Counter, float], now: Mapping[Counter, float]) -> list[Used]:
    """The fields of TokenUsage for each model on the page, all its engines together."""
    models: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for counter, value in now.items():
        earlier = before.get(counter, 0.0)
        moved = value - earlier if value >= earlier else value
        # The sum of invalid counts may not be a number; clamped, it is rejected as too large.
        models[counter.model][counter.name] += max(-LARGEST, min(moved, LARGEST))
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
    """The usage, split so that no part exceeds an event's limit, as it may after an outage."""
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
