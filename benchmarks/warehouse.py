"""What builds of the warehouse take, of many quotes and of a few more, each in its own process.

The archive that they read is written by the archiver's own functions. Writes docs/benchmarks.md.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import quotes
from results import numbers, publish, stamp
from spent import child, spend

from archive import LOG, settings_in
from millrace.archive import catalog, files
from millrace.archive.tables import FeedTable
from millrace.config import Settings
from millrace.feeds.quotes import QUOTES

MANY, MORE = 1_000_000, 10_000
CHUNK = 240_000
"""Rows of a commit: about what the archiver's memory takes."""


def fill(settings: Settings, first: int, count: int) -> None:
    """Commit so many quotes from a number."""
    table = FeedTable(catalog.opened(settings), settings, QUOTES)
    end = first + count
    for start in range(first, end, CHUNK):
        wanted = np.arange(start, min(start + CHUNK, end))
        partitions, offsets = quotes.partitions(wanted), quotes.offsets(wanted)
        events = quotes.of(start, len(wanted))
        rows = dict(zip(events.column_names, events.columns, strict=True)) | {
            "claimed_at": [None] * len(wanted),
            "kafka_topic": [QUOTES.topic] * len(wanted),
            "kafka_log": [LOG] * len(wanted),
            "kafka_partition": partitions,
            "kafka_offset": offsets,
            "kafka_timestamp": pa.array(quotes.arrival(wanted) * 1000, quotes.TIME),
        }
        moved = table.offsets
        for partition in range(QUOTES.partitions):
            own = offsets[partitions == partition]
            if len(own):
                moved = moved.moved(LOG, partition, int(own[-1]) + 1)
        made = pa.table(rows, files.arrow_schema(table.table))
        table.append(files.write(table.table, made), moved)


def build(folder: Path, *, full: bool) -> None:
    """What `millrace warehouse build` does."""
    from millrace.warehouse import building

    building.build(settings_in(folder), full=full)


def main() -> None:
    """Measure, and write down."""
    with tempfile.TemporaryDirectory(prefix="mr-bench-") as place:
        folder = Path(place)
        spent = {}
        for name, first, count in (("all", 0, MANY), ("more", MANY, MORE)):
            fill(settings_in(folder), first, count)
            spent[name] = child(__file__, name, folder)
            print(name, spent[name], flush=True)
    own = spent["all"].cpu_seconds
    rows = [
        [title, f"{one.cpu_seconds:.1f}{ratio}", f"{one.seconds:.0f}", f"{one.peak_megabytes:.0f}"]
        for title, one, ratio in (
            (f"{MANY:,} quotes, all new", spent["all"], ""),
            (f"{MORE:,} more", spent["more"], f" ({spent['more'].cpu_seconds / own:.2f}x)"),
        )
    ]
    publish(warehouse=numbers(["", "CPU s", "seconds", "peak MB"], rows), built=stamp())


if __name__ == "__main__":
    if words := sys.argv[1:]:
        name, folder = words
        spend(lambda: build(Path(folder), full=name == "all"))
    else:
        main()
