"""Rows as Parquet files of a table: one per period of event time, sorted by symbol and time."""

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import groupby
from operator import itemgetter

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
    schema_to_pyarrow,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionFieldValue, PartitionKey
from pyiceberg.table import Table

from millrace.archive import periods
from millrace.archive.columns import LOG, OBSERVED_AT, OFFSET, PARTITION, SYMBOL

ORDER = (SYMBOL, OBSERVED_AT, LOG, PARTITION, OFFSET)
"""The order of the rows of a file. It is total, so that files of the same rows are equal."""
ROW_GROUP = 50_000
FIELD_ID = b"PARQUET:field_id"
PARTIAL, FULL = "part", "full"
"""How the names of files begin: what maintenance may combine with others, and what it has."""


def arrow_schema(table: Table) -> pa.Schema:
    """The schema of a table's rows in memory, and of its files."""
    return schema_to_pyarrow(table.schema())


def read(table: Table, path: str, names: Collection[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a file that `write` wrote, in the table's columns of today, or in some of them.

    PyIceberg's scan would have the whole file in memory. An error names the file, which those of
    the libraries do not. Raises OSError.
    """
    try:
        yield from _read(table, path, names)
    except Exception as error:
        raise OSError(f"{path} cannot be read: {type(error).__name__}: {error}") from error


def _read(table: Table, path: str, only: Collection[str] | None) -> Iterator[pa.RecordBatch]:
    wanted = [f for f in arrow_schema(table) if only is None or f.name in only]
    with table.io.new_input(path).open() as stream, pq.ParquetFile(stream) as file:
        names = {field.metadata[FIELD_ID]: field.name for field in file.schema_arrow}
        for number in range(file.num_row_groups):
            there = [name for field in wanted if (name := names.get(field.metadata[FIELD_ID]))]
            # Each thread has memory of its own.
            rows = file.read_row_group(number, columns=there, use_threads=False)
            columns = [
                rows[names[field.metadata[FIELD_ID]]].cast(field.type)
                if field.metadata[FIELD_ID] in names
                else pa.nulls(rows.num_rows, field.type)
                for field in wanted
            ]
            yield from pa.Table.from_arrays(columns, schema=pa.schema(wanted)).to_batches()


def write(
    table: Table,
    rows: pa.Table,
    *,
    prefix: str = PARTIAL,
    beat: Callable[[], None] = lambda: None,
) -> list[DataFile]:
    """Write rows to new files, which are no part of the table yet."""
    rows = rows.cast(arrow_schema(table))  # readers know columns by the ids that it has
    found = groupby(_pieces(table, rows), key=itemgetter(0))
    return [
        _write_period(table, period, (own for _, own in pieces), prefix, beat)
        for period, pieces in found
    ]


def _pieces(table: Table, rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """The sorted rows of each period, which is counted from 1970, in pieces.

    All of them in order would be as large as all rows again.
    """
    if not rows.num_rows:
        return
    numbers = periods.numbers(table, rows[OBSERVED_AT])
    keys = rows.select(ORDER).append_column("period", numbers)
    order = pc.sort_indices(keys, [(name, "ascending") for name in ("period", *ORDER)])
    del keys
    for start in range(0, rows.num_rows, ROW_GROUP):
        taken = order.slice(start, ROW_GROUP)
        piece, first = rows.take(taken), 0
        runs = pc.run_end_encode(numbers.take(taken).combine_chunks())
        for period, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            yield period, piece.slice(first, end - first)
            first = end


def _write_period(
    table: Table,
    period: int,
    pieces: Iterable[pa.Table],
    prefix: str,
    beat: Callable[[], None],
) -> DataFile:
    beat()
    metadata, schema = table.metadata, table.schema()
    value = PartitionFieldValue(periods.field(table), period)
    key = PartitionKey([value], metadata.spec(), schema)
    name = f"{prefix}-{uuid.uuid4()}.parquet"
    path = table.location_provider().new_data_location(name, key)
    output = table.io.new_output(path)
    with (
        output.create() as stream,
        pq.ParquetWriter(stream, arrow_schema(table), compression="zstd") as writer,
    ):
        for rows in pieces:
            writer.write_table(rows, row_group_size=ROW_GROUP)
    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=writer.writer.metadata,
        stats_columns=compute_statistics_plan(schema, metadata.properties),
        parquet_column_mapping=parquet_path_to_id_mapping(schema),
    )
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=key.partition,
        file_size_in_bytes=len(output.to_input_file()),
        sort_order_id=None,
        spec_id=metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )
