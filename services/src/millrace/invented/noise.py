"""Noise as a function of name and position only, so that all processes generate the same."""

import hashlib
import math
import struct
from functools import lru_cache
from statistics import NormalDist

HIGHEST = 4.0
"""Bound of a normal value."""
_BITS = 52
_EIGHT = struct.Struct(">8Q")
_inverse = NormalDist().inv_cdf


def smooth(name: str, position: float) -> float:
    """Smooth noise in -1..1 with a random value at each integer position."""
    start = math.floor(position)
    share = position - start
    blend = share * share * (3 - 2 * share)
    return (1 - blend) * at(name, start) + blend * at(name, start + 1)


@lru_cache(4096)
def at(name: str, position: int) -> float:
    """The random value in -1..1 at an integer position."""
    return _digest(f"{name}/{position}") / 2**63 - 1


def normal(name: str) -> float:
    """The normally distributed value of a name."""
    return _normal(_digest(name))


def normals(name: str) -> list[float]:
    """Eight independent ones, in less time than eight times one."""
    digest = hashlib.blake2b(name.encode(), digest_size=_EIGHT.size).digest()
    return [_normal(number) for number in _EIGHT.unpack(digest)]


def _normal(number: int) -> float:
    # In the middle of its interval, because 0 and 1 have no normal value.
    uniform = ((number >> (64 - _BITS)) + 0.5) / 2**_BITS
    return min(max(_inverse(uniform), -HIGHEST), HIGHEST)


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())
