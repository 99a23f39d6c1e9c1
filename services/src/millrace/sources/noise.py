"""Noise as a function of name and position only, so that all processes generate the same."""

import hashlib
import math


def smooth(name: str, position: float) -> float:
    """Smooth noise in -1..1 with a random value at each integer position."""
    start = math.floor(position)
    share = position - start
    blend = share * share * (3 - 2 * share)
    return (1 - blend) * at(name, start) + blend * at(name, start + 1)


def at(name: str, position: int) -> float:
    """The random value in -1..1 at an integer position."""
    digest = hashlib.blake2b(f"{name}/{position}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**63 - 1
