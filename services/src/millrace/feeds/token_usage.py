"""Feed `token_usage`: tokens that language models read and write, and the cost of a token.

    cost_per_token = price_per_hour / (tokens_per_second * 3600)

Tokens per second are those of one model on one GPU of one host, in the window of event time that
ends with the event.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec

from millrace.events import CLOCKS, Event
from millrace.feeds.base import Feed, Index, Meta, with_envelope
from millrace.feeds.gpus import GPUS, GpuIndex, GpuName, Host, HourlyPrice, price_at
from millrace.feeds.window import Use, Window

WINDOW = timedelta(seconds=30)
LATENESS = timedelta(seconds=10)
"""An event that is older than the newest of its series by more than this is in no rate."""
MIN_SECONDS = 5.0
"""Rates over a shorter time are random: the first event has no time span at all."""
HOUR_SECONDS = 3600

MOST_TOKENS = 10**9
"""Upper limit of the tokens in one event."""
Tokens = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]
Model = Annotated[str, msgspec.Meta(min_length=1, max_length=90)]


class TokenUsage(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tokens that a model used since the previous event, in one request or in several."""

    feed: Literal["token_usage"]
    host: Host
    gpu_index: GpuIndex
    model: Model
    prompt_tokens: Tokens
    completion_tokens: Tokens
    latency_ms: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None
    gpu_name: GpuName | None = None
    price_per_hour_usd: HourlyPrice | None = None
    """The GPU's price per hour; None: the price of `gpu_name` in the price table."""
    span_s: Annotated[float, msgspec.Meta(ge=0, le=1e9)] | None = None
    """Seconds, up to event time, in which the tokens were used; None: since the previous event."""

    def __post_init__(self) -> None:
        """Refuse a symbol that contradicts the fields."""
        if self.symbol != f"{self.host}/{self.gpu_index}/{self.model}":
            raise ValueError("the symbol is not host/gpu_index/model")


def symbol_of(fields: Mapping[str, Any]) -> str:
    """The symbol of an event with these fields."""
    return f"{fields['host']}/{fields['gpu_index']}/{fields['model']}"


def history(_remembered: timedelta) -> Window:
    """The empty window of a series."""
    return Window(WINDOW, LATENESS)


def value(event: TokenUsage) -> Use:
    """The value that the window keeps of an event."""
    return event.event_id, event.prompt_tokens, event.completion_tokens, event.span_s


def derive(event: TokenUsage, window: Window) -> Meta:
    """Tokens per second and US dollars per token; null if unknown.

    `cost_per_token` divides the price by all tokens. The costs of a prompt token and of a
    completion token assume that the GPU processes only tokens of that kind.
    """
    price = event.price_per_hour_usd
    if price is None:
        price = price_at(event.gpu_name, event.observed_at)
    if window.is_late(event.observed_at):
        return _meta(price, late=True)
    prompt, completion, seconds = window.sums(
        event.observed_at, event.prompt_tokens, event.completion_tokens, event.span_s
    )
    return _meta(price, prompt, completion, max(seconds, MIN_SECONDS))


def _meta(
    price: float | None,
    prompt: int | None = None,
    completion: int | None = None,
    seconds: float | None = None,
    *,
    late: bool = False,
) -> Meta:
    def rate(tokens: int | None) -> float | None:
        return None if tokens is None or seconds is None else tokens / seconds

    def cost(tokens: int | None) -> float | None:
        if price is None or not tokens or seconds is None:
            return None
        return price * seconds / HOUR_SECONDS / tokens

    total = None if prompt is None or completion is None else prompt + completion
    return {
        "window_s": seconds,
        "tokens_per_second": rate(total),
        "prompt_tokens_per_second": rate(prompt),
        "completion_tokens_per_second": rate(completion),
        "price_per_hour_usd": price,
        "cost_per_token": cost(total),
        "cost_per_prompt_token": cost(prompt),
        "cost_per_completion_token": cost(completion),
        "late": late,
    }


def document(event: TokenUsage, meta: Meta) -> dict[str, Any]:
    """The document of used tokens."""
    own = {
        "host": event.host,
        "gpu_index": event.gpu_index,
        "gpu_name": event.gpu_name,
        "model": event.model,
        "prompt_tokens": event.prompt_tokens,
        "completion_tokens": event.completion_tokens,
        "latency_ms": event.latency_ms,
        # Only sources that count over a span set it; other and older documents lack the field.
        **({} if event.span_s is None else {"span_s": event.span_s}),
        "cost_per_token": meta["cost_per_token"],
        "ts": event.observed_at,
    }
    return with_envelope(event, own, meta)


TOKEN_USAGE = Feed(
    name="token_usage",
    event_type=TokenUsage,
    topic="token.usage.v1",
    partitions=3,
    collection="token_usage",
    indexes=(
        *Feed.indexes,
        Index((("ts", 1),)),
        Index((("model", 1),)),
    ),
    # Covers the window of an event with the allowed lateness, and the event before that window.
    window=2 * WINDOW + LATENESS,
    # The end time of an answer that is read again depends on what was read before, which has grown.
    is_one_at_any_time=True,
    # After an event far in the future all others would be late.
    ahead=CLOCKS,
    history=history,
    value=value,
    stored_value=("_id", "prompt_tokens", "completion_tokens", "span_s"),
    derive=derive,
    document=document,
    symbol_of=symbol_of,
    sent_by="host",
    reference=GPUS,
)
