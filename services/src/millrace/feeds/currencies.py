"""Currencies: their notation, and the currency of a share of which only the symbol is known.

A symbol without an exchange is a US share, in dollars. For others the currency does not follow from
the exchange: London's quotes are in pence, but some are in pounds, dollars or euros.
"""

import re
from functools import lru_cache

from millrace.parsing import scalars

DOLLARS, UNKNOWN = "USD", "XXX"
"""ISO 4217 codes; XXX means no currency."""
_CODE = re.compile(r"[A-Z][A-Z0-9]{2,9}")
"""ISO 4217 codes, and similar ones such as GBX and USDT."""
_OF_THE_US = re.compile(r"[A-Z]{1,5}([-. /][ABC])?")
"""A suffix of A, B or C is a share class, as in BRK.B; others are an exchange, as in SHOP-T and
XYZ LN, or a currency, as in BTC-EUR. Digits, signs and six letters are not US shares."""


@lru_cache(64)
def problem(currency: str) -> str | None:
    """A problem with the notation: prices in `usd` and in `USD` would not be compared."""
    if _CODE.fullmatch(currency) and not scalars.is_missing(currency):
        return None
    # Lower case cannot be converted: GBp is a hundredth of GBP.
    return (
        f"`currency` is {currency[:20]!a}: write its code in capitals, like USD, and GBX for pence"
    )


def is_of_the_us(symbol: str) -> bool:
    """Whether the symbol names no exchange."""
    return _OF_THE_US.fullmatch(symbol) is not None


def currency_of(symbol: str) -> str:
    """The currency of a symbol's quotes."""
    return DOLLARS if is_of_the_us(symbol) else UNKNOWN
