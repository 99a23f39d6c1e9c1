"""Feed `stocks`: prices of shares, their move since the previous price, and alerts on large moves.

Prices are not adjusted, so a split moves them although nobody has lost anything. A price alone
does not show a split: if it is a whole multiple or fraction of the previous one, within a tenth,
the alert has another kind than that of a move.
"""

from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec

from millrace.events import Alert, Event, Name, Price
from millrace.feeds import prices
from millrace.feeds.base import Feed, Meta, with_envelope
from millrace.feeds.prices import STORED_PRICE, change_pct, price_of

WINDOW = timedelta(days=14)
"""Longer than any pause of the exchange, so that the price before a holiday is found."""
MOVE, POSSIBLE_SPLIT = "move", "possible_split"
"""The kinds of an alert."""
SPREAD = 0.1
"""How much else the price may move on the day of a split."""


class StockPrice(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The price of a share: `price` is the last price, or the day's close."""

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


def problem(event: StockPrice) -> str | None:
    """An invalid range or currency.

    The price may be outside the range, because trading continues after the close.
    """
    if event.low > event.high:
        return f"the low, {event.low:g}, is above the high, {event.high:g}"
    return prices.problem(event)


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
        kind=POSSIBLE_SPLIT if is_split(1 + change / 100) else MOVE,
        value=change / 100,
        threshold=threshold,
        cause=event.event_id,
    )


def is_split(ratio: float) -> bool:
    """Whether the ratio to the previous price suggests a split, or a reverse split.

    Splits such as three for two are not detected.
    """
    if ratio <= 0:
        # The ratio was rounded to 0: it was less than 10^-16.
        return False
    factor = max(ratio, 1 / ratio)
    return factor > 2 - 2 * SPREAD and abs(factor / round(factor) - 1) <= SPREAD


STOCKS = Feed(
    name="stocks",
    event_type=StockPrice,
    topic="stock-data",
    partitions=3,
    collection="stock_data",
    window=WINDOW,
    value=price_of,
    stored_value=STORED_PRICE,
    derive=change_pct,
    document=document,
    alert=alert,
    problem=problem,
    alert_topic="stock-alerts",
    archive_period="month",
)
