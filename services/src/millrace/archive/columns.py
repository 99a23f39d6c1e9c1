"""The columns of a feed's table: the fields of its events, and where in the log the record is."""

from enum import Enum
from typing import Any, NamedTuple

import msgspec

from millrace.errors import MillraceError
from millrace.feeds.base import Feed


class Kind(Enum):
    """The type of a column, by its name in Iceberg."""

    TEXT = "string"
    BOOLEAN = "boolean"
    INTEGER = "int"
    LONG = "long"
    DOUBLE = "double"
    TIME = "timestamptz"


class Column(NamedTuple):
    """A column of a table."""

    name: str
    kind: Kind
    required: bool


EVENT_ID, SYMBOL = "event_id", "symbol"
OBSERVED_AT, CLAIMED_AT = "observed_at", "claimed_at"
TOPIC, LOG, PARTITION = "kafka_topic", "kafka_log", "kafka_partition"
OFFSET, TIMESTAMP = "kafka_offset", "kafka_timestamp"
OF_THE_RECORD = (
    Column(CLAIMED_AT, Kind.TIME, required=False),
    Column(TOPIC, Kind.TEXT, required=True),
    Column(LOG, Kind.TEXT, required=True),
    Column(PARTITION, Kind.INTEGER, required=True),
    Column(OFFSET, Kind.LONG, required=True),
    Column(TIMESTAMP, Kind.TIME, required=True),
)
"""What a row has besides the event's fields."""

_KINDS: dict[type, Kind] = {
    msgspec.inspect.StrType: Kind.TEXT,
    msgspec.inspect.BoolType: Kind.BOOLEAN,
    msgspec.inspect.IntType: Kind.LONG,
    msgspec.inspect.FloatType: Kind.DOUBLE,
    msgspec.inspect.DateTimeType: Kind.TIME,
}
_KINDS_OF_VALUES: dict[type, Kind] = {str: Kind.TEXT, int: Kind.LONG}


class NoColumn(MillraceError):
    """A field of an event that a table cannot have."""


def of_event(feed: Feed[Any]) -> list[Column]:
    """The columns of the fields of a feed's events, in their order. Raises NoColumn."""
    found = msgspec.inspect.type_info(feed.event_type)
    assert isinstance(found, msgspec.inspect.StructType)  # noqa: S101 - what an event is
    taken = {column.name for column in OF_THE_RECORD}
    columns = []
    for field in found.fields:
        kind, required = _of(field.type)
        if kind is None or field.name in taken:
            why = "its name is the archive's own" if kind else "its type has no column"
            raise NoColumn(f"the feed {feed.name} cannot be archived: `{field.name}`: {why}")
        columns.append(Column(field.name, kind, required))
    return columns


def of_table(feed: Feed[Any]) -> list[Column]:
    """All columns of a feed's table. Raises NoColumn."""
    return [*of_event(feed), *OF_THE_RECORD]


def _of(found: Any) -> tuple[Kind | None, bool]:
    """The kind of a field's type, None if it has none, and whether every event has a value."""
    if isinstance(found, msgspec.inspect.UnionType):
        others = [one for one in found.types if not isinstance(one, msgspec.inspect.NoneType)]
        kind = _of(others[0])[0] if len(others) == 1 else None
        return kind, len(others) == len(found.types)
    if isinstance(found, msgspec.inspect.LiteralType):
        kinds = {_KINDS_OF_VALUES.get(type(value)) for value in found.values}
        return (kinds.pop() if len(kinds) == 1 else None), True
    return _KINDS.get(type(found)), True
