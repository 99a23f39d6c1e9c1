"""Numbers, times and names as others write them, accepted only if they are unambiguous.

Ambiguous values are refused: the comma of `1,234` may be a thousands separator or a decimal comma.
A ValueError has a message that continues a name, with the problem and how to write the value.
"""

import math
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from millrace.runtime.redaction import scrub

NUMBER = r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*"
"""A number as text, including the forms of JavaScript, Decimal and spreadsheets."""
_NUMBER = re.compile(NUMBER, re.ASCII)
_WHOLE = re.compile(r"\s*[+-]?\d+\s*", re.ASCII)
_LONGEST = 100
_EXACT = 2**53
"""From here on a float may represent several integers."""
_TIME = re.compile(
    r"\s*(?P<day>\d{4}-\d{2}-\d{2})[Tt ](?P<hours>\d{2}:\d{2})(?P<seconds>:\d{2})?"
    r"([.,](?P<fraction>\d{1,12}))?"
    r"( ?(?P<zulu>Z|UTC|GMT)| ?(?P<sign>[+-])(?P<offset>\d{2}(:?\d{2})?))?\s*",
    re.ASCII | re.IGNORECASE,
)
_SPACED = re.compile(r"(:\d{2}(?:[.,]\d+)?) (?=\d{2}(:?\d{2})?$)", re.ASCII)
_DAY = re.compile(r"\d{4}-?\d{2}-?\d{2}", re.ASCII)
EXAMPLE = "2026-01-02T15:00:00Z"
DAY_EXAMPLE = "2026-01-02"
_MISSING = frozenset(
    {"", "-", "nan", "nat", "null", "(null)", "nil", "none", "na", "n/a", "<na>", "undefined"}
    | {"#n/a", "#ref!", "#name?", "#value!", "#num!", "#null!", "#div/0!", "[object object]"}
)
_QUOTES = frozenset("\"'`")
UNDECODED = "\ufffd"
"""The replacement character that programs write for undecodable bytes."""
_UNITS = (1, 1_000, 1_000_000, 1_000_000_000)
_FIRST, _LAST = 946_684_800, 7_258_118_400
"""Unix times of 2000 and 2200. Numbers in other units are outside this range, such as .NET ticks
and the digits of a date with or without time."""
UNIX_TIME = "a Unix time since 2000 in seconds, milliseconds, microseconds or nanoseconds"
MICROSECOND = timedelta(microseconds=1)
_START = datetime(1970, 1, 1, tzinfo=UTC)


def number(value: Any, *, whole: bool = False, or_null: bool = False) -> Any:
    """Convert a number that is text, or an integer written with a fraction of zero.

    Other types are returned unchanged; raises ValueError for text that is not a number.
    `or_null`: whether the number is optional; the message then says how to omit it.
    """
    if isinstance(value, float) and not math.isfinite(value):
        advice = ": send null where there is no value" if or_null else ""
        raise ValueError(f"is {value}, which is no number{advice}")
    if isinstance(value, str):
        if len(value) > _LONGEST or not _NUMBER.fullmatch(value):
            raise ValueError(
                f"is {_quoted(value)}, which is no number: write it like 1234.5, without"
                f" separators and units{', and null where there is no value' if or_null else ''}"
            )
        return _meant(value.strip(), whole=whole)
    if whole and isinstance(value, float) and value.is_integer():
        if abs(value) >= _EXACT:
            raise ValueError(
                f"is {value}, of which the last digits are lost: write it as a whole number"
            )
        return int(value)
    return value


def _meant(text: str, *, whole: bool) -> int | float:
    if _WHOLE.fullmatch(text):
        return int(text)
    rounded = float(text)
    if not math.isfinite(rounded):
        raise ValueError("is too large")
    exact = Decimal(text)
    return int(exact) if whole and exact == exact.to_integral_value() else rounded


def is_missing(value: Any) -> bool:
    """Whether the text is a common notation of a missing value."""
    if isinstance(value, str):
        return value.strip().lower() in _MISSING
    return value is None or (isinstance(value, float) and math.isnan(value))


