"""A Brownian motion as a function of name and time only, in days of trading.

Every 32 days it has a random value around 0. In between, each half of a piece is found from the
piece (Lévy's construction): the value in its middle is the mean of those at its ends and a normally
distributed part. The smallest pieces are straight: 16,384 a day.
"""

import math
from functools import lru_cache
from itertools import pairwise

from millrace.invented import noise

DAILY = 0.3 / math.sqrt(252)
"""Standard deviation of the change in a day: a large share's, 30 % in a year."""
_DAY, _BLOCK, _SMALLEST = 5, 16, 19
"""How often a piece of 32 days is halved until it is a day, a block, or one of the smallest."""
_KNOTS: float = DAILY * math.sqrt(2**_DAY / 2)
"""Standard deviation of the values every 32 days: their differences are those of the motion."""
_MIDDLES: list[float] = [DAILY * math.sqrt(2.0 ** (_DAY - level)) / 2 for level in range(_SMALLEST)]
"""Standard deviations of the middles of pieces."""
_REACH: list[float] = [noise.HIGHEST * sum(_MIDDLES[level:]) for level in range(_SMALLEST)]
"""How far the motion within a piece can be from its nearer end, at most."""
_BLOCKS, _PARTS = 2.0 ** (_BLOCK - _DAY), 2.0 ** (_SMALLEST - _BLOCK)
"""The blocks of a day, and the smallest pieces of a block."""


def at(name: str, days: float) -> float:
    """The value at a time."""
    place = days * _BLOCKS
    block = int(place)
    within = (place - block) * _PARTS
    part = int(within)
    points = _points(name, block)
    return points[part] + (within - part) * (points[part + 1] - points[part])


def extremes(name: str, since: float, until: float) -> tuple[float, float]:
    """The lowest and the highest value between two times of one day."""
    ends = at(name, since), at(name, until)
    return (
        -_highest(name, since, until, -1, max(-end for end in ends)),
        _highest(name, since, until, 1, max(ends)),
    )


def _highest(name: str, since: float, until: float, sign: int, best: float) -> float:
    """The highest value times sign; leaves out pieces that cannot reach the best one so far."""
    waiting = [(_DAY, int(since))]
    while waiting:
        level, number = waiting.pop()
        pieces = 2.0 ** (level - _DAY)
        begin, end = (sign * value for value in _ends(name, level, number))
        is_apart = (number + 1) / pieces <= since or number / pieces >= until
        if is_apart or max(begin, end) + _REACH[level] <= best:
            continue
        if level < _BLOCK:
            halves = [(level + 1, 2 * number), (level + 1, 2 * number + 1)]
            waiting += halves if end > begin else reversed(halves)
        else:
            for part, value in enumerate(_points(name, number)):
                if since <= (number + part / _PARTS) / _BLOCKS <= until:
                    best = max(best, sign * value)
    return best


@lru_cache(8192)
def _points(name: str, block: int) -> tuple[float, ...]:
    """The values at the ends of a block's smallest pieces, from its first to its last."""
    parts = noise.normals(f"{name}/{_BLOCK}/{block}")
    points: tuple[float, ...] = _ends(name, _BLOCK, block)
    for level in range(_BLOCK, _SMALLEST):
        halved = [points[0]]
        for begin, end in pairwise(points):
            halved += ((begin + end) / 2 + _MIDDLES[level] * parts.pop(), end)
        points = tuple(halved)
    return points


@lru_cache(8192)
def _ends(name: str, level: int, number: int) -> tuple[float, float]:
    """The values at the ends of a piece."""
    if not level:
        begin, end = (_KNOTS * noise.normal(f"{name}/{n}") for n in (number, number + 1))
        return begin, end
    begin, end = _ends(name, level - 1, number // 2)
    part = _MIDDLES[level - 1] * noise.normal(f"{name}/{level}/{number // 2}")
    middle = (begin + end) / 2 + part
    return (middle, end) if number % 2 else (begin, middle)
