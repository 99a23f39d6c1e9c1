"""The routes about GPUs: their current metrics, and the costs of their tokens."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from flask import Blueprint, Response

from millrace.api.auth import READ, scope
from millrace.api.costs import (
    HOUR,
    LONGEST,
    SUMMED,
    Bucket,
    By,
    CostPosition,
    CostQuery,
    beginning,
    costs,
)
from millrace.api.events import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    answer,
    ask,
    aware,
    in_order,
    newest_page,
    parameters,
)
from millrace.api.pagination import Query, Symbols, decode, encode
from millrace.api.problems import Problem, bad_request
from millrace.api.store import Store
from millrace.feeds.base import Feed, as_shown
from millrace.feeds.gpu_metrics import GPU_METRICS
from millrace.feeds.token_usage import TOKEN_USAGE


class InfoParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query parameters of `/gpu/info`."""

    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None


class CostParameters(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}
):
    """The query parameters of `cost`."""

    by: By = "model"
    bucket: Bucket = "hour"
    since: datetime | None = None
    until: datetime | None = None
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None


class CostCursor(msgspec.Struct, frozen=True, array_like=True):
    """The start of a page of costs, and their time range, which may depend on the first request.

    Its times come from one of our answers.
    """

    since: Annotated[datetime, msgspec.Meta(tz=True)]
    until: Annotated[datetime, msgspec.Meta(tz=True)]
    after: CostPosition


def blueprint(
    feeds: Iterable[Feed[Any]],
    store: Callable[[], Store],
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Blueprint:
    """The routes; they answer 404 if their feed is not served."""
    routes = Blueprint("gpus", __name__)
    served = {feed.name for feed in feeds}

    def need(feed: Feed[Any]) -> str:
        if feed.name not in served:
            raise Problem(HTTPStatus.NOT_FOUND, f"The feed {feed.name} is not served.")
        return feed.collection

    @routes.get("/gpu/info")
    @scope(READ)
    def info() -> Response:
        collection = need(GPU_METRICS)
        wanted = parameters(InfoParameters)
        every = Query(feed=GPU_METRICS.name)
        newest = ask(lambda: store().events(collection, every, None, 1)).events
        if not newest:
            raise Problem(HTTPStatus.NOT_FOUND, "No GPU has told anything yet.")
        query = Symbols(feed=GPU_METRICS.name)
        found, following = newest_page(store(), collection, query, wanted.limit, wanted.cursor)
        gpus = [as_shown(gpu) for gpu in found]
        return answer({**as_shown(newest[0]), "gpus": gpus, "next": following})

    @routes.get("/v1/token_usage/cost")
    @scope(READ)
    def cost() -> Response:
        collection = need(TOKEN_USAGE)
        wanted = parameters(CostParameters)
        now = clock()
        asked = msgspec.structs.replace(wanted, limit=DEFAULT_LIMIT, cursor=None)
        on = None if wanted.cursor is None else decode(asked, wanted.cursor, CostCursor)
        until = on.until if on else aware("to", wanted.until) or now
        since = on.since if on else aware("from", wanted.since) or beginning(wanted.bucket, until)
        in_order(since, until)
        if until - since > (longest := LONGEST[wanted.bucket]):
            raise bad_request(
                f"From `from` to `to` are more than {longest / HOUR:.0f} hours, the most by"
                f" {wanted.bucket}."
            )
        query = CostQuery(
            by=wanted.by,
            bucket=wanted.bucket,
            since=since,
            until=until,
            # One more than is shown, to know whether there is a next page.
            limit=wanted.limit + 1,
            after=on.after if on else None,
        )
        found = ask(lambda: store().costs(collection, query))
        if found is None:
            raise bad_request(
                f"Between `from` and `to` are more than {SUMMED:,} events: bring them closer"
                " together."
            )
        following = None
        if len(found) > wanted.limit:
            found = found[: wanted.limit]
            last = CostPosition(found[-1]["_id"]["start"], found[-1]["_id"]["group"])
            following = encode(asked, CostCursor(since, until, last))
        return answer(
            {
                "by": query.by,
                "bucket": query.bucket,
                "costs": costs(found, query, now),
                "next": following,
            }
        )

    return routes
