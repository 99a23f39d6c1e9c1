"""Feed `quotes`: quotes of shares, many times per second."""

from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec

from millrace.events import CLOCKS, Event, Name, Price
from millrace.feeds.base import Feed, Meta, with_envelope
from millrace.feeds.prices import STORED_PRICE, change_pct, price_of, problem

WINDOW = timedelta(minutes=10)
"""Older quotes are not compared with: the market had stopped."""


class Quote(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A quote: the last price, and bid and ask if they are known."""

    feed: Literal["quotes"]
    price: Price
    bid: Price | None = None
    ask: Price | None = None
    volume: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    currency: Name


def document(event: Quote, meta: Meta) -> dict[str, Any]:
    """The document of a quote."""
    own = {
        "price": {"value": event.price, "currency": event.currency},
        "bid": event.bid,
        "ask": event.ask,
        "volume": event.volume,
    }
    return with_envelope(event, own, meta)


QUOTES = Feed(
    name="quotes",
    event_type=Quote,
    topic="quotes",
    partitions=3,
    collection="historical_quotes",
    window=WINDOW,
    # A quote from the future would stay the latest until then.
    ahead=CLOCKS,
    value=price_of,
    stored_value=STORED_PRICE,
    derive=change_pct,
    document=document,
    problem=problem,
    is_cached=True,
)
