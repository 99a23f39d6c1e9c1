"""Feed `quotes`: what a share is worth from moment to moment, many times a second."""

from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec

from millrace.events import Event, Name, Price
from millrace.feeds.base import Feed, Index, Meta
from millrace.feeds.history import History

WINDOW = timedelta(minutes=10)
"""A quote older than this is none to compare with: the market had stopped."""


class Quote(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A quote: the last price, and what buyers bid and sellers ask where it is known."""

    feed: Literal["quotes"]
    price: Price
    bid: Price | None = None
    ask: Price | None = None
    volume: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    currency: Name


def change_pct(event: Quote, history: History) -> Meta:
    """100 * (p / p0 - 1), p0 being the newest earlier price of the symbol; null without one."""
    return {"change_pct": history.change_pct(event.observed_at, event.price)}


def document(event: Quote, meta: Meta) -> dict[str, Any]:
    """The document of a quote."""
    return {
        "schema_version": event.schema_version,
        "feed": event.feed,
        "symbol": event.symbol,
        "price": {"value": event.price, "currency": event.currency},
        "bid": event.bid,
        "ask": event.ask,
        "volume": event.volume,
        "source": event.source,
        "simulated": event.simulated,
        "timestamp_utc": event.observed_at,
        "produced_at": event.produced_at,
        "meta": meta,
    }


QUOTES = Feed(
    name="quotes",
    event_type=Quote,
    topic="quotes",
    partitions=3,
    collection="historical_quotes",
    indexes=(
        Index((("symbol", 1), ("timestamp_utc", -1))),
        Index((("timestamp_utc", -1), ("_id", -1))),
    ),
    window=WINDOW,
    value=lambda event: event.price,
    stored_value="price.value",
    derive=change_pct,
    document=document,
)
