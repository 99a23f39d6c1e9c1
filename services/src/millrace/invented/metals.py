"""Invented metals: they are traded around the clock.

The logarithm of a price is a sum of smooth noises with periods from a few minutes to a few months,
so that prices move randomly but never leave a plausible band.
"""

import math

from millrace.invented.noise import smooth

USUAL = {"XAU": 4180.0, "XAG": 51.0, "XPT": 1600.0, "XPD": 1400.0}
"""US dollars per troy ounce."""
SHORTEST_TURN = 60.0
OCTAVES = 9
TURN_RATIO = 4.0
SWING = 0.06
"""Half the width of the band of the slowest noise, as a fraction of the price."""
_DECIMALS = 4


def price(symbol: str, at: float) -> float:
    """US dollars per ounce at a time (seconds since 1970), within about 15 % of the usual."""
    wander = 0.0
    for octave in range(OCTAVES):
        turn = SHORTEST_TURN * TURN_RATIO**octave
        # As in a random walk, the swing grows with the square root of the time.
        swing = SWING * TURN_RATIO ** ((octave - OCTAVES + 1) / 2)
        wander += swing * smooth(f"{symbol}/{octave}", at / turn)
    return round(USUAL[symbol] * math.exp(wander), _DECIMALS)
