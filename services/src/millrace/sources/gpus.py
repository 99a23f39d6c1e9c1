"""Common parts of the GPU sources: the location of a GPU, and the events of readings.

Unknown readings are null. An impossible reading is null and rejected; the others of its GPU are
still used.
"""

import hashlib
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
import structlog

from millrace.config import Settings
from millrace.events import Event
from millrace.feeds import gpu_metrics, token_usage
from millrace.feeds.base import Feed
from millrace.feeds.gpu_metrics import GPU_METRICS, GpuMetrics
from millrace.feeds.gpus import price_at
from millrace.feeds.minting import mint
from millrace.feeds.token_usage import TOKEN_USAGE, TokenUsage
from millrace.parsing import scalars
from millrace.runtime.redaction import shown
from millrace.sources.base import Batch, Rejected

E = TypeVar("E", bound=Event)

log = structlog.get_logger(__name__)

MOST_NAMES = 100
"""Maximum number of GPUs that are reported as having no price: labels may vary without end."""
HOW = (
    "gpu_price_per_hour of the producer, which is MILLRACE_PRODUCER_GPU_PRICE_PER_HOUR, or a"
    " gpu_name that services/src/millrace/data/gpu_prices.json has, or an entry there"
)
_unpriced: set[str | None] = set()
"""The names of GPUs that were reported."""
UNKNOWN = "unknown"
"""The name of a GPU without a name."""
_READINGS = {
    field.name: field.type
    for field in msgspec.structs.fields(GpuMetrics)
    if field.name in gpu_metrics.READINGS
}


@dataclass(frozen=True)
class ServingGpu:
    """The GPU that a model runs on, for sources that do not provide it."""

    host: str
    gpu_index: int = 0
    gpu_name: str | None = None
    price_per_hour: float | None = None
    """US dollars; None: the price in the price table."""

    @classmethod
    def from_settings(cls, settings: Settings) -> "ServingGpu":
        """The configured GPU."""
        return cls(
            settings.producer_host or socket.gethostname(),
            settings.producer_gpu_index,
            settings.producer_gpu_name or None,
            settings.producer_gpu_price_per_hour,
        )


def batch(found: Iterable[Event | Rejected], *, simulated: bool) -> Batch:
    """The batch of one poll, with events and rejected readings."""
    events: list[Event] = []
    rejected: list[Rejected] = []
    for one in found:
        if isinstance(one, Rejected):
            rejected.append(one)
        else:
            events.append(one)
    return Batch(events, simulated, rejected)


def whole_milliseconds(seconds: float) -> datetime:
    """A time with MongoDB's resolution."""
    return datetime.fromtimestamp(int(seconds * 1000) / 1000, UTC)


def metrics(
    source: str,
    readings: Mapping[str, Any],
    price: float | None,
    now: float,
    *,
    simulated: bool,
    observed_at: datetime | None = None,
    story: Iterable[object] = (),
) -> list[GpuMetrics | Rejected]:
    """The event of a GPU's readings, and the rejected ones.

    Readings have the names of GpuMetrics; `now` is in seconds since 1970. `story` distinguishes the
    event from another one of the same GPU and time.
    """
    symbol = gpu_metrics.symbol_of(readings)
    time = observed_at or whole_milliseconds(now)
    believed, rejected = _believed(symbol, readings)
    known = _price(str(readings["name"]), price, time)
    fields = {**believed, "price_per_hour_usd": known}
    unique = (symbol, round(time.timestamp() * 1000), *story)
    event = _event(GPU_METRICS, source, symbol, unique, fields, time, now, simulated)
    return [event, *rejected]


def _price(name: str | None, declared: float | None, time: datetime) -> float | None:
    """US dollars per hour; a missing price is reported once per name."""
    price = price_at(name, time) if declared is None else declared
    if price is None and len(_unpriced) < MOST_NAMES:
        known = None if name is None else shown(name)
        if known not in _unpriced:
            _unpriced.add(known)
            day = f"{time:%Y-%m-%d}"
            log.warning("this GPU has no price: costs are null", gpu_name=known, day=day, set=HOW)
    return price


def _believed(symbol: str, readings: Mapping[str, Any]) -> tuple[dict[str, Any], list[Rejected]]:
    """The readings, with values that are invalid for their kind replaced by null."""
    believed, rejected = dict(readings), []
    for name, kind in _READINGS.items():
        try:
            msgspec.convert(readings.get(name), kind)
        except msgspec.ValidationError as error:
            believed[name] = None
            rejected.append(Rejected(shown(symbol), shown(f"{name} is not believed: {error}")))
    return believed, rejected


def usage(
    source: str,
    place: ServingGpu,
    used: Mapping[str, Any],
    identity: str,
    now: float,
    *,
    simulated: bool,
    observed_at: datetime | None = None,
) -> TokenUsage | Rejected:
    """The event of token usage: model, tokens and latency by the names of TokenUsage.

    `identity` distinguishes it from any other use of the series at the same time.
    """
    time = observed_at or whole_milliseconds(now)
    fields = {
        "host": place.host,
        "gpu_index": place.gpu_index,
        "gpu_name": place.gpu_name,
        "price_per_hour_usd": _price(place.gpu_name, place.price_per_hour, time),
        **used,
    }
    symbol = token_usage.symbol_of(fields)
    # An id is a digest, because names of models are long and ids must not be.
    unique = f"{symbol}\n{time.isoformat()}\n{identity}".encode(errors="replace")
    digest = hashlib.sha256(unique).hexdigest()[:32]
    return _event(TOKEN_USAGE, source, symbol, (digest,), fields, time, now, simulated)


def _event(
    feed: Feed[E],
    source: str,
    symbol: str,
    unique: Iterable[object],
    fields: Mapping[str, Any],
    time: datetime,
    now: float,
    simulated: bool,
) -> E | Rejected:
    try:
        _check_names(fields)
        return mint(
            feed,
            source,
            *unique,
            simulated=simulated,
            produced_at=datetime.fromtimestamp(now, UTC),
            symbol=symbol,
            observed_at=time,
            **fields,
        )
    except ValueError as error:
        return Rejected(shown(symbol), shown(error))


def _check_names(fields: Mapping[str, Any]) -> None:
    """Raise ValueError if a name in the symbol looks like another, or denotes a missing one."""
    for field in ("host", "model"):
        if isinstance(name := fields.get(field), str):
            try:
                scalars.name(name)
            except ValueError as error:
                raise ValueError(f"`{field}` {error}") from None
