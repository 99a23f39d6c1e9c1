"""The items in a body: in a JSON object or array, or one per line. Each is read separately."""

import json
from typing import Annotated, Any

import msgspec

from millrace.api.problems import Problem, bad_request
from millrace.parsing.json_text import Repeating, Unreadable, reason, single, twice, value

MAX_ITEMS = 500
HOW = 'Send {"events": [...]}, or an array of items, or one item a line as application/x-ndjson.'
_BOM = b"\xef\xbb\xbf"

_Items = Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=MAX_ITEMS)]


class _Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    events: _Items


class _Envelope(msgspec.Struct, frozen=True):
    events: msgspec.Raw


def items(body: bytes, *, lines: bool) -> list[bytes | msgspec.Raw]:
    """The JSON text of each item; raises a problem if the body as a whole is invalid, or has
    duplicate items."""
    body = body.removeprefix(_BOM)
    if lines:
        found: list[bytes | msgspec.Raw] = [line for line in body.splitlines() if line.strip()]
        if not 1 <= len(found) <= MAX_ITEMS:
            raise bad_request(f"The body has {len(found)} items: send from 1 to {MAX_ITEMS}.")
        return found
    is_array = body.lstrip()[:1] == b"["
    try:
        return list(_decode(body, is_array=is_array))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        known = _again(body, is_array=is_array)
        if known is None:
            text = reason(error).replace("Object", "The body").replace("`$.", "`")
            raise bad_request(f"{text}. {HOW}") from None
        return known


def one(body: bytes, kind: type[Any]) -> Any:
    """A body that is a single item of this kind; raises a problem if it is invalid."""
    try:
        return msgspec.convert(single(value(body.removeprefix(_BOM))), kind)
    except (Unreadable, ValueError) as error:
        text = str(error).replace("Object", "The body")
        raise bad_request(f"{text}.") from None


def _decode(body: bytes, *, is_array: bool) -> list[msgspec.Raw]:
    if is_array:
        return msgspec.json.decode(body, type=_Items)
    found = msgspec.json.decode(body, type=_Batch).events
    # The decoder took the last value. Before it is a name, or a comma after an earlier value.
    head, _, _ = body.rpartition(bytes(msgspec.json.decode(body, type=_Envelope).events))
    if b"," in head:
        raise _repeating("events")
    return found


def _again(body: bytes, *, is_array: bool) -> list[bytes | msgspec.Raw] | None:
    """Read a body that is invalid JSON only because of NaN or infinities."""
    try:
        found = value(body)
        if isinstance(found, Repeating):
            raise _repeating(found.name)
        given = found if is_array else found["events"] if found.keys() == {"events"} else None
        texts = [_text(item) for item in given] if isinstance(given, list) else []
    except (Unreadable, AttributeError, RecursionError):
        return None
    return list(texts) if 1 <= len(texts) <= MAX_ITEMS else None


def _repeating(name: str) -> Problem:
    return bad_request(f"{twice(name)}. {HOW}")


def _text(item: Any) -> bytes:
    text = json.dumps(item)
    if isinstance(item, Repeating):
        # Duplicate names are kept: reading the item reports them.
        text = f"{text[:-1]}, {json.dumps(item.name)}: null}}"
    return text.encode()
