"""The table of producers: what each does, when it polls next, and its problems."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from millrace.clients.services import Peer
from millrace.runtime.console import text

PREFIX = "producer-"
"""The prefix of producers' names in the network."""
WHOLE = ("polls", "last poll, UTC", "next poll, UTC")
"""Columns that are not wrapped."""
CLOCK_SECONDS = 1.0
"""A larger difference to Kafka's clock is reported."""
FOLDED = ("producer", "ready", "state", "source")
NUMBERS = ("quota", "published", "errors")


def show(out: Console, peers: Sequence[Peer]) -> None:
    """Print one row per producer, and below a line for each that has a problem."""
    rows = Table(*FOLDED, title="Producers")
    for heading in WHOLE:
        rows.add_column(heading, no_wrap=True)
    for heading in NUMBERS:
        rows.add_column(heading, justify="right")
    for peer in peers:
        rows.add_row(*_row(peer))
    out.print(rows)
    for peer in peers:
        if wrong := peer.says.get("last_error") or peer.says.get("problem"):
            out.print(f"[red]{_name(peer)}: {text(wrong)}[/red]")
        ahead = peer.says.get("clock_ahead_seconds", 0.0)
        if abs(ahead) >= CLOCK_SECONDS:
            which = "ahead of" if ahead > 0 else "behind"
            line = f"its clock is {abs(ahead):.0f} s {which} Kafka's"
            out.print(f"[yellow]{_name(peer)}: {line}[/yellow]")


def pace(says: Mapping[str, Any]) -> str:
    """The timing and the rate of a producer."""
    rate = says.get("rate_per_second")
    return str(says.get("timing", "")) + (f", {rate:g} a second" if rate else "")


def _row(peer: Peer) -> list[str]:
    ready = "[green]yes[/green]" if peer.ready else "[red]no[/red]"
    says = peer.says
    if "source" not in says:
        return [_name(peer), ready]
    quota = says.get("quota_left")
    return [
        _name(peer),
        ready,
        text(says["state"]),
        f"{text(says['source'])}{', simulated' if says.get('simulated') else ''}",
        text(pace(says)),
        _time(says.get("last_poll")),
        _time(says.get("next_poll")),
        "" if quota is None else f"{quota:,}",
        f"{says.get('published', 0):,}",
        f"{says.get('errors', 0):,}",
    ]


def _name(peer: Peer) -> str:
    return text(peer.says.get("name") or peer.host.removeprefix(PREFIX))


def _time(moment: str | None) -> str:
    return f"{datetime.fromisoformat(moment):%m-%d %T}" if moment else ""
