"""What both feeds about GPUs share: how one is named, and what an hour of it costs.

Prices are data: `data/gpu_prices.json` says from which day on each of them holds. A new price is a
new entry, and what was derived by the one before stays right. The sources put the price into their
events, so that it stays theirs whatever is entered later.
"""

from datetime import UTC, date, datetime, time
from importlib.resources import files
from typing import Annotated

import msgspec

from millrace.feeds.base import Index, Reference

# Without a slash: a symbol joins a host, a GPU and a model with slashes, and has to say which.
Host = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern="^[^/]*$")]
GpuIndex = Annotated[int, msgspec.Meta(ge=0, le=999)]
GpuName = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
HourlyPrice = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
"""US dollars an hour."""


class _Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a GPU costs from a day (UTC) on; `source` says who says so."""

    name: str
    also: list[str]
    usd_per_hour: HourlyPrice
    since: date
    source: str

    @property
    def start(self) -> datetime:
        """When the price begins to hold."""
        return datetime.combine(self.since, time(), UTC)


def _load() -> list[_Price]:
    text = (files("millrace") / "data" / "gpu_prices.json").read_bytes()
    return sorted(msgspec.json.decode(text, type=list[_Price]), key=lambda price: price.since)


_PRICES = _load()


def price_at(name: str | None, moment: datetime) -> float | None:
    """US dollars that an hour of this GPU cost at a time; None if the table does not say."""
    found = None
    for price in _PRICES:
        if (name == price.name or name in price.also) and price.start <= moment:
            found = price.usd_per_hour
    return found


def documents(now: datetime) -> tuple[dict[str, object], ...]:
    """The GPUs that the table names, each with the price that holds now, else with its first."""
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
"""The GPUs whose price is known, with the price of each that held when the process started."""
