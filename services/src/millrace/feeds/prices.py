"""Prices, and how they have moved. A price says nothing without what it is measured in."""

from datetime import datetime
from typing import Protocol

from millrace.feeds import currencies
from millrace.feeds.base import Meta
from millrace.feeds.history import History, Point

Measured = tuple[float, *tuple[str, ...]]
"""A number, and what it is measured in: a currency, a unit of mass."""

STORED_PRICE = ("price.value", "price.currency")
"""Where a document has what `price_of` says."""


class Priced(Protocol):
    """An event with a price."""

    @property
    def observed_at(self) -> datetime:
        """Event time."""
        ...

    @property
    def price(self) -> float:
        """The price, in its currency."""
        ...

    @property
    def currency(self) -> str:
        """The currency."""
        ...


def problem(event: Priced) -> str | None:
    """What is wrong with how the currency is written."""
    return currencies.problem(event.currency)


def price_of(event: Priced) -> Measured:
    """What a history keeps of a price."""
    return event.price, event.currency


def change(value: Measured, earlier: Point | None) -> float | None:
    """100 * (p / p0 - 1), in percent.

    Null where there is no earlier one or it is 0, and where the two are not measured in the same.
    """
    if earlier is None:
        return None
    former: Measured = earlier[1]
    if not former[0] or former[1:] != value[1:]:
        return None
    return 100 * (value[0] / former[0] - 1)


def change_pct(event: Priced, history: History) -> Meta:
    """The change since the newest earlier price of the symbol."""
    return {"change_pct": change(price_of(event), history.before(event.observed_at))}
