"""What very many symbols take of memory: where Redis is filled, while it is away, in one answer.

Usage: names.py store COUNT puts one quote of each of so many symbols into the database. names.py
fill, away or answer prints {"before": MB of memory with everything loaded, "peak": MB, "seconds"}.
"""

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

from servers import database

from millrace.api.app import create_app
from millrace.api.auth import Token
from millrace.api.store import MongoStore as ApiStore
from millrace.clients.latest_values import Latest
from millrace.feeds import FEEDS
from millrace.feeds.quotes import QUOTES, Quote
from millrace.processor import service
from millrace.processor.batch import Inserted
from millrace.processor.cache_writer import CacheWriter
from millrace.processor.metrics import Metrics
from millrace.processor.ports import Kept
from millrace.processor.sinks.mongodb import MongoStore
from millrace.runtime.chunks import chunks

TIME = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
BATCH = 2000
TOKEN = "benchmark"


def documents(count: int) -> Iterator[dict[str, Any]]:
    """A quote of each symbol, with the name that an option has."""
    for number in range(count):
        event = Quote(
            event_id=f"quotes:bench:{number}",
            schema_version=1,
            feed="quotes",
            source="bench",
            simulated=True,
            symbol=f"BENCH260116C{number:08}",
            observed_at=TIME,
            produced_at=TIME,
            price=100.0,
            bid=99.9,
            ask=100.1,
            volume=300,
            currency="USD",
        )
        position = {"topic": QUOTES.topic, "partition": 0, "offset": number}
        document = QUOTES.document(event, {"change_pct": None})
        yield {"_id": event.event_id, **document, "kafka": position}


class NoCache:
    """In the place of Redis, which takes none of the processor's memory."""

    epoch = 1

    def is_complete(self) -> bool:
        """See ports.Cache."""
        return False

    def begin(self) -> str:
        """See ports.Cache."""
        return "filling"

    def finish(self, mark: str) -> bool:
        """See ports.Cache."""
        return bool(mark)

    def put(self, values: Sequence[Latest], *, create: bool) -> list[Kept]:
        """See ports.Cache."""
        return [Kept.WRITTEN if create else Kept.ABSENT for _ in values]

    def close(self) -> None:
        """See ports.Cache."""


def store(count: int) -> None:
    """Fill the collection anew."""
    collection = database()[QUOTES.collection]
    collection.drop()
    MongoStore(collection.database.client, collection.database.name).prepare([QUOTES])
    for some in chunks(documents(count), BATCH):
        collection.insert_many(some, ordered=False)


def latest_values() -> CacheWriter:
    """What the processor has."""
    found = database()
    newest = MongoStore(found.client, found.name).newest
    return CacheWriter(NoCache(), newest, [QUOTES], Metrics(), 5.0)


def away() -> None:
    """What the writer threads leave while nobody takes it."""
    values = latest_values()
    for some in chunks(documents(database()[QUOTES.collection].estimated_document_count()), BATCH):
        values.offer(QUOTES.collection, some, Inserted(len(some)))


class Served:
    """What the API needs for the one answer."""

    def store(self) -> ApiStore:
        """See ports.Dependencies."""
        return ApiStore(database())

    def __getattr__(self, name: str) -> Any:
        return lambda: None


def answer() -> None:
    """The largest page of the latest events."""
    token = Token("bench", hashlib.sha256(TOKEN.encode()).hexdigest(), ["read"])
    served: Any = Served()
    client = create_app(list(FEEDS.values()), [token], served, 60.0, Event(), ()).test_client()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    found = client.get("/v1/quotes/latest?limit=1000", headers=headers)
    if len(found.get_json()["events"]) != 1000:
        raise SystemExit(f"the API answers {found.status_code}")


def peak() -> float:
    """The most that this process has had in memory, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if "VmHWM" in line)) / 1024


def measure(step: Callable[[], None]) -> None:
    """Run it and print what it took."""
    assert service, "what the processor has loaded anyway"
    database().command("ping")
    before, start = peak(), time.monotonic()
    step()
    seconds = time.monotonic() - start
    print(json.dumps({"before": before, "peak": peak(), "seconds": seconds}))


if sys.argv[1] == "store":
    store(int(sys.argv[2]))
else:
    measure({"fill": latest_values().step, "away": away, "answer": answer}[sys.argv[1]])
