"""The view of a snapshot. No I/O."""

from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table

from millrace.runtime.console import text
from millrace.watch.snapshot import Rate, Snapshot
from millrace.watch.status import summary

BESIDE = 130
"""Minimum width in columns to put tables beside each other."""
SHOWN_PRICES = 16
UNITS = (("d", 86400), ("h", 3600), ("min", 60))
UNKNOWN = "-"


def view(seen: Snapshot, width: int) -> RenderableType:
    """The whole snapshot, for a terminal of this width."""
    left: list[RenderableType] = [_flows(seen), _services(seen)]
    right: list[RenderableType] = [_prices(seen)] if seen.prices else []
    if seen.costs:
        right.append(_costs(seen))
    if width < BESIDE or not right:
        body: RenderableType = Group(*left, *right)
    else:
        body = Table.grid(padding=(0, 2))
        body.add_row(Group(*left), Group(*right))
    problems = [f"[red]{text(problem)}[/red]" for problem in seen.problems]
    return Group(_headline(seen), body, *problems)


def _headline(seen: Snapshot) -> str:
    letters = "not known" if seen.dead_letters is None else f"{seen.dead_letters:,}"
    colour = "green" if seen.dead_letters == 0 else "yellow"
    total = sum(rate.stored for rate in seen.rates.values())
    speed = f"{total:,.1f} events a second stored" if seen.rates else "looking"
    return (
        f"[bold]Millrace[/bold]  {seen.at:%F %T} UTC  [bold]{speed}[/bold]"
        f"  dead letters: [{colour}]{letters}[/{colour}]"
    )


def _flows(seen: Snapshot) -> Table:
    table = Table(title="What flows", title_justify="left")
    table.add_column("feed")
    for heading in ("published/s", "stored/s", "records", "lag"):
        table.add_column(heading, justify="right")
    for feed, position in seen.positions.items():
        lag = position.end - position.processed
        rate = seen.rates.get(feed)
        table.add_row(
            feed,
            *_speeds(rate),
            f"{position.end:,}",
            f"[yellow]{lag:,}[/yellow]" if lag else "[green]0[/green]",
        )
    return table


def _speeds(rate: Rate | None) -> tuple[str, str]:
    return (f"{rate.published:,.1f}", f"{rate.stored:,.1f}") if rate else (UNKNOWN, UNKNOWN)


def _services(seen: Snapshot) -> Table:
    table = Table(title="Processor and producers", title_justify="left")
    for heading in ("service", "ready", "says"):
        table.add_column(heading)
    for peer in seen.services:
        ready = "[green]yes[/green]" if peer.ready else "[red]no[/red]"
        table.add_row(text(peer.host), ready, text(summary(peer)))
    return table


def _prices(seen: Snapshot) -> Table:
    table = Table(title="Latest prices", title_justify="left")
    for heading in ("feed", "symbol"):
        table.add_column(heading)
    for heading in ("price", "change", "age"):
        table.add_column(heading, justify="right")
    table.add_column("")
    newest = sorted(seen.prices, key=lambda price: price.at, reverse=True)[:SHOWN_PRICES]
    for price in sorted(newest, key=lambda price: (price.feed, price.symbol)):
        table.add_row(
            price.feed,
            text(price.symbol),
            f"{price.value:,.2f} {text(price.currency)}",
            _change(price.change),
            age(seen.at, price.at),
            "[yellow]simulated[/yellow]" if price.simulated else "real",
        )
    if len(seen.prices) > SHOWN_PRICES:
        table.caption = f"the newest {SHOWN_PRICES} of {len(seen.prices)}"
    return table


def _change(change: float | None) -> str:
    if change is None:
        return UNKNOWN
    if change > 0:
        return f"[green]▲ {change:.2f} %[/green]"
    if change < 0:
        return f"[red]▼ {-change:.2f} %[/red]"
    return "0.00 %"


def _costs(seen: Snapshot) -> Table:
    table = Table(title="Latest cost of tokens", title_justify="left")
    table.add_column("model")
    for heading in ("USD a million", "tokens/s", "age"):
        table.add_column(heading, justify="right")
    for cost in seen.costs:
        speed = UNKNOWN if cost.tokens_per_second is None else f"{cost.tokens_per_second:,.0f}"
        per_million = f"{1_000_000 * cost.per_token:,.3f}"
        table.add_row(text(cost.model), per_million, speed, age(seen.at, cost.at))
    return table


def age(now: datetime, then: datetime) -> str:
    """The time since `then`, in its largest unit."""
    seconds = max(0, int((now - then).total_seconds()))
    for unit, length in UNITS:
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
