"""What `millrace archive verify` and `replay` print."""

import sys
import time

import msgspec
import rich.table

from millrace.archive import replaying, verifying
from millrace.archive.replaying import Range
from millrace.archive.verifying import ArchiveReport
from millrace.config import Settings
from millrace.runtime.console import console, text

SAY_SECONDS = 5.0
COLUMNS = {
    "rows": "rows",
    "records": "records in Kafka",
    "bad_records": "bad records",
    "documents": "documents",
    "repeated": "repeated",
    "conflicts": "conflicts",
    "dead_letters": "dead letters",
    "older": "older documents",
    "waiting": "not yet written",
}


def run(settings: Settings, *, as_json: bool) -> bool:
    """Print what was compared, and the differences; return whether there are none."""
    found = verifying.verify(settings, Progress())
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        _show(found)
    return found.ok


def run_replay(settings: Settings, wanted: Range, *, per_second: float, check: bool) -> None:
    """Replay a range, and print what was sent of each feed."""
    done = replaying.replay(settings, wanted, Progress(), per_second=per_second, check=check)
    out = console()
    for one in done:
        out.print(
            f"{text(one.feed)}: {one.rows:,} rows, {one.repeated:,} of them repeated,"
            f" {one.stored:,} events stored already, {one.sent:,}"
            f" {'to send' if check else 'sent'}",
            highlight=False,
        )


class Progress:
    """Says on standard error how far a long work has come."""

    def __init__(self) -> None:
        self._said_at = time.monotonic()

    def __call__(self, line: str) -> None:
        """Say it, unless something was said a moment ago."""
        if time.monotonic() - self._said_at >= SAY_SECONDS:
            self._said_at = time.monotonic()
            sys.stderr.write(f"{line}\n")


def _show(found: ArchiveReport) -> None:
    shown = rich.table.Table(title="The archive, compared with the log and with MongoDB")
    shown.add_column("")
    for heading in (*COLUMNS.values(), "differences"):
        shown.add_column(heading, justify="right")
    for name, feed in found.feeds.items():
        numbers = [feed[column] for column in COLUMNS] + [sum(feed["differences"].values())]
        shown.add_row(text(name), *(f"{number:,}" for number in numbers))
    out = console()
    out.print(shown)
    for name, feed in found.feeds.items():
        if feed["problem"]:
            out.print(f"[red]failed[/red] {text(name)}: {text(feed['problem'])}")
        for what, count in feed["differences"].items():
            out.print(f"[red]failed[/red] {text(f'{name}: {count:,} {what}')}")
        for example in feed["examples"]:
            out.print(f"[red]differs[/red] {text(f'{name}: {example}')}")
    verdict = "[green]equal[/green]" if found.ok else "[red]not equal[/red]"
    if not any(feed["rows"] or feed["differences"] for feed in found.feeds.values()):
        verdict = "[red]nothing was compared[/red]"
    waited = f"{found.waited_seconds} s of them waiting"
    out.print(f"{verdict}, in {found.seconds} s ({waited})")
