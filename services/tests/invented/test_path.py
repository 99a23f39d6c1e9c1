"""The path of a price: a Brownian motion, the same everywhere, whose extremes are found exactly."""

import math
from itertools import pairwise
from statistics import fmean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.invented import noise, path

DAY = 14_500
PIECES = 2**14


@pytest.mark.parametrize("days", [1, 1 / 8, 1 / 512, 1 / PIECES])
def test_it_moves_as_a_brownian_motion_does(days: float) -> None:
    values = [path.at("A", DAY + n * days) for n in range(4000)]
    moves = [later - earlier for earlier, later in pairwise(values)]
    expected = path.DAILY * math.sqrt(days)
    assert stdev(moves) == pytest.approx(expected, rel=0.05)
    assert abs(fmean(moves)) < 3 * expected / math.sqrt(len(moves))
    # Neighbouring moves have nothing to do with each other.
    assert abs(fmean(a * b for a, b in pairwise(moves))) < 0.05 * expected**2


def test_it_stays_near_where_it_is_usually() -> None:
    values = [path.at("A", 7.3 * n) for n in range(4000)]
    assert max(map(abs, values)) < 0.4
    assert abs(fmean(values)) < 0.02


def test_it_has_no_jumps() -> None:
    """Also from one of the pieces of 32 days to the next."""
    for days in (DAY, DAY + 0.5, 32 * 450, 1 / PIECES):
        assert path.at("A", days - 1e-9) == pytest.approx(path.at("A", days), abs=1e-6)


@given(st.integers(0, 20_000), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=10)
def test_its_extremes_are_those_of_all_its_points(day: int, one: float, other: float) -> None:
    since, until = day + min(one, other), day + max(one, other)
    inside = range(math.ceil(since * PIECES), math.floor(until * PIECES) + 1)
    values = [path.at("A", place / PIECES) for place in inside]
    values += [path.at("A", since), path.at("A", until)]
    assert path.extremes("A", since, until) == (min(values), max(values))


def test_normal_values_are_normally_distributed() -> None:
    values = [noise.normal(f"A/{n}") for n in range(4000)]
    assert fmean(values) == pytest.approx(0, abs=0.05)
    assert stdev(values) == pytest.approx(1, rel=0.03)
    assert sum(abs(value) < 1 for value in values) / len(values) == pytest.approx(0.683, abs=0.02)
