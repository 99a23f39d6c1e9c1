"""Keeps the latest values in Redis equal to what MongoDB holds, beside the pipeline.

Redis may be slow, away or emptied: writer threads only leave the newest document of each symbol
here, and one thread takes them from here to Redis. What Redis has lost comes from MongoDB, which
has acknowledged every document before it is offered. However many symbols there are, a few of them
are in memory: when too many wait, all are forgotten, and come from MongoDB too.
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
"""How often Redis is asked whether it still has everything."""
STOP_SECONDS = 3.0
AT_ONCE = 500
"""So many values are made and written at a time."""
MOST = 10_000
"""So many symbols may wait; a document takes some 2 kB."""

OK, UNAVAILABLE = "ok", "unavailable"
Document = Mapping[str, Any]
LogPosition = tuple[str, str]
"""Collection and symbol."""


class Newest(Protocol):
    """The database, asked for the latest."""

    def __call__(self, feed: Feed[Any], symbols: Sequence[str] | None, /) -> Iterable[Document]:
        """The newest stored document of each of some symbols, or of every one.

        They come as they are taken, few in memory at a time. Transient, Permanent.
        """
        ...


class CacheWriter:
    """At most one document a symbol waits here, the newest; a thread of its own writes them."""

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
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write what waits, if Redis answers; the next process makes up for what is left."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
        self._cache.close()

    def offer(
        self, collection: str, documents: Sequence[dict[str, Any]], inserted: Inserted
    ) -> None:
        """Take note of documents that MongoDB has acknowledged. It waits for nothing.

        A duplicate need not be what is stored: of its symbol, MongoDB is asked.
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
        """Write what waits; everything, if Redis may have lost something. Transient, Permanent."""
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
        # Asked first: this is what connects.
        complete = self._cache.is_complete()
        return complete and self._epoch == self._cache.epoch and not self._forgot

    def _fill(self) -> None:
        """Put the newest document of every symbol, and meanwhile what comes."""
        epoch, mark = self._cache.epoch, self._cache.begin()
        # What is forgotten from now on may be of a symbol that has been passed.
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
        """Put the documents, and the newest of those symbols that Redis has no value of."""
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
