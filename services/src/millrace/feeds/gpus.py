"""Common parts of both GPU feeds: names and hourly prices of GPUs.

Prices are data: `data/gpu_prices.json` has them with the day from which each applies. A new price
is a new entry, so that values derived from earlier prices stay right. Sources put the price into
their events, so that later entries do not change it.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from importlib.resources import files
from typing import Annotated

import msgspec

from millrace.feeds.base import Index, Reference

# No slashes: a symbol joins host, GPU and model with slashes, and must be unambiguous.
Host = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern="^[^/]*$")]
GpuIndex = Annotated[int, msgspec.Meta(ge=0, le=999)]
GpuName = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
HourlyPrice = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
"""US dollars per hour."""


class _Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The price of a GPU from a day (UTC) on; `source` is the origin of the price."""

    name: str
    also: list[str]
    usd_per_hour: HourlyPrice
    since: date
    source: str

    @property
    def start(self) -> datetime:
        """The time from which the price applies."""
        return datetime.combine(self.since, time(), UTC)


def _load() -> list[_Price]:
    text = (files("millrace") / "data" / "gpu_prices.json").read_bytes()
    return sorted(msgspec.json.decode(text, type=list[_Price]), key=lambda price: price.since)


_PRICES = _load()


def price_at(name: str | None, moment: datetime) -> float | None:
    """The price of this GPU in US dollars per hour at a time; None if it is not in the table."""
    found = None
    for price in _PRICES:
        if (name == price.name or name in price.also) and price.start <= moment:
            found = price.usd_per_hour
    return found


def all_prices() -> Iterator[tuple[str, datetime, float]]:
    """Every price under each of its names, with the time from which it applies, without a zone."""
    for price in _PRICES:
        for name in (price.name, *price.also):
            yield name, price.start.replace(tzinfo=None), price.usd_per_hour


def documents(now: datetime) -> tuple[dict[str, object], ...]:
    """The GPUs in the table, each with its current price, or its first if none applies yet."""
    first = {price.name: price for price in reversed(_PRICES)}
    newest = first | {price.name: price for price in _PRICES if price.start <= now}
    names = list(dict.fromkeys(price.name for price in _PRICES))
    return tuple(
        {
            "_id": name,
            "gpu_index": number,
            "name": name,
            "price_per_hour_usd": newest[name].usd_per_hour,
            "ts": newest[name].start,
        }
        for number, name in enumerate(names)
    )


GPUS = Reference(
    collection="gpus",
    indexes=(Index((("name", 1),)), Index((("gpu_index", 1),))),
    documents=documents(datetime.now(UTC)),
)
"""The GPUs with a known price, as it was when the process started."""
