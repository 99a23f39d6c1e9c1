"""The routes that accept events: accepted ones are acknowledged by Kafka."""

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
from flask import Blueprint, Response, g

from millrace.api import bodies, items, reading
from millrace.api.auth import INGEST, scope
from millrace.api.errors import DependencyError
from millrace.api.events import answer, no_parameters
from millrace.api.items import Rejected
from millrace.api.log import KafkaLog
from millrace.api.problems import Problem, bad_request
from millrace.events import Event
from millrace.feeds.base import Feed
from millrace.feeds.currencies import currency_of
from millrace.runtime.redaction import shown
from millrace.serving.problem import LONGEST_DETAIL

MAX_REQUESTS = 8
"""Maximum numbers of requests that wait for Kafka, and of items in each."""
QUOTES = "quotes"
RETRY = {"Retry-After": "5"}
ACCEPTED, REJECTED, FAILED = "accepted", "rejected", "failed"
UNAVAILABLE = "Kafka does not acknowledge. What is sent again is the same event."


class Quote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request with a single quote."""

    symbol: Any
    price: Any
    volume: Any
    timestamp: Any
    currency: Any = msgspec.UNSET


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of an item. A failed one may be sent again, and is then the same event."""

    index: int
    """The index of the item, from 0."""
    status: str
    event_id: str | None = None
    reason: str | None = None


def blueprint(feeds: Iterable[Feed[Any]], log: Callable[[], KafkaLog]) -> Blueprint:
    """The routes for these feeds; `log` is called when a request needs it."""
    routes = Blueprint("ingest", __name__)
    known = {feed.name: feed for feed in feeds}
    places = threading.BoundedSemaphore(MAX_REQUESTS)

    def append(feed: Feed[Any], events: Sequence[Event]) -> list[bool]:
        try:
            return log().append(feed.topic, events) if events else []
        except DependencyError:
            return [False] * len(events)

    def with_place(do: Callable[[], Response]) -> Response:
        if not places.acquire(blocking=False):
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "Too many requests wait for Kafka.",
                {"Retry-After": "1"},
            )
        try:
            return do()
        finally:
            places.release()

    @routes.post("/v1/ingest/<feed>")
    @scope(INGEST)
    @bodies.takes_json
    def ingest(feed: str) -> Response:
        no_parameters()
        if feed not in known:
            raise Problem(HTTPStatus.NOT_FOUND, "There is no such feed; /v1/feeds lists them.")
        kind, body = bodies.read(*bodies.LINES)
        given = reading.items(body, lines=kind in bodies.LINES)
        return with_place(lambda: batch(known[feed], given))

    def batch(feed: Feed[Any], given: Sequence[bytes | msgspec.Raw]) -> Response:
        source, now = items.source_of(g.token.id), datetime.now(UTC)
        minted = [_mint(feed, item, source, now) for item in given]
        acknowledged = iter(append(feed, [one for one in minted if isinstance(one, Event)]))
        results = [
            Result(index, REJECTED, reason=shown(one, LONGEST_DETAIL))
            if isinstance(one, Rejected)
            else Result(index, ACCEPTED, one.event_id)
            if next(acknowledged)
            else Result(index, FAILED, reason=UNAVAILABLE)
            for index, one in enumerate(minted)
        ]
        found = {result.status for result in results}
        if FAILED in found and ACCEPTED not in found:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, UNAVAILABLE, RETRY)
        status = HTTPStatus.ACCEPTED if found == {ACCEPTED} else HTTPStatus.MULTI_STATUS
        return answer({"results": results}, status)

    if QUOTES in known:

        @routes.post("/ingest/quote")
        @scope(INGEST)
        @bodies.takes_json
        def ingest_quote() -> Response:
            no_parameters()
            _, body = bodies.read()
            return with_place(lambda: quote(body))

    def quote(body: bytes) -> Response:
        given = msgspec.structs.asdict(reading.one(body, Quote))
        if given["currency"] is msgspec.UNSET:
            # An invalid symbol is reported below.
            symbol = given["symbol"] if isinstance(given["symbol"], str) else ""
            given["currency"] = currency_of(symbol)
        try:
            event = items.mint(known[QUOTES], given, items.source_of(g.token.id), datetime.now(UTC))
        except Rejected as error:
            raise bad_request(f"{error}.") from None
        if append(known[QUOTES], [event]) != [True]:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, UNAVAILABLE, RETRY)
        accepted = {"status": ACCEPTED, "symbol": event.symbol, "event_id": event.event_id}
        return answer(accepted, HTTPStatus.ACCEPTED)

    return routes


def _mint(
    feed: Feed[Any], item: bytes | msgspec.Raw, source: str, now: datetime
) -> Event | Rejected:
    try:
        event: Event = items.mint(feed, items.read(item), source, now)
    except Rejected as error:
        return error
    return event
