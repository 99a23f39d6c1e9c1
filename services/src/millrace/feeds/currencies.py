"""Currencies: how they are written, and in which one a share is quoted whose symbol alone is told.

A symbol without an exchange is a share of the US, in dollars. What others are in does not follow
from the exchange: London's quotes are in pence, and some in pounds, dollars or euros.
"""

import re

from millrace.parsing import scalars

DOLLARS, UNKNOWN = "USD", "XXX"
"""As ISO 4217 has them: XXX is none."""
_CODE = re.compile(r"[A-Z][A-Z0-9]{2,9}")
"""ISO 4217, and what is written like it: GBX, USDT."""
_OF_THE_US = re.compile(r"[A-Z]{1,5}([-. /][ABC])?")
"""One letter is a class of shares, as in BRK.B; others are an exchange, as in SHOP-T and XYZ LN, or
a currency, as in BTC-EUR; digits, signs and six letters are no share of the US."""


def problem(currency: str) -> str | None:
    """What is wrong with how it is written: prices in `usd` and in `USD` would not be compared."""
    if _CODE.fullmatch(currency) and not scalars.is_missing(currency):
        return None
    # Small letters cannot be taken for capitals: GBp is a hundredth of GBP.
    return (
        f"`currency` is {currency[:20]!a}: write its code in capitals, like USD, and GBX for pence"
    )


def is_of_the_us(symbol: str) -> bool:
    """Whether the symbol names no exchange."""
    return _OF_THE_US.fullmatch(symbol) is not None


def currency_of(symbol: str) -> str:
    """The currency of its quotes."""
    return DOLLARS if is_of_the_us(symbol) else UNKNOWN
