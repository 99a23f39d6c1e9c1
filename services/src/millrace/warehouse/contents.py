"""What a warehouse has, as it says itself."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
    bytes: int | None
    """None where that is not known, as of Snowflake."""
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


BUILD = "select started_at, is_full, new_events from builds order by started_at desc limit 1"
FEEDS = "select feed, events, last_arrived_at, status from feed_freshness order by feed"


def of(build: Sequence[Any], feeds: Iterable[Sequence[Any]], size: int | None) -> Contents:
    """The answers to both queries as what they say."""
    built_at, is_full, new_events = build
    return Contents(
        built_at.replace(tzinfo=UTC),
        is_full,
        new_events,
        size,
        {feed: FeedContents(events, utc(newest), status) for feed, events, newest, status in feeds},
    )


def read(settings: Settings, database: Path) -> Contents:
    """Read it from the database. Raises duckdb.Error."""
    # Not at the top: the process that builds now and then is small without it.
    from millrace.warehouse import engine

    with engine.connect(settings, database) as connection:
        [build] = connection.execute(BUILD).fetchall()
        return of(build, connection.execute(FEEDS).fetchall(), database.stat().st_size)
