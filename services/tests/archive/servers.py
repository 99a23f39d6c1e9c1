"""Kafka and MongoDB in memory beside an archive in a folder."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from pymongo.collection import Collection as MongoCollection
from services.tests.archive.world import Consumer, Log, archive_all, settings_in
from services.tests.mongo import in_order, matches
from services.tests.stands import stands_for

from millrace.archive import verifying
from millrace.archive.verifying import ArchiveReport
from millrace.clients import kafka, mongodb
from millrace.feeds.quotes import QUOTES
from millrace.verify.data.oracle import Record as Decoded
from millrace.verify.data.oracle import Stored, outcomes

DEAD = "dead-letters"
FIRST_LOG = "00000000-0000-0000-0000-000000000001"


@stands_for(MongoCollection)
class Documents:
    """A collection in memory."""

    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = []

    def find(self, condition: dict[str, Any], _: Any = None, **options: Any) -> Any:
        found = [one for one in self.documents if matches(one, condition)]
        if "kafka.offset" in condition:
            return SimpleNamespace(sort=lambda order: iter(in_order(found, order[-2:])))
        assert options["max_time_ms"]
        return found

    def find_one(self, condition: dict[str, Any], **options: Any) -> dict[str, Any] | None:
        assert options["max_time_ms"]
        return next((one for one in self.documents if matches(one, condition)), None)

    def count_documents(self, condition: dict[str, Any], **options: Any) -> int:
        assert options["hint"]
        assert options["maxTimeMS"]
        return sum(matches(one, condition) for one in self.documents)


class World:
    """A log, its archive, and the collection of the processor."""

    def __init__(self, folder: Path) -> None:
        self.settings = settings_in(folder)
        self.log = Log()
        self.log.make(DEAD, 1)
        self.quotes, self.logs = Documents(), Documents()

    def publish(self, count: int = 100, **options: Any) -> None:
        """Append quotes, and let the processor store them."""
        self.log.quotes(count, **options)
        self.store()

    def store(self, name: str = "") -> None:
        """Store the log, whose name is given, as the processor does."""
        if not self.logs.documents:
            self.logs.documents = [{"_id": QUOTES.topic, "log": FIRST_LOG}]
        known = {one["_id"] for one in self.quotes.documents}
        for (topic, number), records in self.log.records.items():
            if topic != QUOTES.topic:
                continue
            decoded = [
                Decoded(number, r.offset, r.key, r.value, r.timestamp, r.timestamp_type, name)
                for r in records
                if r is not None
            ]
            for found in outcomes(QUOTES, decoded, 0.05):
                if isinstance(found, Stored) and found.document["_id"] not in known:
                    known.add(found.document["_id"])
                    self.quotes.documents.append(found.document)

    def archive(self) -> None:
        """Let the archiver read everything, write it and end."""
        archive_all(self.settings, self.log)

    def verify(self) -> ArchiveReport:
        """Compare."""
        with self.servers():
            return verifying.verify(self.settings, lambda _line: None)

    @contextmanager
    def servers(self) -> Iterator[None]:
        """Kafka and MongoDB in memory; the processor has come to the end."""
        database = {QUOTES.collection: self.quotes, "logs": self.logs}
        patches: list[Any] = [
            patch.object(kafka, "check_credentials", lambda _settings: None),
            patch.object(kafka, "consumer", lambda _settings, **_options: Consumer(self.log)),
            patch.object(mongodb, "client", lambda _settings: Client(database)),
            patch.object(mongodb, "check", lambda _client: None),
            patch.object(verifying, "wait_for_group", lambda *_: None),
            patch.object(verifying, "WAIT_SECONDS", 0.0),
            patch.object(verifying, "POLL_SECONDS", 0.0),
        ]
        with ExitStack() as stack:
            for one in patches:
                stack.enter_context(one)
            yield


class Client(dict[str, Any]):
    """Stands for a client of MongoDB with one database."""

    def __init__(self, database: dict[str, Documents]) -> None:
        super().__init__(millrace=database)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        pass
