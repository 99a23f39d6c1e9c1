"""The latest value of a symbol: what Redis keeps of it, under which names."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import bson
import msgspec

from millrace.clients.mongodb import AS_STORED
from millrace.feeds.base import TIME_FIELD, Feed, as_shown

COMPLETE = "millrace:complete"
"""The key that says that every symbol has its value: it is lost when the values are."""
TIME, PRICE, QUOTE = "ts_ms", "price", "quote"
"""The fields of a symbol's hash."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Latest(NamedTuple):
    """A symbol's newest event. It follows from the stored document and from nothing else."""

    symbol: str
    ts_ms: int
    """Event time, in milliseconds since 1970."""
    price: str
    """The feed's number, in decimals, which is a JSON number too."""
    quote: str
    """The event in JSON, as the API shows events."""

    @property
    def time(self) -> datetime:
        """Event time."""
        return _EPOCH + self.ts_ms * _MILLISECOND


def price_key(symbol: str) -> str:
    """The key of the price alone, a string."""
    return f"last_price:{symbol}"


def quote_key(symbol: str) -> str:
    """The key of time, price and event, a hash."""
    return f"last_quote:{symbol}"


def of(feed: Feed[Any], document: Mapping[str, Any]) -> Latest:
    """The value that follows from a document, be it as it was inserted or as it was read back."""
    stored = bson.decode(bson.encode(document), AS_STORED)
    return Latest(
        stored["symbol"],
        (stored[TIME_FIELD] - _EPOCH) // _MILLISECOND,
        decimal(feed.number_in(stored)),
        msgspec.json.encode(as_shown(stored)).decode(),
    )


def decimal(number: float) -> str:
    """The shortest decimals that are this number, never with an exponent."""
    return format(Decimal(repr(number)), "f")
