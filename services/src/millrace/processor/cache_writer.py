"""Keeps the latest values in Redis equal to MongoDB's, beside the pipeline.

Redis may be slow, unavailable or emptied: writer threads only hand over the newest document of each
symbol, and a separate thread writes them to Redis. Values that Redis has lost are read from
MongoDB, which has acknowledged every document before it is offered. Memory is limited: if too many
symbols wait, all are dropped, and read from MongoDB too.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import structlog

from millrace.clients import latest_values
from millrace.errors import MillraceError
from millrace.feeds.base import TIME_FIELD, Feed
from millrace.processor import backoff
from millrace.processor.batch import Inserted
from millrace.processor.errors import Transient
from millrace.processor.metrics import Metrics
from millrace.processor.ports import Cache, Kept
from millrace.runtime.chunks import chunks

log = structlog.get_logger(__name__)

LOOK_SECONDS = 2.0
"""Interval of checks whether Redis still has everything."""
STOP_SECONDS = 3.0
AT_ONCE = 500
"""Number of values that are prepared and written at a time."""
MOST = 10_000
"""Maximum number of waiting symbols; a document takes some 2 kB."""

OK, UNAVAILABLE = "ok", "unavailable"
Document = Mapping[str, Any]
LogPosition = tuple[str, str]
"""Collection and symbol."""


class Newest(Protocol):
    """A query of the database for the newest documents."""

    def __call__(self, feed: Feed[Any], symbols: Sequence[str] | None, /) -> Iterable[Document]:
        """The newest stored document of each of these symbols, or of all.

        They are read lazily, a few at a time. Raises Transient, Permanent.
        """
        ...


class CacheWriter:
    """Holds at most one waiting document per symbol, the newest; a separate thread writes them."""

    def __init__(
        self,
        cache: Cache,
        newest: Newest,
        feeds: Sequence[Feed[Any]],
        metrics: Metrics,
        longest_wait: float,
    ) -> None:
        self._cache = cache
        self._newest = newest
        self._feeds = {feed.collection: feed for feed in feeds}
        self._metrics = metrics
        self._longest_wait = longest_wait
        self._lock = threading.Lock()
        self._waiting: dict[LogPosition, Document] = {}
        self._doubtful: set[LogPosition] = set()
        self._forgot = False
        self._epoch: int | None = None
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="cache-writer", daemon=True)
        self.state = UNAVAILABLE

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    def close(self) -> None:
        """Write waiting documents, if Redis answers; the next process writes the rest."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
        self._cache.close()

    def offer(
        self, collection: str, documents: Sequence[dict[str, Any]], inserted: Inserted
    ) -> None:
        """Accept documents that MongoDB has acknowledged, without blocking.

        A duplicate may differ from the stored document, so its symbol is read from MongoDB.
        """
        if collection not in self._feeds:
            return
        newest: dict[LogPosition, Document] = {}
        doubtful = set()
        for index, document in enumerate(documents):
            place = collection, document["symbol"]
            if index in inserted.duplicates:
                doubtful.add(place)
            elif index not in inserted.rejected:
                _keep(newest, place, document)
        self._put_back(newest, doubtful)
        self._wake.set()

    def step(self) -> None:
        """Write waiting documents, or all if Redis may lack some. Raises Transient, Permanent."""
        if not self._is_filled():
            self._fill()
        self._write_waiting()

    def _run(self) -> None:
        attempt = 0
        while not self._stop.is_set():
            try:
                self.step()
            except Exception as error:
                unexpected = not isinstance(error, Transient | MillraceError)
                pause = backoff.seconds(attempt, self._longest_wait)
                self._set_state(UNAVAILABLE)
                self._metrics.cache_failures.inc()
                log.warning(
                    "latest values wait", reason=str(error), seconds=pause, exc_info=unexpected
                )
                attempt += 1
                self._stop.wait(pause)
            else:
                attempt = 0
                self._set_state(OK)
                self._wake.wait(LOOK_SECONDS)
                self._wake.clear()
        with suppress(Transient, MillraceError):
            self._write_waiting()

    def _set_state(self, state: str) -> None:
        self.state = state
        self._metrics.cache_up.set(state == OK)

    def _write_waiting(self) -> None:
        waiting, doubtful = self._take()
        try:
            self._write(waiting, doubtful)
        except (Transient, MillraceError):
            self._put_back(waiting, doubtful)
            raise

    def _take(self) -> tuple[dict[LogPosition, Document], set[LogPosition]]:
        with self._lock:
            taken = self._waiting, self._doubtful
            self._waiting, self._doubtful = {}, set()
            return taken

    def _put_back(
        self, documents: Mapping[LogPosition, Document], doubtful: Iterable[LogPosition]
    ) -> None:
        with self._lock:
            for place, document in documents.items():
                _keep(self._waiting, place, document)
            self._doubtful |= set(doubtful)
            if len(self._waiting) + len(self._doubtful) > MOST:
                self._waiting, self._doubtful = {}, set()
                self._forgot = True

    def _is_filled(self) -> bool:
        # Call this first: it connects.
        complete = self._cache.is_complete()
        return complete and self._epoch == self._cache.epoch and not self._forgot

    def _fill(self) -> None:
        """Write the newest document of every symbol, and new documents meanwhile."""
        epoch, mark = self._cache.epoch, self._cache.begin()
        # Documents dropped from now on may be of symbols that were already written.
        self._epoch, self._forgot = None, False
        for feed in self._feeds.values():
            for documents in chunks(self._newest(feed, None), AT_ONCE):
                if self._stop.is_set():
                    raise Transient("told to stop while Redis is filled")
                self._put(feed, documents, create=True)
                self._write_waiting()
        if not self._cache.finish(mark):
            raise Transient("Redis was emptied while it was filled")
        self._epoch = epoch
        log.info("all latest values are in Redis")

    def _write(
        self, waiting: Mapping[LogPosition, Document], doubtful: Iterable[LogPosition]
    ) -> None:
        """Write the documents, and the newest one of each symbol without a value in Redis."""
        places = set(doubtful)
        for collection, feed in self._feeds.items():
            own = [place for place in waiting if place[0] == collection]
            for part in chunks(own, AT_ONCE):
                kept = self._put(feed, [waiting[place] for place in part], create=False)
                places |= {
                    place for place, one in zip(part, kept, strict=True) if one is Kept.ABSENT
                }
            symbols = sorted(symbol for name, symbol in places if name == collection)
            for documents in chunks(self._newest(feed, symbols), AT_ONCE):
                self._put(feed, documents, create=True)

    def _put(
        self, feed: Feed[Any], documents: Sequence[Document], *, create: bool
    ) -> Sequence[Kept]:
        kept = self._cache.put([latest_values.of(feed, d) for d in documents], create=create)
        counts = Counter(kept)
        self._metrics.cache_writes.inc(counts[Kept.WRITTEN])
        self._metrics.cache_refused.inc(counts[Kept.NOT_NEWER])
        return kept


def _keep(newest: dict[LogPosition, Document], place: LogPosition, document: Document) -> None:
    known = newest.get(place)
    if known is None or document[TIME_FIELD] > known[TIME_FIELD]:
        newest[place] = document
