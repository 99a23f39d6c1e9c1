"""Numbers on a command line, in the usual notation: Python itself accepts `1_0` for ten."""

from collections.abc import Callable
from math import inf
from typing import TypeVar

import typer

from millrace.parsing import scalars

T = TypeVar("T", int, float)


def number(least: float = -inf, most: float = inf) -> Callable[[str | float], float]:
    """A parser of numbers from `least` to `most`; it raises typer.BadParameter for other text."""
    return _reader(float, least, most)


def whole(least: float = -inf) -> Callable[[str | int], int]:
    """A parser of integers from `least`; it raises typer.BadParameter for other text."""
    return _reader(int, least, inf)


def _reader(kind: type[T], least: float, most: float) -> Callable[[str | T], T]:
    def read(text: str | T) -> T:
        try:
            value = scalars.number(text, whole=kind is int)
        except ValueError as error:
            raise typer.BadParameter(f"it {error}") from None
        if kind is int and not isinstance(value, int):
            raise typer.BadParameter(f"it is {text}, which is no whole number")
        if not least <= value <= most:
            most_said = f" to {most:g}" if most < inf else " or more"
            raise typer.BadParameter(f"it is {text}, and may be {least:g}{most_said}")
        return kind(value)

    read.__name__ = "integer" if kind is int else "number"
    return read