def name(text: str) -> str:
    """The unchanged name; ValueError if it looks like another one, or denotes a missing value.

    In capitals, `NAN` and `NULL` may be symbols of shares.
    """
    if text != text.strip() or not text.isprintable():
        raise ValueError(
            f"is {_quoted(text)}: it must not begin or end with a space, nor have a character that"
            " cannot be seen"
        )
    if text[:1] in {*_QUOTES, "="} or text[-1:] in _QUOTES:
        raise ValueError(f"is {_quoted(text)}: write it without what marks it as text")
    if UNDECODED in text:
        raise ValueError(
            f"is {_quoted(text)}, which was not decoded as it was written: write it in UTF-8"
        )
    if is_missing(text) and not (text.isalpha() and text.isupper()):
        raise ValueError(
            f"is {_quoted(text)}, as programs write what is missing: fill it in, or leave it out"
        )
    return text


def time(value: Any) -> datetime:
    """The aware time of a value; raises ValueError if it is not a time, or has no offset.

    A number is a `UNIX_TIME`, whose unit follows from its size. In text, digits after microseconds
    are dropped.
    """
    if isinstance(value, str):
        if len(value) <= _LONGEST and _NUMBER.fullmatch(value):
            return _unix(number(value))
        return _written(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _unix(value)
    raise ValueError(f"is no time: write it like {EXAMPLE}")


def time_in_query(text: str) -> datetime:
    """The time in a query parameter, in which an unencoded + arrives as a space."""
    return time(_SPACED.sub(r"\1+", text.rstrip()))


def day(text: str) -> date:
    """The day of a date, or of the beginning of a day; raises ValueError for anything else.

    The date is used as written, whatever its offset; that of a Unix time is in UTC.
    """
    plain = text.strip()[:_LONGEST]
    written, clock = plain, ""
    if found := _TIME.fullmatch(plain):
        written, clock = found["day"], found["hours"] + (found["seconds"] or "")
        clock += found["fraction"] or ""
    elif _NUMBER.fullmatch(plain) and not _DAY.fullmatch(plain):
        start = _unix(number(plain))
        written, clock = f"{start:%Y-%m-%d}", f"{start:%H%M%S%f}"
    if clock.strip("0:"):
        raise ValueError(
            f"is {_quoted(text)}: which day a time is in depends on the place, so write the day"
            f" alone, like {DAY_EXAMPLE}"
        )
    try:
        if not _DAY.fullmatch(written):
            raise ValueError
        return date.fromisoformat(written)
    except ValueError:
        raise ValueError(f"is {_quoted(text)}: write the day like {DAY_EXAMPLE}") from None


def _written(text: str) -> datetime:
    found = _TIME.fullmatch(text) if len(text) <= _LONGEST else None
    if not found:
        raise ValueError(
            f"is {_quoted(text)}: write it like {EXAMPLE}, with its offset from UTC, or as"
            f" {UNIX_TIME}"
        )
    if not found["zulu"] and not found["sign"]:
        raise ValueError(f"lacks its offset from UTC, such as Z: write it like {EXAMPLE}")
    offset = found["sign"] + found["offset"] if found["sign"] else "+00:00"
    fraction = f".{found['fraction'][:6]:0<6}" if found["fraction"] else ""
    plain = f"{found['day']}T{found['hours']}{found['seconds'] or ':00'}{fraction}{offset}"
    try:
        return datetime.fromisoformat(plain)
    except ValueError as error:
        raise ValueError(f"is {_quoted(text)}, which there is not: {error}") from None


def _unix(value: float) -> datetime:
    for unit in _UNITS:
        if _FIRST * unit <= value < _LAST * unit:
            if isinstance(value, int):
                return _START + value * 1_000_000 // unit * MICROSECOND
            return datetime.fromtimestamp(value / unit, UTC)
    raise ValueError(
        f"is {value!r}: a number is {UNIX_TIME}; write any other time in ISO 8601, like {EXAMPLE}"
    )


def _quoted(text: str) -> str:
    known = scrub(text)
    return ascii(known if len(known) <= 40 else f"{known[:40]}...")
