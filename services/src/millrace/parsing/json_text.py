"""JSON as others write it, including NaN and infinities; duplicate names are detected."""

import json
from collections import Counter
from typing import Any

import msgspec


class Unreadable(Exception):
    """Bytes that are not JSON; the text says where."""


class Repeating(dict[str, Any]):
    """An object with a duplicate name."""

    name: str


def value(data: bytes | msgspec.Raw) -> Any:
    """The value of a JSON text; raises Unreadable if it is invalid.

    NaN, infinities and out-of-range numbers are returned, so that the caller can name the field.
    """
    try:
        return json.loads(bytes(data).decode("utf-8-sig"), object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        found = reason(error)
    try:
        # Its error message is shorter.
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = reason(error)
    raise Unreadable(found)


def reason(error: Exception) -> str:
    """The message of a JSON decoder, without the parts about Python."""
    return "JSON is nested too deeply" if isinstance(error, RecursionError) else str(error)


def single(found: Any) -> Any:
    """The value, if no name in it is duplicate; otherwise a ValueError names one.

    Nested objects are not checked.
    """
    if isinstance(found, Repeating):
        raise ValueError(twice(found.name))  # noqa: TRY004 - it is data
    return found


def twice(name: str) -> str:
    """The message for a duplicate name."""
    return f"`{name[:40]}` is there twice: send it once"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeating = Repeating(found)
    repeating.name = next(name for name, count in Counter(n for n, _ in pairs).items() if count > 1)
    return repeating
