"""JSON as others write it: with NaN and infinities; and what is there twice is known."""

import json
from collections import Counter
from typing import Any

import msgspec


class Unreadable(Exception):
    """Bytes that are no JSON; the text says where."""


class Repeating(dict[str, Any]):
    """An object in which a name has two values."""

    name: str


def value(data: bytes | msgspec.Raw) -> Any:
    """The value that a JSON text stands for; Unreadable if it is none.

    NaN, infinities and numbers beyond all bounds are values: who gets one says which field has it.
    """
    try:
        return json.loads(bytes(data).decode("utf-8-sig"), object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        found = reason(error)
    try:
        # It says what is wrong in fewer words.
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = reason(error)
    raise Unreadable(found)


def reason(error: Exception) -> str:
    """What a reader of JSON says of a text, without what that means for Python."""
    return "JSON is nested too deeply" if isinstance(error, RecursionError) else str(error)


def single(found: Any) -> Any:
    """What was read, if each name in it has one value; ValueError names one that has two.

    Objects that are inside of it are not looked at.
    """
    if isinstance(found, Repeating):
        raise ValueError(twice(found.name))  # noqa: TRY004 - it is data
    return found


def twice(name: str) -> str:
    """What is said of a name that has two values."""
    return f"`{name[:40]}` is there twice: send it once"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeating = Repeating(found)
    repeating.name = next(name for name, count in Counter(n for n, _ in pairs).items() if count > 1)
    return repeating
