"""A whole processor as it runs, but for its servers: from what is read to what the probes say."""

import gc
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar

import msgspec
import pytest
import requests
from pydantic import SecretStr
from services.tests.feeds.events import quote
from services.tests.processor.cache import MemoryCache, Quotes
from services.tests.processor.process import Consumer
from services.tests.processor.world import DEAD, World

from millrace.clients import kafka, mongodb
from millrace.config import Settings
from millrace.feeds.quotes import QUOTES
from millrace.processor import cache_writer, loop, service
from millrace.processor.errors import Transient
from millrace.processor.sinks.mongodb import MongoStore
from millrace.runtime import logging

FIRST = (QUOTES.topic, 0)
SOON = 10.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


class Database(World):
    """Also what the process itself asks of the store."""

    def __init__(self) -> None:
        super().__init__(1, QUOTES)
        self.prepared: list[str] = []
        self.late = 0
        """How often it is not there yet."""
        self.away = False
        self.closed = 0

    def prepare(self, feeds: Any) -> None:
        """See MongoStore."""
        self.prepared += [feed.name for feed in feeds]
        if len(self.prepared) <= self.late:
            raise Transient("MongoDB is starting")

    def ping(self) -> None:
        """See MongoStore."""
        if self.away:
            raise Transient("MongoDB is away")

    def newest(self, feed: Any, symbols: Any) -> Iterator[dict[str, Any]]:
        """See MongoStore."""
        quotes = Quotes()
        quotes.documents = dict(self.documents)
        return quotes.newest(feed, symbols)

    def close(self) -> None:
        """See TopicPublisher."""
        self.closed += 1


class Member(Consumer):
    """A member of the group that has every partition once it knows its topics."""

    def __init__(self, world: World, found_new: Callable[[], None], late: int) -> None:
        jobs = SimpleNamespace(go_on=lambda: None)
        metrics = SimpleNamespace(new_logs=SimpleNamespace(inc=found_new))
        process: Any = SimpleNamespace(jobs=jobs, metrics=metrics, disturb=None)
        super().__init__(world, process)
        self.closed = False
        self._late = late

    def learn_topics(self) -> None:
        """See Group."""
        if self._late:
            self._late -= 1
            raise Transient("Kafka does not know the topics quotes")
        self.assign(self._world.log)

    def poll(self, seconds: float) -> Any:
        time.sleep(0.002)
        return super().poll(seconds)

    def close(self) -> None:
        self.closed = True


class Running:
    """A processor in a thread."""

    def __init__(self, late: int, **changes: Any) -> None:
        self.port = free_port()
        self.settings = Settings(
            **{"http_port": self.port, "feeds": ["quotes"], "redis_host": "redis", **changes}
        )
        self.database, self.cache, self.stop = Database(), MemoryCache(), threading.Event()
        self.members: list[Member] = []
        self.logins = 0
        self.late = self.database.late = late
        self.thread = threading.Thread(target=self._run)

    def login(self, settings: Settings) -> None:
        assert settings is self.settings
        self.logins += 1
        if self.logins <= self.late:
            raise kafka.BrokerUnreachable("no route")

    def publisher(self, settings: Settings) -> Database:
        assert settings is self.settings
        return self.database

    def redis(self, settings: Settings) -> MemoryCache:
        assert settings is self.settings
        return self.cache

    def member(self, settings: Settings, topics: list[str], found_new: Callable[[], None]) -> Any:
        assert (settings, topics) == (self.settings, [QUOTES.topic])
        self.members.append(Member(self.database, found_new, self.late))
        return self.members[-1]

    def _run(self) -> None:
        store: Any = self.database
        service.process(self.settings, store, self.stop)

    def answers(self) -> bool:
        with socket.socket() as client:
            return not client.connect_ex(("127.0.0.1", self.port))

    def get(self, path: str) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=5)

    def tells(self, line: str) -> bool:
        return line in self.get("/metrics").text

    def counts(self, name: str) -> float:
        (found,) = re.findall(rf"^{name} (.+)$", self.get("/metrics").text, re.MULTILINE)
        return float(found)

    def produce(self, event: Any) -> str:
        self.database.produce(0, msgspec.json.encode(event))
        return str(event.event_id)


