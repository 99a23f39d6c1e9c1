"""Feed `metals`: spot prices of precious metals, with the 24 hour change from our history."""

from datetime import timedelta
from typing import Any, Literal

from millrace.events import Event, Name, Price
from millrace.feeds.base import Feed, Meta, with_envelope
from millrace.feeds.history import History
from millrace.feeds.prices import STORED_PRICE, Measured, change, price_of, problem

DAY = timedelta(hours=24)
OLDEST = timedelta(hours=48)
"""Older baselines are not used for the 24 hour change."""


class MetalPrice(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The price of one unit of a metal."""

    feed: Literal["metals"]
    price: Price
    currency: Name
    unit: Name
    metal_name: Name


def value(event: MetalPrice) -> Measured:
    """The value that the history keeps of a price."""
    return *price_of(event), event.unit


def change_pct_24h(event: MetalPrice, history: History) -> Meta:
    """The change from the newest price that is 24 to 48 hours older."""
    baseline = history.at_or_before(event.observed_at - DAY)
    if baseline is not None and baseline[0] < event.observed_at - OLDEST:
        baseline = None
    return {"change_pct_24h": change(value(event), baseline), "unit": event.unit}


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
    value=value,
    stored_value=(*STORED_PRICE, "meta.unit"),
    derive=change_pct_24h,
    document=document,
    problem=problem,
)
