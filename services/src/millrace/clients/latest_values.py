"""The latest value of a symbol in Redis: its content and keys."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import bson
import msgspec

from millrace.clients.mongodb import AS_STORED
from millrace.feeds.base import TIME_FIELD, Feed, as_shown

COMPLETE = "millrace:complete"
"""The key that marks that every symbol has its value; it is lost together with the values."""
TIME, PRICE, QUOTE = "ts_ms", "price", "quote"
"""The fields of a symbol's hash."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Latest(NamedTuple):
    """A symbol's newest event, which depends only on the stored document."""

    symbol: str
    ts_ms: int
    """Event time, in milliseconds since 1970."""
    price: str
    """The feed's number in decimal notation, which is also a JSON number."""
    quote: str
    """The event as JSON, as the API shows it."""

    @property
    def time(self) -> datetime:
        """Event time."""
        return _EPOCH + self.ts_ms * _MILLISECOND


def price_key(symbol: str) -> str:
    """The key of the price, a string."""
    return f"last_price:{symbol}"


def quote_key(symbol: str) -> str:
    """The key of time, price and event, a hash."""
    return f"last_quote:{symbol}"


def of(feed: Feed[Any], document: Mapping[str, Any]) -> Latest:
    """The value of a document, either as inserted or as read back."""
    stored = bson.decode(bson.encode(document), AS_STORED)
    return Latest(
        stored["symbol"],
        (stored[TIME_FIELD] - _EPOCH) // _MILLISECOND,
        decimal(feed.number_in(stored)),
        msgspec.json.encode(as_shown(stored)).decode(),
    )


def decimal(number: float) -> str:
    """The shortest decimal notation of this number, without an exponent."""
    return format(Decimal(repr(number)), "f")