def until(is_so: Callable[[], Any]) -> None:
    end = time.monotonic() + SOON
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Starts a processor; at the end it is stopped."""

    @contextmanager
    def run(*, stopped: bool = False, late: int = 0, **changes: Any) -> Iterator[Running]:
        one = Running(late, **changes)
        monkeypatch.setattr(kafka, "check_credentials", one.login)
        monkeypatch.setattr(service, "Group", one.member)
        monkeypatch.setattr(service, "TopicPublisher", one.publisher)
        monkeypatch.setattr(service, "RedisCache", one.redis)
        if stopped:
            one.stop.set()
        one.thread.start()
        try:
            until(lambda: stopped or one.answers())
            yield one
        finally:
            one.stop.set()
            one.thread.join(SOON)
            assert not one.thread.is_alive()

    monkeypatch.setattr(loop, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(cache_writer, "LOOK_SECONDS", 0.01)
    yield run


def test_what_comes_is_stored_cached_and_committed_and_the_probes_say_so(running: Any) -> None:
    with running() as one:
        event_id = one.produce(quote(2.5))
        one.database.produce(0, b"no event")
        until(lambda: one.database.committed[FIRST] == 2)
        until(lambda: "IBM" in one.cache.values)
        assert one.database.documents[event_id]["price"]["value"] == 2.5
        assert [letter.topic for letter in one.database.letters] == [DEAD]
        assert one.cache.values["IBM"].price == "2.5"
        until(lambda: one.get("/ready").status_code == 200)
        assert one.get("/live").text == "ok\n"
        until(lambda: one.get("/status").json()["cache"] == "ok")
        assert one.get("/status").json() == {
            "name": "processor-1",
            "feeds": ["quotes"],
            "standing": [],
            "cache": "ok",
        }
        assert "millrace_processor_records_consumed_total 2.0" in one.get("/metrics").text
        one.database.make_anew("second")
        until(lambda: "millrace_processor_new_logs_total 1.0" in one.get("/metrics").text)
    assert (one.database.prepared, one.logins) == (["quotes"], 1)
    assert one.members[0].closed
    assert one.cache.closed
    assert one.database.closed == 1
    with pytest.raises(requests.ConnectionError):
        one.get("/live")


def test_servers_that_come_up_late_are_waited_for(running: Any) -> None:
    with running(late=2, processor_retry_seconds=0.01) as one:
        one.produce(quote(2.5))
        until(lambda: one.database.committed[FIRST] == 1)
        assert (one.logins, one.database.prepared) == (3, 3 * ["quotes"])


def test_without_redis_there_is_nothing_to_say_of_it(running: Any) -> None:
    with running(redis_host="") as one:
        one.produce(quote(2.5))
        until(lambda: one.database.committed[FIRST] == 1)
        assert "cache" not in one.get("/status").json()
        assert not one.cache.values


def test_redis_is_tried_again_and_its_state_is_shown(running: Any) -> None:
    with running(processor_retry_seconds=0.01) as one:
        until(lambda: one.get("/status").json()["cache"] == "ok")
        one.cache.away = True
        until(lambda: one.get("/status").json()["cache"] == "unavailable")
        one.produce(quote(2.5))
        until(lambda: one.database.committed[FIRST] == 1)
        one.cache.away = False
        until(lambda: one.get("/status").json()["cache"] == "ok")
        until(lambda: "IBM" in one.cache.values)


def test_what_stands_still_is_shown_and_named(running: Any) -> None:
    with running() as one:
        one.database.window = one.database.newest_of = None  # a bug where its past is asked for
        one.produce(quote(2.5))
        until(lambda: one.get("/status").json()["standing"])
        (shown,) = one.get("/status").json()["standing"]
        assert (shown["topic"], shown["partition"], shown["offset"]) == (*FIRST, 0)
        assert one.get("/ready").status_code == 503
        assert "quotes/0 stands still at offset 0: TypeError" in one.get("/ready").text
        one.database.away = True
        assert one.get("/ready").text == "MongoDB is away\n"


def test_a_write_that_fails_for_ever_does_not_outlive_the_process(running: Any) -> None:
    with running(processor_stop_seconds=0.2, processor_retry_seconds=0.01) as one:

        def insert(*_: Any) -> Any:
            raise Transient("away")

        one.database.insert = insert
        one.produce(quote(2.5))
        until(lambda: one.counts("millrace_processor_retries_total") >= 5)
        assert not one.get("/status").json()["standing"], "it is no reason to stand still"
    until(lambda: not [t for t in threading.enumerate() if t.name.startswith(service.WRITER)])
    assert one.database.committed[FIRST] == 0


def test_what_no_thread_has_begun_to_write_when_it_ends_is_not_written(running: Any) -> None:
    with running(processor_stop_seconds=0.1, processor_writers=1) as one:
        asked, answer = [], threading.Event()

        def insert(*given: Any) -> Any:
            asked.append(given)
            answer.wait(SOON)
            raise Transient("away")

        one.database.insert = insert
        for told in ("in_flight 1.0", "in_flight 2.0"):
            one.produce(quote(2.5, symbol=told))
            until(partial(one.tells, told))
        assert [t for t in threading.enumerate() if t.name.startswith(service.WRITER)]
    answer.set()
    until(lambda: not [t for t in threading.enumerate() if t.name.startswith(service.WRITER)])
    assert len(asked) == 1


def test_told_to_stop_before_its_servers_are_there_it_joins_no_group(running: Any) -> None:
    with running(stopped=True) as one:
        pass
    assert (one.members, one.database.prepared) == ([], [])
    assert one.cache.closed
    assert one.database.closed == 1


def test_a_feed_whose_writes_hang_leaves_the_others_as_many_threads_as_they_have_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[int] = []

    class Stopped(Exception):
        """So far and no further."""

    def executor(threads: int, thread_name_prefix: str) -> Any:
        made.append(threads)
        raise Stopped

    monkeypatch.setattr(kafka, "check_credentials", lambda _: None)
    monkeypatch.setattr(service, "Group", lambda *_: None)
    monkeypatch.setattr(service, "ThreadPoolExecutor", executor)
    store: Any = Database()
    for feeds in (["quotes"], ["quotes", "stocks", "metals"]):
        own: Any = {"feeds": feeds, "processor_writers": 4, "processor_max_in_flight": 3}
        settings = Settings(http_port=free_port(), **own)
        with pytest.raises(Stopped):
            service.process(settings, store, threading.Event())
    assert made == [4, 4 + 2 * 3]
    assert sorted(store.prepared) == ["metals", "quotes", "quotes", "stocks"]


class Client:
    """What a client for MongoDB is to `run`."""

    made: ClassVar[list[dict[str, Any]]] = []

    def __init__(self, _: Settings, **options: Any) -> None:
        self.made.append(options)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __getitem__(self, name: str) -> str:
        return name


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What `run` processes with, and what it ends with."""
    called: list[Any] = []
    thresholds, handlers = (
        gc.get_threshold(),
        [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT)],
    )
    monkeypatch.setattr(mongodb, "client", Client)
    monkeypatch.setattr(logging, "configure", lambda *given: called.append(given))
    monkeypatch.setattr(os, "_exit", called.append)
    yield called
    gc.set_threshold(*thresholds)
    gc.unfreeze()
    for number, handler in handlers:
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("hangs", [True, False])
def test_a_signal_stops_it_and_a_write_that_hangs_does_not_keep_it(
    process: list[Any], monkeypatch: pytest.MonkeyPatch, number: signal.Signals, *, hangs: bool
) -> None:
    settings = Settings(mongodb_database="prices", redis_password=SecretStr("word"))
    over = threading.Event()

    def work(given: Settings, store: MongoStore, stop: threading.Event) -> None:
        assert given is settings
        assert isinstance(store, MongoStore)
        assert store._database == "prices"
        assert not stop.is_set()
        signal.raise_signal(number)
        assert stop.is_set()
        assert gc.get_freeze_count() > 0
        if hangs:
            threading.Thread(target=over.wait, name=f"{service.WRITER}_0", daemon=True).start()

    monkeypatch.setattr(service, "process", work)
    service.run(settings)
    over.set()
    (configured, *ended) = process
    assert configured == ("processor-1", settings.log_level, settings.secrets())
    assert ended == ([0] if hangs else [])
    assert Client.made[-1] == {"retryWrites": False}
