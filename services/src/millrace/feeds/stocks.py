"""Feed `stocks`: prices of shares, the move since the one before, an alert if it is large."""

from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec

from millrace.events import Alert, Event, Name, Price
from millrace.feeds.base import Feed, Meta, change_pct, with_envelope

WINDOW = timedelta(days=14)
"""Longer than any pause of the exchange: the price before a holiday is found."""


class StockPrice(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a share traded at: `price` is the last price, or the close of the day."""

    feed: Literal["stocks"]
    open: Price
    high: Price
    low: Price
    price: Price
    volume: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    currency: Name


def document(event: StockPrice, meta: Meta) -> dict[str, Any]:
    """The document of a share's price."""
    own = {
        "price": {"value": event.price, "currency": event.currency},
        "open": event.open,
        "high": event.high,
        "low": event.low,
        "volume": event.volume,
    }
    return with_envelope(event, own, meta)


def alert(event: StockPrice, meta: Meta, threshold: float) -> Alert | None:
    """An alert if the price moved by the threshold (a fraction of the earlier price) or more."""
    change = meta["change_pct"]
    if not isinstance(change, float) or abs(change) < 100 * threshold:
        return None
    return Alert(
        event_id=f"{event.event_id}:move",
        schema_version=1,
        feed=event.feed,
        symbol=event.symbol,
        observed_at=event.observed_at,
        kind="move",
        value=change / 100,
        threshold=threshold,
        cause=event.event_id,
    )


STOCKS = Feed(
    name="stocks",
    event_type=StockPrice,
    topic="stock-data",
    partitions=3,
    collection="stock_data",
    window=WINDOW,
    value=lambda event: event.price,
    stored_value="price.value",
    derive=change_pct,
    document=document,
    alert=alert,
    alert_topic="stock-alerts",
)
