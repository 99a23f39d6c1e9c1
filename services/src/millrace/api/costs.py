"""Costs of tokens by minute or hour: the MongoDB pipeline, and the formula.

    cost_per_token = hourly_price * hours / tokens

`hourly_price` is the sum of the prices of all GPUs that served the group in the bucket, each with
the highest price in its events; `hours` is the part of the bucket that was requested and is over.
Idle time of a GPU is included. The cost is null if no token was used, or a GPU's price is unknown.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

from millrace.feeds.base import TIME_FIELD

By = Literal["model", "gpu", "host"]
Bucket = Literal["minute", "hour"]

LENGTHS: Mapping[Bucket, timedelta] = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
}
BUCKETS_SHOWN = 24
"""Number of buckets before the end that are used if `since` is not given."""
LONGEST: Mapping[Bucket, timedelta] = {
    "minute": timedelta(days=1),
    "hour": timedelta(days=31),
}
"""The longest time range of a request."""
SUMMED = 500_000
"""Maximum number of events that can be summed in time."""
HOUR = timedelta(hours=1)
_GPU = {"$concat": ["$host", "/", {"$toString": "$gpu_index"}]}
_GROUPS: Mapping[By, Any] = {"model": "$model", "gpu": _GPU, "host": "$host"}


class CostPosition(msgspec.Struct, frozen=True, array_like=True):
    """The position of a cost in the order of costs."""

    start: Annotated[datetime, msgspec.Meta(tz=True)]
    group: str


class CostQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A query for costs after a position. `since` is inclusive, `until` is exclusive."""

    by: By
    bucket: Bucket
    since: datetime
    until: datetime
    limit: int
    after: CostPosition | None = None


def between(query: CostQuery) -> dict[str, Any]:
    """The filter for the events that are summed."""
    return {TIME_FIELD: {"$gte": query.since, "$lt": query.until}}


def pipeline(query: CostQuery) -> list[dict[str, Any]]:
    """The aggregation, with a document for each bucket and group, newest bucket first."""
    start = {"$dateTrunc": {"date": f"${TIME_FIELD}", "unit": query.bucket}}
    sums = ("prompt_tokens", "completion_tokens", "events")
    return [
        {"$match": between(query)},
        {
            "$group": {
                "_id": {"start": start, "group": _GROUPS[query.by], "gpu": _GPU},
                "prompt_tokens": {"$sum": "$prompt_tokens"},
                "completion_tokens": {"$sum": "$completion_tokens"},
                "events": {"$sum": 1},
                # Without any price, $max gives null.
                "price": {"$max": "$meta.price_per_hour_usd"},
            }
        },
        {
            "$group": {
                "_id": {"start": "$_id.start", "group": "$_id.group"},
                **{name: {"$sum": f"${name}"} for name in sums},
                "gpus": {"$sum": 1},
                "priced": {"$sum": {"$cond": [{"$eq": ["$price", None]}, 0, 1]}},
                "price": {"$sum": "$price"},
            }
        },
        *([] if query.after is None else [{"$match": _behind(query.after)}]),
        {"$sort": {"_id.start": -1, "_id.group": 1}},
        {"$limit": query.limit},
    ]


def _behind(place: CostPosition) -> dict[str, Any]:
    return {
        "$or": [
            {"_id.start": {"$lt": place.start}},
            {"_id.start": place.start, "_id.group": {"$gt": place.group}},
        ]
    }


def costs(
    sums: Iterable[Mapping[str, Any]], query: CostQuery, now: datetime
) -> list[dict[str, Any]]:
    """The API's costs, from MongoDB's sums."""
    return [_cost(one, query, now) for one in sums]


def _cost(sums: Mapping[str, Any], query: CostQuery, now: datetime) -> dict[str, Any]:
    start = sums["_id"]["start"]
    end = start + LENGTHS[query.bucket]
    elapsed = min(end, query.until, now) - max(start, query.since)
    hours = max(elapsed / HOUR, 0.0)
    tokens = sums["prompt_tokens"] + sums["completion_tokens"]
    price = sums["price"] if sums["priced"] == sums["gpus"] else None
    return {
        "start": start,
        "end": end,
        "group": sums["_id"]["group"],
        "prompt_tokens": sums["prompt_tokens"],
        "completion_tokens": sums["completion_tokens"],
        "tokens": tokens,
        "events": sums["events"],
        "gpus": sums["gpus"],
        "hours": hours,
        "price_per_hour_usd": price,
        "cost_per_token": price * hours / tokens
        if price is not None and tokens and hours
        else None,
    }


def beginning(bucket: Bucket, until: datetime) -> datetime:
    """The default of `since`."""
    try:
        return until - BUCKETS_SHOWN * LENGTHS[bucket]
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
