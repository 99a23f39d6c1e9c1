"""In which currency a share is quoted, where only its symbol is told.

A symbol without an exchange is a share of the US, in dollars. What others are in does not follow
from the exchange: London's quotes are in pence, and some in pounds, dollars or euros.
"""

import re

DOLLARS, UNKNOWN = "USD", "XXX"
"""As ISO 4217 has them: XXX is none."""
_OF_THE_US = re.compile(r"[^.:\s]+([. ][ABC])?")
"""One letter is a class of shares, as in BRK.B; two behind a space are an exchange: XYZ LN."""


def is_of_the_us(symbol: str) -> bool:
    """Whether the symbol names no exchange."""
    return _OF_THE_US.fullmatch(symbol) is not None


def currency_of(symbol: str) -> str:
    """The currency of its quotes."""
    return DOLLARS if is_of_the_us(symbol) else UNKNOWN
