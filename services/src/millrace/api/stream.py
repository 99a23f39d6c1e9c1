"""The routes that send events as they are stored, as server-sent events."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from flask import Blueprint, Response, request
from pymongo.errors import PyMongoError

from millrace.api import follow
from millrace.api.auth import READ, scope
from millrace.api.dependencies import Dependencies
from millrace.api.errors import DependencyError
from millrace.api.events import Name, ask, parameters
from millrace.api.follow import Follower
from millrace.api.fresh import FRESH_SECONDS, Fresh
from millrace.api.problems import Problem
from millrace.api.store import Document
from millrace.clients.lag import PartitionLag
from millrace.feeds.base import Feed, as_shown

log = structlog.get_logger(__name__)

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
"""Keeps proxies from caching, compressing and buffering events."""
MAX_STREAMS = 8
"""Maximum number of streams, each of which holds one of the server's threads."""
LONGEST_SECONDS = 3600.0
"""Maximum duration: then the client reconnects, with a token that must still be valid."""
KEEP_ALIVE_SECONDS = 15.0
RECONNECT_MILLISECONDS = 3000


class StreamParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query parameters of `stream`."""

    symbol: Name | None = None


def blueprint(
    feeds: Iterable[Feed[Any]], dependencies: Dependencies, stop: threading.Event
) -> Blueprint:
    """The routes for these feeds. Streams end when `stop` is set."""
    routes = Blueprint("streams", __name__, url_prefix="/v1")
    known = {feed.name: feed for feed in feeds}
    places = threading.BoundedSemaphore(MAX_STREAMS)
    ask_kafka = Fresh(dependencies.ask_kafka)

    def partitions(feed: Feed[Any]) -> list[PartitionLag]:
        return [p for p in ask_kafka().partitions if p.topic == feed.topic]

    @routes.get("/<feed>/stream")
    @scope(READ)
    def stream(feed: str) -> Response:
        if feed not in known:
            raise Problem(HTTPStatus.NOT_FOUND, "There is no such feed; /v1/feeds lists them.")
        follower, log_id = begin(known[feed])
        if request.method == "HEAD":
            return Response(headers=HEADERS, mimetype=MEDIA_TYPE)
        place = ExitStack()
        if not places.acquire(blocking=False):
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS, "Too many streams are open.", {"Retry-After": "30"}
            )
        place.callback(places.release)
        connection = request.environ.get("gunicorn.socket")
        is_gone = connection.is_gone if connection else lambda: False

        def limits() -> dict[int, int] | None:
            now = partitions(known[feed])
            return follow.committed(now) if is_same(log_id, now) else None

        found = lines(follower, limits, stop, is_gone)
        response = Response(found, headers=HEADERS, mimetype=MEDIA_TYPE)
        response.call_on_close(place.close)
        return response

    def begin(feed: Feed[Any]) -> tuple[Follower, str | None]:
        wanted = parameters(StreamParameters)
        try:
            found = partitions(feed)
        except DependencyError as error:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "Kafka does not answer.", {"Retry-After": "5"}
            ) from error
        after = request.headers.get("Last-Event-ID")
        log_id = next((p.log for p in found), None)
        log = ask(lambda: dependencies.store().log_name(feed.topic, log_id))
        position = follow.committed(found) if after is None else follow.decode(after, found, log)

        def read(partition: int, start: int, end: int) -> list[Document]:
            store = dependencies.store()
            return store.between(feed.collection, log, partition, start, end, wanted.symbol)

        return Follower(read, position, log), log_id

    return routes


def lines(
    follower: Follower,
    limits: Callable[[], Mapping[int, int] | None],
    stop: threading.Event,
    is_gone: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[bytes]:
    """The stream, until told to stop, until the client is gone, or for LONGEST_SECONDS.

    It waits for unavailable dependencies, so that nothing is skipped. `limits` returns None when
    the topic was made again: the stream ends, and when resumed it has the events of the new log.
    """
    end = clock() + LONGEST_SECONDS
    yield _block(f"retry: {RECONNECT_MILLISECONDS}", follower)
    said_at = clock()
    is_well = True
    while not stop.is_set() and not is_gone() and clock() < end:
        behind = False
        try:
            known = limits()
            if known is None:
                return
            for document in follower.next(known):
                data = msgspec.json.encode(as_shown(document)).decode()
                yield _block(f"event: event\ndata: {data}", follower)
                said_at = clock()
                if stop.is_set():
                    return
            behind = follower.is_behind(known)
            is_well = True
        except (DependencyError, PyMongoError) as error:
            if is_well:
                log.warning("stream waits for a dependency", reason=type(error).__name__)
            is_well = False
        if clock() - said_at >= KEEP_ALIVE_SECONDS:
            # With a filter, the position also advances if nothing is shown.
            yield _block(": keep-alive", follower)
            said_at = clock()
        if not behind:
            stop.wait(FRESH_SECONDS)


def is_same(log_id: str | None, now: Sequence[PartitionLag]) -> bool:
    """Whether the log is still the same; a missing topic has none."""
    return all(p.log in (log_id, None) for p in now)


def _block(text: str, follower: Follower) -> bytes:
    return f"{text}\nid: {follower.text}\n\n".encode()
