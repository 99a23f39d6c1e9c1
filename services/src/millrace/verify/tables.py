"""Reports for people."""

from rich.table import Table

from millrace.console import console
from millrace.verify.attempts import AccessReport
from millrace.verify.stored import DataReport

COLUMNS = {
    "records": "records",
    "stored": "stored",
    "repeated": "repeated",
    "dead_letters": "dead letters",
    "trimmed": "trimmed",
    "alerts": "alerts",
    "differences": "differences",
}


def data(report: DataReport) -> None:
    """What was compared, one line a feed or source, and what differs."""
    table = Table(title="Stored data, compared with the log and with its source")
    table.add_column("")
    for heading in COLUMNS.values():
        table.add_column(heading, justify="right")
    for name, part in report.parts.items():
        table.add_row(name, *(f"{part[column]:,}" for column in COLUMNS))
    out = console()
    out.print(table)
    for name, part in report.parts.items():
        for example in part["examples"]:
            out.print(f"[red]differs[/red] {name}: ", end="")
            out.print(example, markup=False)
    verdict = "[green]equal[/green]" if report.ok else "[red]not equal[/red]"
    out.print(f"{verdict}, in {report.seconds} s ({report.waited_seconds} s of them waiting)")


def access(report: AccessReport) -> None:
    """What was tried, and how it was refused."""
    table = Table(title="Attempts that have to be refused")
    for heading in ("server", "attempt", "refused as", "answer"):
        table.add_column(heading)
    for attempt in report.attempts:
        colour = "green" if attempt.ok else "red"
        table.add_row(
            attempt.server, attempt.name, attempt.expected, f"[{colour}]{attempt.found}[/{colour}]"
        )
    out = console()
    out.print(table)
    refused = sum(attempt.ok for attempt in report.attempts)
    out.print(f"{refused} of {len(report.attempts)} attempts were refused as they have to be")
