"""Medians, ratios and the page that shows them."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from string import Template

HERE = Path(__file__).resolve().parent
TEMPLATE = HERE / "page.md.in"
VALUES = HERE / "values.json"
"""What was measured last, of each part of the page."""
PAGE = HERE.parent / "docs" / "benchmarks.md"
PROCESSOR, PLAIN, CONFLUENT = "processor", "plain loop", "confluent loop"
COMPRESSIONS = {"none": "uncompressed, as clients write by default", "lz4": "compressed with lz4"}


@dataclass(frozen=True)
class Drain:
    """One contender's way through the whole topic."""

    contender: str
    events_per_second: float
    cpu_per_million: float
    peak_megabytes: float


@dataclass(frozen=True)
class Latency:
    """One contender at a steady rate; milliseconds, and percent of one core."""

    contender: str
    p50: float
    p99: float
    cpu_percent: float


@dataclass(frozen=True)
class Names:
    """What very many symbols take where they are handled."""

    place: str
    before_megabytes: float
    peak_megabytes: float
    seconds: float


@dataclass(frozen=True)
class Column:
    """A number of each contender."""

    title: str
    value: Callable[[str], float]
    digits: int = 0


@dataclass
class Results:
    """Everything that was measured."""

    events: int
    compression: str
    rate: int
    rounds: int
    symbols: int
    drains: list[Drain] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    names: list[Names] = field(default_factory=list)

    def table(self) -> str:
        """Medians by contender, each with its ratio to the processor's."""
        columns = self._columns()
        rows = []
        for contender in (PROCESSOR, PLAIN, CONFLUENT):
            cells = [contender]
            for column in columns:
                value, own = column.value(contender), column.value(PROCESSOR)
                ratio = "" if contender == PROCESSOR else f" ({own / value:.2f}x)"
                cells.append(f"{value:,.{column.digits}f}{ratio}")
            rows.append(cells)
        return numbers(["", *(column.title for column in columns)], rows)

    def rates(self) -> str:
        """Each contender's rate, round by round: a median hides how far they lie apart."""
        rows = []
        for contender in (PROCESSOR, PLAIN, CONFLUENT):
            drains = [item for item in self.drains if item.contender == contender]
            rows.append([contender, *(f"{item.events_per_second:,.0f}" for item in drains)])
        return numbers(["events/s", *(f"round {n + 1}" for n in range(self.rounds))], rows)

    def memory(self) -> str:
        """What the symbols take, place by place."""
        rows = [
            [
                item.place,
                f"{item.before_megabytes:.0f}",
                f"{item.peak_megabytes:.0f}",
                f"{item.seconds:.1f}",
            ]
            for item in self.names
        ]
        titles = [f"{self.symbols:,} symbols", "MB before", "peak MB", "seconds"]
        return numbers(titles, rows)

    def goals(self) -> str:
        """What was to be reached, and whether it was."""
        speed = self._drain("events_per_second")
        memory, p99 = self._drain("peak_megabytes"), self._latency("p99")
        goals = [
            ("at least 3 times the plain loop", speed(PROCESSOR) / speed(PLAIN), "{:.2f}", 3.0),
            (
                "at least 0.75 times the confluent loop",
                speed(PROCESSOR) / speed(CONFLUENT),
                "{:.2f}",
                0.75,
            ),
        ]
        limits = [
            ("at most 160 MB", memory(PROCESSOR), "{:.0f} MB", 160.0),
            ("p99 at most 50 ms", p99(PROCESSOR), "{:.0f} ms", 50.0),
        ]
        lines = [
            f"| {text} | {shown.format(value)} | {'yes' if value >= goal else 'no'} |"
            for text, value, shown, goal in goals
        ] + [
            f"| {text} | {shown.format(value)} | {'yes' if value <= goal else 'no'} |"
            for text, value, shown, goal in limits
        ]
        return "\n".join(["| goal | measured | reached |", "|---|--:|---|", *lines])

    def write(self) -> None:
        """Write the page."""
        command = "make bench"
        if len(sys.argv) > 1:
            command += f' ARGS="{" ".join(sys.argv[1:])}"'
        publish(
            command=command,
            measured=stamp(),
            table=self.table(),
            goals=self.goals(),
            rates=self.rates(),
            memory=self.memory(),
            events=f"{self.events:,}",
            compression=COMPRESSIONS[self.compression],
            rate=str(self.rate),
            rounds=str(self.rounds),
        )

    def _columns(self) -> list[Column]:
        return [
            Column("events/s", self._drain("events_per_second")),
            Column("CPU s per million", self._drain("cpu_per_million"), 1),
            Column("peak MB", self._drain("peak_megabytes")),
            Column(f"p50 ms at {self.rate}/s", self._latency("p50"), 1),
            Column("p99 ms", self._latency("p99"), 1),
            Column("% of a core", self._latency("cpu_percent")),
        ]

    def _drain(self, field_name: str) -> Callable[[str], float]:
        return lambda contender: median(
            getattr(item, field_name) for item in self.drains if item.contender == contender
        )

    def _latency(self, field_name: str) -> Callable[[str], float]:
        return lambda contender: median(
            getattr(item, field_name) for item in self.latencies if item.contender == contender
        )


def stamp() -> str:
    """When and where something was measured."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    cores = os.cpu_count()
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, on {cores} cores; load averages: {load}"


def publish(**values: str) -> None:
    """Write the page with these values, and all others as they were measured last."""
    kept = json.loads(VALUES.read_text()) | values
    PAGE.write_text(page(kept))
    VALUES.write_text(json.dumps(kept, indent=2, ensure_ascii=False, sort_keys=True) + "\n")


def page(values: Mapping[str, str]) -> str:
    """The page with these values."""
    return Template(TEMPLATE.read_text()).substitute(values)


def numbers(titles: list[str], rows: list[list[str]]) -> str:
    """A Markdown table: a name in the first column, numbers in the others."""
    lines = [titles, ["---"] + ["--:"] * (len(titles) - 1), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
