"""Feed `metals`: spot prices of precious metals, with the 24 hour change from our history."""

from datetime import timedelta
from typing import Any, Literal

from millrace.events import Event, Name, Price
from millrace.feeds.base import Feed, Meta, with_envelope
from millrace.feeds.history import History

DAY = timedelta(hours=24)
OLDEST = timedelta(hours=48)
"""A baseline older than this says nothing about the last 24 hours."""


class MetalPrice(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The price of one unit of a metal."""

    feed: Literal["metals"]
    price: Price
    currency: Name
    unit: Name
    metal_name: Name


def change_pct_24h(event: MetalPrice, history: History) -> Meta:
    """100 * (p / p0 - 1), p0 being the newest price 24 to 48 hours older; null without one."""
    baseline = history.at_or_before(event.observed_at - DAY)
    if baseline is None or baseline[0] < event.observed_at - OLDEST or baseline[1] == 0:
        change = None
    else:
        change = 100 * (event.price / baseline[1] - 1)
    return {"change_pct_24h": change, "unit": event.unit}


def document(event: MetalPrice, meta: Meta) -> dict[str, Any]:
    """The document of a metal price."""
    own = {
        "metal_name": event.metal_name,
        "price": {"value": event.price, "currency": event.currency},
    }
    return with_envelope(event, own, meta)


METALS = Feed(
    name="metals",
    event_type=MetalPrice,
    topic="metal-prices",
    partitions=3,
    collection="metal_prices",
    window=timedelta(hours=49),
    value=lambda event: event.price,
    stored_value="price.value",
    derive=change_pct_24h,
    document=document,
)
