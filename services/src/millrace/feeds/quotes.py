"""Feed `quotes`: what a share is worth from moment to moment, many times a second."""

from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec

from millrace.events import CLOCKS, Event, Name, Price
from millrace.feeds.base import Feed, Meta, with_envelope
from millrace.feeds.prices import STORED_PRICE, change_pct, price_of, problem

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
    # One that is not yet true would be the latest until then.
    ahead=CLOCKS,
    value=price_of,
    stored_value=STORED_PRICE,
    derive=change_pct,
    document=document,
    problem=problem,
    is_cached=True,
)
