"""The state of the pipeline at one moment, and its rates since the previous one."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from millrace.clients.lag import PartitionLag
from millrace.clients.services import Peer
from millrace.feeds.base import TIME_FIELD


class Position(NamedTuple):
    """The end of a feed's topic, and the number of its processed records."""

    end: int
    processed: int


class Rate(NamedTuple):
    """Events per second: into the topic, and from it into the database."""

    published: float
    stored: float


class Price(NamedTuple):
    """The newest price of a symbol; `change` in percent, None if there is nothing to compare."""

    feed: str
    symbol: str
    value: float
    currency: str
    change: float | None
    simulated: bool
    at: datetime


class Cost(NamedTuple):
    """The latest cost of a model's token, in USD."""

    model: str
    per_token: float
    tokens_per_second: float | None
    at: datetime


class Snapshot(NamedTuple):
    """The whole state; values that could not be queried are None or empty, with a problem."""

    at: datetime
    positions: Mapping[str, Position]
    rates: Mapping[str, Rate]
    dead_letters: int | None
    prices: Sequence[Price]
    costs: Sequence[Cost]
    services: Sequence[Peer]
    problems: Sequence[str]


def positions(behind: Iterable[PartitionLag], topics: Mapping[str, str]) -> dict[str, Position]:
    """The position of each feed, from its partitions. `topics` are feeds by topic name."""
    found: dict[str, Position] = {}
    for part in behind:
        feed = topics[part.topic]
        end, processed = found.get(feed, Position(0, 0))
        found[feed] = Position(end + part.end, processed + part.end - part.lag)
    return found


def rates(
    before: Mapping[str, Position], after: Mapping[str, Position], seconds: float
) -> dict[str, Rate]:
    """The rates of each feed between two measurements; none for a feed that is new."""
    if seconds <= 0:
        return {}
    return {
        feed: Rate(
            max(0, now.end - before[feed].end) / seconds,
            max(0, now.processed - before[feed].processed) / seconds,
        )
        for feed, now in after.items()
        if feed in before
    }


def prices(feed: str, documents: Iterable[Mapping[str, Any]]) -> list[Price]:
    """The prices among the newest documents of a feed; other documents have none."""
    return [
        Price(
            feed,
            document["symbol"],
            document["price"]["value"],
            document["price"]["currency"],
            _change(document["meta"]),
            document["simulated"],
            document[TIME_FIELD],
        )
        for document in documents
        if isinstance(document.get("price"), Mapping)
    ]


def _change(meta: Mapping[str, Any]) -> float | None:
    """The change in percent, over the time that the feed compares."""
    found = (value for name, value in meta.items() if name.startswith("change_pct"))
    change = next(found, None)
    return None if change is None else float(change)


def costs(documents: Iterable[Mapping[str, Any]]) -> list[Cost]:
    """The newest cost of each model among the newest documents of its series."""
    found: dict[str, Cost] = {}
    for document in documents:
        meta = document["meta"]
        model, cost = document.get("model"), meta.get("cost_per_token")
        if model is None or cost is None:
            continue
        at = document[TIME_FIELD]
        if model not in found or found[model].at < at:
            found[model] = Cost(model, float(cost), meta.get("tokens_per_second"), at)
    return [found[model] for model in sorted(found)]
