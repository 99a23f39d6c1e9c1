"""Redis as the processor's port sees it, and a database of quotes: both in memory."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import bson
from services.tests.processor.past import Past
from services.tests.stands import stands_for

from millrace.clients import latest_values
from millrace.clients.latest_values import Latest
from millrace.clients.mongodb import AS_STORED
from millrace.feeds import Feed
from millrace.feeds.base import TIME_FIELD
from millrace.processor.batch import Inserted
from millrace.processor.errors import Transient
from millrace.processor.ports import Kept
from millrace.processor.sinks.mongodb import MongoStore
from millrace.processor.sinks.redis import RedisCache

DONE = "done"


@stands_for(RedisCache, tools=("lose_everything", "evict", "hang_up", "fail"))
class MemoryCache:
    """See ports.Cache. Whatever is called may be the moment when something happens to it."""

    def __init__(self) -> None:
        self.epoch = 0
        self.values: dict[str, Latest] = {}
        self.written: list[Latest] = []
        self.away = False
        self.closed = False
        self.soon: list[Callable[[], None]] = []
        """What happens next, one at a call."""
        self._mark: str | None = None
        self._connected = False
        self._marks = 0

    def lose_everything(self) -> None:
        self.values.clear()
        self.written.clear()
        self._mark = None

    def evict(self, symbol: str) -> None:
        """Its time to live is over, or there was no room."""
        self.values.pop(symbol, None)

    def hang_up(self) -> None:
        """The connection is lost; the client makes another by itself."""
        self._connected = False

    def fail(self) -> None:
        raise Transient("away")

    def is_complete(self) -> bool:
        self._answer()
        return self._mark == DONE

    def begin(self) -> str:
        self._answer()
        if self._mark is None:
            self._marks += 1
            self._mark = f"mark {self._marks}"
        return self._mark

    def finish(self, mark: str) -> bool:
        self._answer()
        if self._mark not in (mark, DONE):
            return False
        self._mark = DONE
        return True

    def put(self, values: Sequence[Latest], *, create: bool) -> list[Kept]:
        self._answer()
        return [self._put(value, may_create=bool(int(create))) for value in values]

    def close(self) -> None:
        self.closed = True

    def _answer(self) -> None:
        if self.soon:
            self.soon.pop()()
        if self.away:
            self._connected = False
            raise Transient("away")
        if not self._connected:
            self._connected = True
            self.epoch += 1

    def _put(self, value: Latest, *, may_create: bool) -> Kept:
        known = self.values.get(value.symbol)
        if known is None and not may_create:
            return Kept.ABSENT
        if known is not None and known.ts_ms >= value.ts_ms:
            return Kept.NOT_NEWER
        self.values[value.symbol] = value
        self.written.append(value)
        return Kept.WRITTEN


@stands_for(MongoStore, tools=("is_newest", "symbols"))
class Quotes(Past):
    """The collection of quotes: what was stored first under an id stays."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.first_logs = {}
        self.away = False
        self.taken = 0
        """How many newest documents were taken."""

    def stored(self, _collection: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """See ports.Store."""
        return {n: self.documents[n] for n in ids if n in self.documents}

    def insert(self, _collection: str, documents: Sequence[dict[str, Any]]) -> Inserted:
        """See ports.Store."""
        duplicates = set()
        for index, document in enumerate(documents):
            if document["_id"] in self.documents:
                duplicates.add(index)
            else:
                self.documents[document["_id"]] = bson.decode(bson.encode(document), AS_STORED)
        return Inserted(len(documents) - len(duplicates), frozenset(duplicates))

    def newest(self, feed: Feed[Any], symbols: Sequence[str] | None) -> Iterator[dict[str, Any]]:
        """See processor.cache_writer.Newest: each symbol as it is when it is its turn."""
        assert isinstance(feed, Feed)
        if self.away:
            raise Transient("away")
        for name in sorted(self.symbols() if symbols is None else symbols):
            if self.away:
                raise Transient("away")
            own = [d for d in self.documents.values() if d["symbol"] == name]
            if own:
                self.taken += 1
                yield max(own, key=lambda document: document[TIME_FIELD])

    def is_newest(self, feed: Feed[Any], value: Latest) -> bool:
        """Whether a value is that of a newest document; several may be from the same moment."""
        own = [
            latest_values.of(feed, d)
            for d in self.documents.values()
            if d["symbol"] == value.symbol
        ]
        newest = max(one.ts_ms for one in own)
        return value in [one for one in own if one.ts_ms == newest]

    def symbols(self) -> set[str]:
        return {document["symbol"] for document in self.documents.values()}
