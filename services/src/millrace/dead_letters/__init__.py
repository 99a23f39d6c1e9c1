"""An operator's actions on dead letters: list, show and replay them.

The progress of replaying is stored in Kafka as the offsets of a consumer group: letters before them
have been replayed, by any operator.
"""

import json
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import msgspec

from millrace.clients import kafka
from millrace.config import Settings
from millrace.dead_letters.topic import DeadLetterError, opened, origin, send
from millrace.runtime.redaction import scrub

LONGEST_CELL = 60


class Row(msgspec.Struct):
    """A row of the list."""

    position: str
    origin: str
    stage: str
    reason: str
    since: datetime
    replayed: bool


def list_letters(settings: Settings, *, limit: int, as_json: bool) -> None:
    """Print the newest dead letters, oldest first."""
    with opened(settings) as letters:
        newest = letters.newest(limit)
        done = letters.replayed()
    rows = [_row(record, replayed=record.offset < done[record.partition]) for record in newest]
    if as_json:
        _say(msgspec.json.encode(rows).decode())
        return
    _say(f"{_count(len(rows))} shown" if rows else "no dead letters")
    _table(rows)


def show(settings: Settings, *, position: str) -> None:
    """Print a dead letter; bytes that are not printable text are escaped."""
    with opened(settings) as letters:
        record = letters.at(position)
        done = letters.replayed()[record.partition]
    row = _row(record, replayed=record.offset < done)
    for name, text in (
        ("position", row.position),
        ("since", f"{row.since:%Y-%m-%d %H:%M:%S} UTC"),
        ("replayed", "yes" if row.replayed else "no"),
        ("origin", row.origin),
        ("stage", row.stage),
        ("reason", _printable(row.reason.encode())),
        ("key", _printable(record.key)),
        ("value", _printable(record.value)),
        *((f"header {key!r}", _printable(value)) for key, value in record.headers),
    ):
        _say(f"{name}: {text}")


def replay(settings: Settings, *, position: str | None = None) -> None:
    """Send one dead letter, or all that were not replayed, to their topics again.

    After a failure, running it again continues after the acknowledged ones; a record that is sent
    twice anyway is stored once, because its event keeps its id.
    """
    with opened(settings) as letters, closing(kafka.producer(settings)) as producer:
        if position is not None:
            refused = send(producer, [letters.at(position)])
            if refused:
                raise DeadLetterError(refused[0])
            _say("1 dead letter replayed")
            return
        sent = 0
        skipped = []
        for records in letters.not_replayed():
            refused = send(producer, records)
            letters.mark_replayed(records[-1])
            skipped += refused
            sent += len(records) - len(refused)
    for line in skipped:
        _say(line)
    _say(f"{_count(sent)} replayed, {len(skipped)} skipped")


def _row(record: Any, *, replayed: bool) -> Row:
    source = origin(record.headers)
    return Row(
        position=f"{record.partition}/{record.offset}",
        origin=f"{source.topic}/{source.partition}/{source.offset}" if source else "unknown",
        stage=source.stage if source else "",
        reason=scrub(source.reason) if source else "not written by a processor",
        since=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        replayed=replayed,
    )


def _table(rows: Sequence[Row]) -> None:
    now = datetime.now(UTC)
    lines = [
        (r.position, r.origin, _age(now, r.since), "yes" if r.replayed else "no", _cell(r.reason))
        for r in rows
    ]
    if lines:
        lines.insert(0, ("position", "origin", "age", "replayed", "reason"))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        _say("  ".join(padded).rstrip())


def _age(now: datetime, since: datetime) -> str:
    seconds = max(0, int((now - since).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _count(number: int) -> str:
    return f"{number} dead letter{'' if number == 1 else 's'}"


def _cell(text: str) -> str:
    shown = json.dumps(text)[1:-1]
    return shown if len(shown) <= LONGEST_CELL else shown[: LONGEST_CELL - 1] + "…"


def _printable(content: bytes | None) -> str:
    """Text in quotes, or bytes in Python's notation, without terminal control sequences."""
    if content is None:
        return "none"
    try:
        return repr(content.decode())
    except UnicodeDecodeError:
        return repr(content)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
