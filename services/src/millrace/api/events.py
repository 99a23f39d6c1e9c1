"""The routes that serve events."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

import msgspec
from flask import Blueprint, Response, request
from pymongo.errors import ExecutionTimeout, PyMongoError

from millrace.api.auth import READ, scope
from millrace.api.pagination import Order, Position, Query, Symbols, decode, encode
from millrace.api.problems import Problem, bad_request, unavailable
from millrace.api.store import LIMIT_MILLISECONDS, Document, Store
from millrace.feeds.base import Feed, as_shown
from millrace.parsing import scalars

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)]
MAX_CURSOR = 2048
"""The longest name has a cursor of 1.7 kB, if JSON has to escape all of its characters."""
Cursor = Annotated[str, msgspec.Meta(max_length=MAX_CURSOR)]
TIMES = ("from", "to")
T = TypeVar("T")


class LatestParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query parameters of `latest`."""

    symbol: Name | None = None
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None


class EventsParameters(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}
):
    """The query parameters of `events`."""

    symbol: Name | None = None
    source: Name | None = None
    since: datetime | None = None
    until: datetime | None = None
    order: Order = "newest"
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None


def blueprint(feeds: Iterable[Feed[Any]], store: Callable[[], Store]) -> Blueprint:
    """The routes for these feeds; `store` is called when a request needs it."""
    routes = Blueprint("feeds", __name__, url_prefix="/v1")
    known = {feed.name: feed for feed in feeds}

    def collection(name: str) -> str:
        if name not in known:
            raise Problem(HTTPStatus.NOT_FOUND, "There is no such feed; /v1/feeds lists them.")
        return known[name].collection

    @routes.get("/feeds")
    @scope(READ)
    def list_feeds() -> Response:
        no_parameters()
        described = [
            {
                "name": feed.name,
                "latest": f"/v1/{feed.name}/latest",
                "events": f"/v1/{feed.name}/events",
                "stream": f"/v1/{feed.name}/stream",
            }
            for feed in known.values()
        ]
        return answer({"feeds": described})

    @routes.get("/<feed>/latest")
    @scope(READ)
    def latest(feed: str) -> Response:
        name = collection(feed)
        wanted = parameters(LatestParameters)
        query = Symbols(feed=feed, symbol=wanted.symbol)
        if wanted.symbol is None:
            found, following = newest_page(store(), name, query, wanted.limit, wanted.cursor)
        elif wanted.cursor is None:
            one = ask(lambda: store().newest(name, wanted.symbol))
            found, following = [] if one is None else [one], None
        else:
            raise bad_request("The newest event of one symbol has no next page.")
        return answer({"events": [as_shown(document) for document in found], "next": following})

    @routes.get("/<feed>/events")
    @scope(READ)
    def events(feed: str) -> Response:
        name = collection(feed)
        wanted = parameters(EventsParameters)
        since, until = aware("from", wanted.since), aware("to", wanted.until)
        in_order(since, until)
        query = Query(
            feed=feed,
            order=wanted.order,
            symbol=wanted.symbol,
            source=wanted.source,
            since=since,
            until=until,
        )
        after = decode(query, wanted.cursor, Position) if wanted.cursor is not None else None
        page = ask(lambda: store().events(name, query, after, wanted.limit))
        following = None if page.following is None else encode(query, page.following)
        return answer(
            {"events": [as_shown(document) for document in page.events], "next": following}
        )

    return routes


def newest_page(
    store: Store, collection: str, query: Symbols, limit: int, cursor: str | None
) -> tuple[list[Document], str | None]:
    """The newest event of each symbol of a page, by symbol, and the cursor of the next page."""
    after = decode(query, cursor, str) if cursor is not None else ""
    # One more than is shown, to know whether there is a next page.
    found = ask(lambda: store.latest(collection, after, limit + 1))
    page = found[:limit]
    return page, encode(query, page[-1]["symbol"]) if len(found) > limit else None


def _read(name: str, text: str) -> Any:
    """Convert a parameter that is a number or a time; others stay text, even `null`."""
    try:
        if name == "limit":
            return scalars.number(text, whole=True)
        return scalars.time_in_query(text) if name in TIMES else text
    except ValueError as error:
        raise bad_request(f"`{name}` {error}.") from None


def no_parameters() -> None:
    """Refuse a query to a route that takes none."""
    parameters(msgspec.defstruct("NoParameters", [], forbid_unknown_fields=True))


def parameters(kind: type[Any]) -> Any:
    """The query parameters of this request; a problem names an invalid one."""
    given = request.args.to_dict(flat=False)
    for name, values in given.items():
        if len(values) > 1:
            raise bad_request(f"The parameter {name} is given more than once.")
    known = {field.encode_name for field in msgspec.structs.fields(kind)}
    read = {n: _read(n, *values) if n in known else values[0] for n, values in given.items()}
    try:
        return msgspec.convert(read, kind)
    except msgspec.ValidationError as error:
        raise bad_request(f"{error}.".replace("Object", "The query").replace("`$.", "`")) from None


def aware(name: str, time: datetime | None) -> datetime | None:
    """The time of a parameter in UTC; raises a problem if it is invalid."""
    try:
        return None if time is None else time.astimezone(UTC)
    except OverflowError:
        raise bad_request(f"The time in `{name}` is out of range.") from None


def in_order(since: datetime | None, until: datetime | None) -> None:
    """Refuse a range that starts after its end."""
    if since and until and since > until:
        raise bad_request("The time in `from` is after the one in `to`.")


def ask(question: Callable[[], T]) -> T:
    """The database's answer; raises a problem if there is none."""
    try:
        return question()
    except OverflowError:
        # The cursor's time does not exist in UTC. The parameters' times have been checked.
        raise bad_request("The cursor is not one that this API has made.") from None
    except ExecutionTimeout as error:
        seconds = LIMIT_MILLISECONDS / 1000
        detail = f"The database needs more than {seconds:.0f} s for this: ask for less."
        raise unavailable(detail) from error
    except PyMongoError as error:
        raise unavailable("The database does not answer.") from error


def answer(body: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """A body as JSON."""
    return Response(msgspec.json.encode(body), status, mimetype="application/json")
