"""The routes about GPUs: what they do now, and what the tokens cost that they make."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from flask import Blueprint, Response

from millrace.api.auth import READ, scope
from millrace.api.costs import HOUR, LONGEST, Bucket, By, CostQuery, beginning, costs
from millrace.api.events import answer, ask, aware, no_parameters, parameters
from millrace.api.problems import Problem, bad_request
from millrace.api.store import Store
from millrace.feeds.base import TIME_FIELD, Feed, as_shown
from millrace.feeds.gpu_metrics import GPU_METRICS
from millrace.feeds.token_usage import TOKEN_USAGE

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000


class CostParameters(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}
):
    """The query parameters of `cost`."""

    by: By = "model"
    bucket: Bucket = "hour"
    since: datetime | None = None
    until: datetime | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT


def blueprint(
    feeds: Iterable[Feed[Any]],
    store: Callable[[], Store],
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Blueprint:
    """The routes; they answer 404 where their feed is not served."""
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
        no_parameters()
        found = ask(lambda: store().latest(collection, None))
        if not found:
            raise Problem(HTTPStatus.NOT_FOUND, "No GPU has told anything yet.")
        newest = max(found, key=lambda document: document[TIME_FIELD])
        return answer({**as_shown(newest), "gpus": [as_shown(gpu) for gpu in found]})

    @routes.get("/v1/token_usage/cost")
    @scope(READ)
    def cost() -> Response:
        collection = need(TOKEN_USAGE)
        wanted = parameters(CostParameters)
        now = clock()
        until = aware("to", wanted.until) or now
        since = aware("from", wanted.since) or beginning(wanted.bucket, until)
        if since > until:
            raise bad_request("The time in `from` is after the one in `to`.")
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
            limit=wanted.limit,
        )
        found = ask(lambda: store().costs(collection, query))
        return answer({"by": query.by, "bucket": query.bucket, "costs": costs(found, query, now)})

    return routes
