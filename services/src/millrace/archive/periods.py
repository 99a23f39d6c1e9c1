"""The periods of event time by which a table is partitioned: days, or months."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.partitioning import PartitionField
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform, MonthTransform, TimeTransform

TRANSFORMS: dict[str, TimeTransform[Any]] = {"day": DayTransform(), "month": MonthTransform()}


def field(table: Table) -> PartitionField:
    """The table's only partition field. A table keeps the one that it was made with."""
    (found,) = table.metadata.spec().fields
    return found


def numbers(table: Table, times: pa.ChunkedArray) -> pa.ChunkedArray:
    """The period of each time, as Iceberg counts them: from 1970."""
    if isinstance(field(table).transform, MonthTransform):
        years = pc.multiply(pc.subtract(pc.year(times), 1970), 12)
        return pc.cast(pc.add(years, pc.subtract(pc.month(times), 1)), pa.int32())
    return pc.cast(pc.cast(times, pa.date32()), pa.int32())


def number(table: Table, seconds: float) -> int:
    """The period of one time, in seconds since 1970."""
    times = pa.chunked_array([[int(seconds)]], pa.timestamp("s", "UTC"))
    return int(numbers(table, times)[0].as_py())
