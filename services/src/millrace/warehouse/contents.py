"""What a warehouse has, as it says itself."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from millrace.config import Settings


class FeedContents(msgspec.Struct, frozen=True):
    """What a warehouse has of a feed."""

    events: int
    newest: datetime | None
    """Arrival of its last event; None without any."""
    status: str
    """fresh, stale or absent, when it was built."""


class Contents(msgspec.Struct, frozen=True):
    """What a warehouse has."""

    built_at: datetime
    """When the build began that made it."""
    is_full: bool
    """Whether that build made everything anew."""
    new_events: int
    bytes: int
    feeds: dict[str, FeedContents]


class Built(msgspec.Struct, frozen=True):
    """A build that was successful."""

    contents: Contents
    tests: int
    """How many tests passed."""
    seconds: float
    memory_bytes: int
    """The most that it had at a time."""


def utc(time: datetime | None) -> datetime | None:
    """A time of the database, which has no zone."""
    return None if time is None else time.replace(tzinfo=UTC)


def read(settings: Settings, database: Path) -> Contents:
    """Read it from the database. Raises duckdb.Error."""
    # Not at the top: the process that builds now and then is small without it.
    from millrace.warehouse import engine

    with engine.connect(settings, database) as connection:
        [build] = connection.execute(
            "select started_at, is_full, new_events from builds order by started_at desc limit 1"
        ).fetchall()
        feeds = connection.execute(
            "select feed, events, last_arrived_at, status from feed_freshness order by feed"
        ).fetchall()
    built_at, is_full, new_events = build
    return Contents(
        built_at.replace(tzinfo=UTC),
        is_full,
        new_events,
        database.stat().st_size,
        {feed: FeedContents(events, utc(newest), status) for feed, events, newest, status in feeds},
    )
