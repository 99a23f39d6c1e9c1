"""Producers as people see them: what each does, when it polls next, and what went wrong."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich.table import Table

from millrace.peers import Peer

HEADINGS = (
    "producer",
    "ready",
    "state",
    "source",
    "polls",
    "last poll, UTC",
    "next poll, UTC",
    "quota left",
    "published",
    "errors",
    "last error",
)
PREFIX = "producer-"
"""Producers are called so in the network."""


def table(peers: Iterable[Peer]) -> Table:
    """One row a producer; who does not answer has a row, too."""
    rows = Table(*HEADINGS, title="Producers")
    for peer in peers:
        rows.add_row(*row(peer))
    return rows


def row(peer: Peer) -> tuple[str, ...]:
    """The cells of a producer."""
    says = peer.says
    name = str(says.get("name") or peer.host.removeprefix(PREFIX))
    ready = "[green]yes[/green]" if peer.ready else "[red]no[/red]"
    if "source" not in says:
        return (name, ready, str(says.get("problem", "")), *[""] * (len(HEADINGS) - 3))
    quota = says.get("quota_left")
    return (
        name,
        ready,
        str(says["state"]),
        f"{says['source']}{', simulated' if says.get('simulated') else ''}",
        pace(says),
        _time(says.get("last_poll")),
        _time(says.get("next_poll")),
        "" if quota is None else f"{quota:,}",
        f"{says.get('published', 0):,}",
        f"{says.get('errors', 0):,}",
        str(says.get("last_error") or says.get("problem") or ""),
    )


def pace(says: Mapping[str, Any]) -> str:
    """When it polls, and how much it makes."""
    rate = says.get("rate_per_second")
    return str(says.get("timing", "")) + (f", {rate:g} a second" if rate else "")


def _time(moment: str | None) -> str:
    return f"{datetime.fromisoformat(moment):%F %T}" if moment else ""
