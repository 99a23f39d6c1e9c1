"""`millrace warehouse show`: what the database has."""

import msgspec
from rich.table import Table

from millrace.config import Settings
from millrace.runtime.console import console
from millrace.warehouse import building


def run(settings: Settings, *, as_json: bool) -> None:
    """Print it. Raises NoWarehouse, Failed."""
    found = building.show(settings)
    out = console()
    if as_json:
        out.print_json(msgspec.json.encode(found).decode())
        return
    table = Table("feed", "events", "newest", "", title=f"Built at {found.built_at:%F %T} UTC")
    for feed, one in found.feeds.items():
        newest = f"{one.newest:%F %T} UTC" if one.newest else ""
        table.add_row(feed, f"{one.events:,}", newest, one.status)
    out.print(table)
