"""Prices and their changes. A price is meaningless without its currency and unit."""

from datetime import datetime
from typing import Protocol

from millrace.feeds import currencies
from millrace.feeds.base import Meta
from millrace.feeds.history import History, Point

Measured = tuple[float, *tuple[str, ...]]
"""A number, and its units: a currency, a unit of mass."""

STORED_PRICE = ("price.value", "price.currency")
"""The paths of the parts of `price_of` in a document."""


class Priced(Protocol):
    """An event with a price."""

    @property
    def observed_at(self) -> datetime:
        """Event time."""
        ...

    @property
    def price(self) -> float:
        """The price, in `currency`."""
        ...

    @property
    def currency(self) -> str:
        """The currency of `price`."""
        ...


def problem(event: Priced) -> str | None:
    """A problem with the currency's notation."""
    return currencies.problem(event.currency)


def price_of(event: Priced) -> Measured:
    """The value that a history keeps of a price."""
    return event.price, event.currency


def change(value: Measured, earlier: Point | None) -> float | None:
    """100 * (p / p0 - 1), in percent.

    None if there is no earlier one, it is 0, or their units differ.
    """
    if earlier is None:
        return None
    former: Measured = earlier[1]
    if not former[0] or former[1:] != value[1:]:
        return None
    return 100 * (value[0] / former[0] - 1)


def change_pct(event: Priced, history: History) -> Meta:
    """The change from the newest earlier price of the symbol."""
    return {"change_pct": change(price_of(event), history.before(event.observed_at))}
