"""The schema of a feed's table, and its changes: what Iceberg can make, is made."""

from typing import Any

from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    BooleanType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    NestedField,
    PrimitiveType,
    StringType,
    TimestamptzType,
)

from millrace.archive.columns import OBSERVED_AT, SYMBOL, Column, Kind, of_table
from millrace.archive.periods import TRANSFORMS
from millrace.errors import MillraceError
from millrace.feeds.base import Feed

TYPES: dict[Kind, PrimitiveType] = {
    Kind.TEXT: StringType(),
    Kind.BOOLEAN: BooleanType(),
    Kind.INTEGER: IntegerType(),
    Kind.LONG: LongType(),
    Kind.DOUBLE: DoubleType(),
    Kind.TIME: TimestamptzType(),
}
PROMOTIONS = {(IntegerType, LongType), (FloatType, DoubleType)}
"""The changes of a type that Iceberg can make."""
FIRST_PARTITION_ID = 1000


class Incompatible(MillraceError):
    """A change of an event's fields that its table cannot follow."""


def of_feed(feed: Feed[Any]) -> Schema:
    """The schema of a new table."""
    return Schema(
        *(
            NestedField(number, column.name, TYPES[column.kind], required=column.required)
            for number, column in enumerate(of_table(feed), start=1)
        )
    )


def partitions(schema: Schema, feed: Feed[Any]) -> PartitionSpec:
    """By the feed's period of event time."""
    source = schema.find_field(OBSERVED_AT).field_id
    period, name = feed.archive_period, f"{OBSERVED_AT}_{feed.archive_period}"
    return PartitionSpec(PartitionField(source, FIRST_PARTITION_ID, TRANSFORMS[period], name))


def order(schema: Schema) -> SortOrder:
    """By symbol and event time, for other programs that write the table."""
    return SortOrder(
        *(
            SortField(schema.find_field(name).field_id, transform=IdentityTransform())
            for name in (SYMBOL, OBSERVED_AT)
        )
    )


def evolve(table: Table, feed: Feed[Any]) -> None:
    """Change the schema so that it takes the feed's events. Raises Incompatible before that."""
    wanted = {column.name: column for column in of_table(feed)}
    here = {field.name: field for field in table.schema().fields}
    problems = [
        said for column in wanted.values() if (said := _problem(here.get(column.name), column))
    ]
    if problems:
        raise Incompatible(
            f"the archive's table of {feed.name} cannot follow the feed: {'; '.join(problems)}"
        )
    added = [column for name, column in wanted.items() if name not in here]
    promoted = [
        column
        for name, column in wanted.items()
        if name in here and here[name].field_type != TYPES[column.kind]
    ]
    # Of a field that events have no more, old rows keep their values.
    optional = [
        name
        for name, field in here.items()
        if field.required and not (name in wanted and wanted[name].required)
    ]
    if not (added or promoted or optional):
        return
    with table.update_schema() as update:
        for column in added:
            update.add_column(column.name, TYPES[column.kind])
        for column in promoted:
            update.update_column(column.name, field_type=TYPES[column.kind])
        for name in optional:
            update.make_column_optional(name)


def _problem(field: NestedField | None, column: Column) -> str | None:
    if field is None:
        missing = f"`{column.name}` is new and every event has it, but its old rows have no value"
        return missing if column.required else None
    kind = TYPES[column.kind]
    types = (type(field.field_type), type(kind))
    if field.field_type == kind or types in PROMOTIONS:
        return None
    return f"`{column.name}` is {field.field_type} there, and {kind} in its events"
