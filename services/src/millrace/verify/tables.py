"""Reports for people."""

from rich.panel import Panel
from rich.table import Table

from millrace.runtime.console import console, text
from millrace.verify.access.attempts import AccessReport
from millrace.verify.checks import PartReport
from millrace.verify.data.arrivals import WorkflowReport
from millrace.verify.data.stored import DataReport

COLUMNS = {
    "records": "records",
    "stored": "stored",
    "repeated": "repeated",
    "dead_letters": "dead letters",
    "conflicts": "conflicts",
    "repeated_letters": "repeated letters",
    "former": "of a former log",
    "trimmed": "trimmed",
    "alerts": "alerts",
    "repeated_alerts": "repeated alerts",
    "differences": "differences",
}


def data(report: DataReport) -> None:
    """Print what was compared, one line per feed or source, and the differences."""
    table = Table(title="Stored data, compared with the log and with its source")
    table.add_column("")
    for heading in COLUMNS.values():
        table.add_column(heading, justify="right")
    for name, part in report.parts.items():
        table.add_row(text(name), *(f"{part[column]:,}" for column in COLUMNS))
    out = console()
    out.print(table)
    for name, part in report.parts.items():
        for example in part["examples"]:
            out.print(f"[red]differs[/red] {text(name)}: {text(example)}")
    verdict = "[green]equal[/green]" if report.ok else "[red]not equal[/red]"
    out.print(f"{verdict}, in {report.seconds} s ({report.waited_seconds} s of them waiting)")


def access(report: AccessReport) -> None:
    """Print the attempts and their refusals."""
    table = Table(title="Attempts that have to be refused")
    for heading in ("server", "attempt", "refused as", "answer"):
        table.add_column(heading)
    for attempt in report.attempts:
        colour = "green" if attempt.ok else "red"
        table.add_row(
            attempt.server,
            attempt.name,
            attempt.expected,
            f"[{colour}]{text(attempt.found)}[/{colour}]",
        )
    out = console()
    out.print(table)
    refused = sum(attempt.ok for attempt in report.attempts)
    out.print(f"{refused} of {len(report.attempts)} attempts were refused as they have to be")


def part(report: PartReport) -> None:
    """Print the checks of a part, and after the table each failed check."""
    table = Table(title=f"Checks of {report.part}")
    for heading in ("about", "check", "found"):
        table.add_column(heading)
    for check in report.checks:
        colour = "green" if check.ok else "red"
        table.add_row(
            text(check.about), text(check.name), f"[{colour}]{text(check.found)}[/{colour}]"
        )
    out = console()
    out.print(table)
    for check in report.checks:
        if not check.ok:
            out.print(f"[red]failed[/red] {text(f'{check.about}: {check.name}: {check.found}')}")
    passed = sum(check.ok for check in report.checks)
    out.print(f"{passed} of {len(report.checks)} checks of {report.part} passed")


def workflow(report: WorkflowReport) -> None:
    """Print the results of the events published meanwhile, and a banner."""
    table = Table(title="Events that were published meanwhile")
    table.add_column("feed")
    columns = ("published", "stored", "repeated", "dead letters", "documents before", "after")
    for heading in columns:
        table.add_column(heading, justify="right")
    table.add_column("")
    for name, flow in report.feeds.items():
        numbers = (
            flow.published,
            flow.stored,
            flow.repeated,
            flow.dead_letters,
            flow.documents_before,
            flow.documents_after,
        )
        verdict = "[green]complete[/green]" if flow.is_complete else "[red]incomplete[/red]"
        table.add_row(
            name,
            *(f"{number:,}" for number in numbers),
            verdict if flow.published else "none in this time",
        )
    out = console()
    out.print(table)
    for line in report.silent:
        out.print(f"[red]no event[/red] {text(line)}")
    count = sum(flow.published for flow in report.feeds.values())
    if report.ok:
        banner = f"The pipeline works: {count:,} new events, each one followed into the database."
        out.print(Panel(f"[bold green]{banner}[/bold green]", expand=False))
    else:
        out.print(f"[red]the pipeline does not work[/red], after {report.waited_seconds} s")
