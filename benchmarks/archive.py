"""The archiver next to its peers: quotes become Parquet files, in a process of each.

The archiver runs with its defaults, but for Kafka, which gives it its records from memory.
Writes docs/benchmarks.md.
"""

import itertools
import json
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import quotes
from results import numbers, publish, stamp
from spent import Spent, child, spend

from millrace.archive import catalog
from millrace.archive.loop import Loop
from millrace.archive.metrics import Metrics
from millrace.archive.stream import Stream
from millrace.clients.progress import Partition, Progress
from millrace.config import Settings
from millrace.feeds.quotes import QUOTES
from millrace.processor.decode import LOG_APPEND_TIME
from millrace.runtime import logging

ROWS = 1_000_000
CHUNK = 50_000
"""Rows that the loop writes at once: a row group of the archiver."""
LOG = "AAAAAAAAAAAAAAAAAAAAAA"
ARCHIVER, PLAIN, DUCKDB = "archiver", "plain loop", "DuckDB"


class Record(NamedTuple):
    """What kafka-python makes of a record, as far as it is needed."""

    topic: str
    partition: int
    offset: int
    value: bytes
    timestamp: int
    timestamp_type: int = LOG_APPEND_TIME


class Lines:
    """In the place of Kafka: reads the records from lines, and ends the archiver behind them."""

    def __init__(self, file: BinaryIO, stop: threading.Event) -> None:
        self.ids = {QUOTES.topic: LOG}
        self._file, self._stop = file, stop
        self._number = 0

    def poll(self, _seconds: float) -> Mapping[Partition, Sequence[Any]]:
        """See Reader."""
        lines = [*itertools.islice(self._file, quotes.POLL)]
        if not lines:
            self._stop.set()
            return {}
        topic, number = QUOTES.topic, self._number
        partition, first = int(quotes.partitions(number)), int(quotes.offsets(number))
        self._number += len(lines)
        taken_at = quotes.arrival(self._number)
        return {
            (topic, partition): [
                Record(topic, partition, offset, line, taken_at)
                for offset, line in enumerate(lines, first)
            ]
        }

    def find(self, _topics: object) -> list[Any]:
        """See Reader."""
        return []

    def progress(self) -> dict[Any, Any]:
        """See Reader."""
        return {}

    def pause(self, _topics: object) -> None:
        """See Reader."""

    def commit(self, _archived: object) -> None:
        """See Reader."""


def settings_in(folder: Path) -> Settings:
    """Settings of an archive and a warehouse in a folder; all others are the defaults."""
    return Settings(
        archive_catalog=f"sqlite:///{folder}/catalog.db",
        archive_warehouse=f"file://{folder}",
        warehouse_file=folder / "millrace.duckdb",
        feeds=[QUOTES.name],
    )


def archiver(source: Path, folder: Path) -> None:
    """What `millrace archive run` does between reading from Kafka and committing to it."""
    settings, metrics, stop = settings_in(folder), Metrics(), threading.Event()
    streams = {QUOTES.topic: Stream(settings, catalog.opened(settings), QUOTES, metrics)}
    with source.open("rb") as file:
        reader: Any = Lines(file, stop)
        Loop(
            settings,
            streams,
            reader,
            metrics=metrics,
            progress=Progress(),
            beat=lambda: None,
            stop=stop,
        ).run()


def plain_loop(source: Path, folder: Path) -> None:
    """The loop that everybody writes first."""
    with source.open("rb") as file, ExitStack() as stack:
        writer = None
        while lines := [*itertools.islice(file, CHUNK)]:
            rows = pa.Table.from_pylist([json.loads(line) for line in lines])
            for name in ("observed_at", "produced_at"):
                place = rows.schema.get_field_index(name)
                rows = rows.set_column(place, name, rows[name].cast(quotes.TIME))
            if writer is None:
                path = folder / "rows.parquet"
                writer = stack.enter_context(
                    pq.ParquetWriter(path, rows.schema, compression="zstd")
                )
            writer.write_table(rows)


def in_duckdb(source: Path, folder: Path) -> None:
    """A query."""
    import duckdb  # not in the others' memory

    rows = f"from read_json('{source}', format = 'newline_delimited')"
    target = f"'{folder}/rows.parquet' (format parquet, compression zstd)"
    with duckdb.connect() as connection:
        connection.execute(f"copy ({rows}) to {target}")


CONTENDERS = {ARCHIVER: archiver, PLAIN: plain_loop, DUCKDB: in_duckdb}


def size(folder: Path, count: int) -> float:
    """Bytes a row of what was written; all rows have to be there."""
    files = [*folder.rglob("*.parquet")]
    found = sum(pq.read_metadata(path).num_rows for path in files)
    if found != count:
        raise RuntimeError(f"{found} of {count} rows are in {folder}")
    return sum(path.stat().st_size for path in files) / count


def records(count: int) -> Iterator[bytes]:
    """The quotes as producers send them."""
    for first in range(0, count, CHUNK):
        for row in quotes.of(first, min(CHUNK, count - first)).to_pylist():
            yield msgspec.json.encode(row) + b"\n"


def measure() -> tuple[dict[str, Spent], dict[str, float]]:
    """What each took, and bytes a row; of the records, too."""
    spent = {}
    with tempfile.TemporaryDirectory(prefix="mr-bench-") as place:
        source = Path(place, "quotes.json")
        with source.open("wb") as file:
            file.writelines(records(ROWS))
        sizes = {"": source.stat().st_size / ROWS}
        for name in CONTENDERS:
            with tempfile.TemporaryDirectory(dir=place) as folder:
                spent[name] = child(__file__, name, source, folder)
                sizes[name] = size(Path(folder), ROWS)
            print(name, spent[name], flush=True)
    return spent, sizes


def table(spent: Mapping[str, Spent], sizes: Mapping[str, float]) -> str:
    """The numbers of each, with the ratio to the archiver's."""
    titles = [f"{ROWS:,} quotes", "CPU s", "rows a CPU s", "seconds", "peak MB", "bytes a row"]
    own = spent[ARCHIVER].cpu_seconds
    rows = []
    for name, one in spent.items():
        ratio = "" if name == ARCHIVER else f" ({own / one.cpu_seconds:.2f}x)"
        rows.append(
            [
                name,
                f"{one.cpu_seconds:.1f}{ratio}",
                f"{ROWS / one.cpu_seconds:,.0f}",
                f"{one.seconds:.1f}",
                f"{one.peak_megabytes:.0f}",
                f"{sizes[name]:.1f}",
            ]
        )
    return numbers(titles, rows)


def main() -> None:
    """Measure, and write down."""
    spent, sizes = measure()
    publish(archive=table(spent, sizes), record_bytes=f"{sizes['']:.0f}", archived=stamp())


if __name__ == "__main__":
    if words := sys.argv[1:]:
        name, *paths = words
        if name == ARCHIVER:  # as its service does
            pa.set_memory_pool(pa.system_memory_pool())
            logging.configure(ARCHIVER, "WARNING", ())
        spend(lambda: CONTENDERS[name](*map(Path, paths)))
    else:
        main()
