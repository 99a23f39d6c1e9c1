"""Chance that is a function of a name and a place alone: every process tells the same story."""

import hashlib
import math


def smooth(name: str, position: float) -> float:
    """Smooth noise in -1..1 that passes through a random value at each whole position."""
    start = math.floor(position)
    share = position - start
    blend = share * share * (3 - 2 * share)
    return (1 - blend) * at(name, start) + blend * at(name, start + 1)


def at(name: str, position: int) -> float:
    """The random value in -1..1 at a whole position."""
    digest = hashlib.blake2b(f"{name}/{position}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**63 - 1
