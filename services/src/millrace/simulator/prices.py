"""Simulated prices: they move like real ones, and are a function of symbol and time only.

Every instance of the simulator generates the same prices, also after a restart. The logarithm of a
price is a sum of smooth noises with periods from a few minutes to a few months, so that prices move
randomly but never leave a plausible band.
"""

import math

from millrace.sources.noise import smooth

SHORTEST_TURN = 60.0
OCTAVES = 9
TURN_RATIO = 4.0
SWING = 0.06
"""Half the width of the band of the slowest noise, as a fraction of the price."""


def price(symbol: str, anchor: float, at: float) -> float:
    """The price at a time (seconds since 1970), within about 15 % of its anchor."""
    wander = 0.0
    for octave in range(OCTAVES):
        turn = SHORTEST_TURN * TURN_RATIO**octave
        # As in a random walk, the swing grows with the square root of the time.
        swing = SWING * TURN_RATIO ** ((octave - OCTAVES + 1) / 2)
        wander += swing * smooth(f"{symbol}/{octave}", at / turn)
    return anchor * math.exp(wander)
