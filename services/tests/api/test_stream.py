"""Streams: everything that is stored comes once, in order, also over a reconnection."""

import json
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pymongo.errors import AutoReconnect
from services.tests.api.test_api import DOCUMENT, problem, retry_seconds
from services.tests.api.world import AUTHORIZED, AWAY, World, document
from services.tests.broker import certificate
from structlog.testing import capture_logs

from millrace.api import follow, fresh, stream
from millrace.api.errors import DependencyError
from millrace.api.follow import STEP, Follower, committed, decode, encode
from millrace.api.fresh import FRESH_SECONDS, Fresh
from millrace.api.problems import Problem
from millrace.api.stream import KEEP_ALIVE_SECONDS, LONGEST_SECONDS, lines
from millrace.clients.lag import PartitionLag

LATER = "e021ad25-bcf2-4258-bf46-f1182b86e01e"
"""The log of a topic that was made again."""
positions = st.dictionaries(st.integers(0, 20), st.integers(0, 10**12), min_size=1)


def partitions(limits: Mapping[int, int], ahead: int = 0) -> list[PartitionLag]:
    """A topic that is processed up to these limits, and so many records longer."""
    return [PartitionLag("stock-data", p, limit + ahead, ahead) for p, limit in limits.items()]


@given(positions, st.sampled_from(["", LATER]))
def test_a_position_is_read_as_it_was_written(position: dict[int, int], log: str) -> None:
    assert decode(encode(position, log), partitions(position), log) == position


@given(positions, st.sampled_from(["", LATER]))
def test_a_position_has_the_form_that_clients_are_told(position: dict[int, int], log: str) -> None:
    described = DOCUMENT["paths"]["/v1/{feed}/stream"]["get"]["parameters"]
    (schema,) = [one["schema"] for one in described if one["name"] == "Last-Event-ID"]
    Draft202012Validator(schema).validate(encode(position, log))


@given(positions, st.data())
def test_a_position_beyond_the_log_is_a_problem(
    position: dict[int, int], data: st.DataObject
) -> None:
    partition = data.draw(st.sampled_from(sorted(position)))
    for log in ({**position, partition: position[partition] - 1}, {partition + 100: 10**13}):
        with pytest.raises(Problem, match="ahead of the log"):
            decode(encode(position, ""), partitions(log), "")


@given(st.text())
def test_no_text_is_more_than_a_problem(text: str) -> None:
    with pytest.raises(Problem):
        decode(text, [], "")


@pytest.mark.parametrize(
    "text", ["", "0", "0:", ":1", "0:1,", "0:1,0:2", "0:-1", "0:1 ", "0:1\n", "\u0660:\u0661"]
)
def test_a_position_has_one_form(text: str) -> None:
    with pytest.raises(Problem, match="not one that this API has made"):
        decode(text, partitions({0: 5}), "")


@pytest.mark.parametrize(
    ("before", "now"), [("", LATER), (LATER, ""), (LATER.replace("e", "f"), LATER)]
)
def test_a_position_in_a_former_log_is_before_the_start_of_this_one(before: str, now: str) -> None:
    assert decode(encode({0: 99}, before), partitions({0: 5, 1: 0}), now) == {0: 0, 1: 0}


def test_what_is_processed_is_the_end_less_the_lag() -> None:
    assert committed([PartitionLag("t", 0, 12, 3), PartitionLag("t", 1, 5, 0)]) == {0: 9, 1: 5}


class Stored:
    """A collection that grows in any order, and the offsets up to which it is complete."""

    def __init__(self) -> None:
        self.places: set[tuple[int, int]] = set()
        self.limits: dict[int, int] = {}

    def read(self, partition: int, start: int, end: int) -> list[Mapping[str, Any]]:
        assert end - start <= STEP
        offsets = sorted(o for p, o in self.places if p == partition and start <= o < end)
        return [{"kafka": {"partition": partition, "offset": offset}} for offset in offsets]


ROUNDS = 1000
"""Far more than 36 records take."""
# Of each partition's records: whether it became a document.
records = st.lists(st.lists(st.booleans(), max_size=12), min_size=1, max_size=3)


@given(records=records, step=st.integers(1, 5), seed=st.integers())
def test_everything_is_shown_once_and_in_order_whenever_it_is_written_and_read(
    records: list[list[bool]], step: int, seed: int
) -> None:
    stored = Stored()
    log = [(p, o) for p, found in enumerate(records) for o in range(len(found))]
    written: set[tuple[int, int]] = set()
    shown: list[tuple[int, int]] = []
    follower = Follower(stored.read, {}, "")
    chance = random.Random(seed)
    unwritten = chance.sample(log, len(log))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(follow, "STEP", step)
        for _ in range(ROUNDS):
            if not unwritten and not follower.is_behind(stored.limits):
                break
            # Writers finish in any order; what is committed has nothing missing before it.
            count = chance.randint(0, len(unwritten))
            written |= {*unwritten[:count]}
            unwritten = unwritten[count:]
            stored.places = {(p, o) for p, o in written if records[p][o]}
            for p, found in enumerate(records):
                complete = next((o for o in range(len(found)) if (p, o) not in written), len(found))
                low = stored.limits.get(p, 0)
                stored.limits[p] = chance.randint(low, complete) if unwritten else complete
            # A client goes away after any event, and comes back with the position of the last.
            patience = chance.randint(1, 30)
            for number, one in enumerate(follower.next(stored.limits), 1):
                shown.append((one["kafka"]["partition"], one["kafka"]["offset"]))
                if number == patience:
                    end = {p: len(found) for p, found in enumerate(records)}
                    position = decode(follower.text, partitions(end), "")
                    follower = Follower(stored.read, position, "")
                    break
        else:
            raise AssertionError("it is never done")
    assert sorted(shown) == sorted(place for place in log if records[place[0]][place[1]])
    for p in range(len(records)):
        offsets = [o for partition, o in shown if partition == p]
        assert offsets == sorted(offsets)


def test_a_partition_that_is_new_is_shown_from_its_start() -> None:
    stored = Stored()
    stored.places = {(0, 5), (1, 0)}
    follower = Follower(stored.read, {0: 5}, "")
    found = [one["kafka"] for one in follower.next({0: 6, 1: 1})]
    assert [(one["partition"], one["offset"]) for one in found] == [(0, 5), (1, 0)]
    assert follower.text == "0:6,1:1"


def test_a_partition_with_nothing_new_is_not_asked_for_and_holds_no_other_up() -> None:
    asked: list[tuple[int, int, int]] = []

    def read(partition: int, start: int, end: int) -> list[Mapping[str, Any]]:
        asked.append((partition, start, end))
        return []

    follower = Follower(read, {0: 5, 1: 2}, "")
    assert list(follower.next({0: 5, 1: 3, 2: 0})) == []
    assert asked == [(1, 2, 3)]


def test_a_new_partition_with_one_record_is_one_to_read() -> None:
    follower = Follower(Stored().read, {}, "")
    assert [follower.is_behind({0: limit}) for limit in (0, 1)] == [False, True]


class Clock:
    """Time passes when a stream waits."""

    def __init__(self, longest: int = 100_000) -> None:
        self.now = 0.0
        self.left = longest
        self.stopped = False

    def __call__(self) -> float:
        return self.now

    def is_set(self) -> bool:
        return self.stopped

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.left -= 1
        self.stopped = self.stopped or self.left <= 0


def blocks(found: Iterator[bytes]) -> list[dict[str, str]]:
    """The blocks of a stream, by field."""
    texts = b"".join(found).decode().split("\n\n")
    return [dict(line.split(": ", 1) for line in text.split("\n")) for text in texts[:-1]]


def follower(*offsets: int, start: int = 0) -> Follower:
    documents = [document(offset) for offset in offsets]

    def read(partition: int, start: int, end: int) -> list[dict[str, Any]]:
        return [d for d in documents if partition == 0 and start <= d["kafka"]["offset"] < end]

    return Follower(read, {0: start}, "")


def test_a_stream_begins_with_where_it_begins_and_shows_events_with_their_position() -> None:
    clock: Any = Clock(longest=1)
    first, *events = blocks(lines(follower(3, 4, 6, start=3), lambda: {0: 6}, clock, clock=clock))
    assert first == {"retry": "3000", "id": "0:3"}
    assert [(e["event"], e["id"]) for e in events] == [("event", "0:4"), ("event", "0:5")]
    data = json.loads(events[0]["data"])
    assert data["event_id"] == "stocks:test:A:3"
    assert "kafka" not in data


def test_a_silent_stream_says_that_it_is_alive_and_ends_after_its_time() -> None:
    clock: Any = Clock()
    found = blocks(lines(follower(), lambda: {0: int(clock.now)}, clock, clock=clock))
    assert clock.now == LONGEST_SECONDS
    assert len(found) == LONGEST_SECONDS // KEEP_ALIVE_SECONDS
    # What is not shown is passed all the same.
    assert found[1] == {"": "keep-alive", "id": "0:15"}


def test_a_stream_that_is_behind_does_not_wait() -> None:
    clock: Any = Clock(longest=1)
    far = 5 * STEP
    following = follower()
    list(lines(following, lambda: {0: far}, clock, clock=clock))
    assert clock.now == FRESH_SECONDS
    assert following.position == {0: far}


@pytest.mark.parametrize("error", [DependencyError("away"), AutoReconnect("away")])
def test_a_dependency_that_is_away_is_waited_for_and_nothing_is_skipped(error: Exception) -> None:
    clock: Any = Clock(longest=6)
    following = follower(0, 1, 2)

    def limits() -> dict[int, int]:
        if 1 <= clock.now < 4:
            raise error
        return {0: 1 if clock.now < 4 else 3}

    _, *events = blocks(lines(following, limits, clock, clock=clock))
    assert [e["id"] for e in events] == ["0:1", "0:2", "0:3"]


@pytest.mark.parametrize("away", [[(0, 2)], [(2, 4), (6, 9)]])
def test_a_dependency_that_is_away_is_in_the_log_once_each_time(away: list[Any]) -> None:
    clock: Any = Clock(longest=12)

    def limits() -> dict[int, int]:
        if any(start <= clock.now < end for start, end in away):
            raise DependencyError("secret reason")
        return {0: 0}

    with capture_logs() as logged:
        list(lines(follower(), limits, clock, clock=clock))
    assert [line["reason"] for line in logged] == ["DependencyError"] * len(away)


def test_a_stream_ends_between_two_events_when_it_is_told_to() -> None:
    clock: Any = Clock()
    found = lines(follower(*range(10)), lambda: {0: 10}, clock, clock=clock)
    next(found), next(found)
    clock.stopped = True
    assert list(found) == []


def test_a_stream_ends_when_its_client_is_gone() -> None:
    clock: Any = Clock()
    gone = iter([False, True])
    found = lines(follower(), lambda: {0: 0}, clock, lambda: next(gone), clock)
    assert len(blocks(found)) == 1
    assert clock.now == FRESH_SECONDS


def test_one_answer_serves_all_who_ask_within_a_second() -> None:
    now, asked = 0.0, 0

    def ask() -> int:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise DependencyError("away")
        return asked

    fresh = Fresh(ask, clock=lambda: now)
    assert [fresh(), fresh(), fresh()] == [1, 1, 1]
    now = FRESH_SECONDS
    for _ in range(3):
        with pytest.raises(DependencyError, match="away"):
            fresh()
    assert asked == 2
    now = 2 * FRESH_SECONDS
    assert fresh() == 3


@pytest.fixture
def world() -> World:
    # Offsets 0 to 11 in partition 0, of which 9 are committed.
    return World(*(document(n, "AB"[n % 2]) for n in range(12)))


@pytest.fixture
def client(world: World) -> FlaskClient:
    return world.app().test_client()


def open_stream(client: FlaskClient, query: str = "", after: str | None = None) -> Any:
    headers = AUTHORIZED if after is None else {**AUTHORIZED, "Last-Event-ID": after}
    return client.get(f"/v1/stocks/stream{query}", headers=headers)


def shown(
    world: World, client: FlaskClient, query: str = "", after: str | None = None
) -> list[str]:
    """The ids of what comes at once."""
    answer = open_stream(client, query, after)
    assert answer.status_code == 200
    assert answer.mimetype == "text/event-stream"
    threading.Timer(0.2, world.stop.set).start()
    found = blocks(answer.iter_encoded())
    answer.close()
    return [json.loads(b["data"])["event_id"].rsplit(":", 1)[1] for b in found if "data" in b]


def test_a_stream_starts_with_what_comes_from_now_on(world: World, client: FlaskClient) -> None:
    answer = open_stream(client)
    found = answer.iter_encoded()
    assert next(found) == b"retry: 3000\nid: 0:9,1:4\n\n"
    world.lag = [PartitionLag("stock-data", 0, 12, 2), PartitionLag("stock-data", 1, 5, 1)]
    assert b'"event_id":"stocks:test:B:9"' in next(found)
    answer.close()


def test_a_stream_resumes_after_the_last_event(world: World, client: FlaskClient) -> None:
    assert shown(world, client, after="0:6,1:4") == ["6", "7", "8"]


def test_a_stream_shows_one_symbol_if_asked_to(world: World, client: FlaskClient) -> None:
    assert shown(world, client, "?symbol=A", after="0:5,1:4") == ["6", "8"]


def test_a_stream_ends_when_the_topic_is_made_again_and_resumes_at_the_start_of_the_new_log(
    world: World, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh, "FRESH_SECONDS", 0.0)
    answer = open_stream(client, after="0:6,1:4")
    found = answer.iter_encoded()
    next(found)
    world.memory.first_logs = {"stock-data": "first"}
    world.lag = [PartitionLag("stock-data", 0, 9, 7, log=LATER)]
    late = threading.Timer(5, world.stop.set)
    late.start()
    assert blocks(found) == []
    late.cancel()
    assert not world.stop.is_set(), "it went on"
    answer.close()
    world.memory.documents += [
        {**one, "kafka": {**one["kafka"], "log": LATER}} for one in (document(100), document(101))
    ]
    for offset, one in enumerate(world.memory.documents[-2:]):
        one["kafka"]["offset"] = offset
    assert shown(world, client, after="0:6,1:4") == ["100", "101"]


@pytest.mark.parametrize(
    ("query", "after", "detail"),
    [
        ("", "bogus", "not one that this API has made"),
        ("", "0:13,1:4", "ahead of the log"),
        ("", "0:1,2:0", "ahead of the log"),
        ("?symbol=", None, "symbol"),
        ("?from=1", None, "from"),
    ],
)
def test_what_is_not_understood_is_a_problem(
    client: FlaskClient, query: str, after: str | None, detail: str
) -> None:
    assert detail in problem(open_stream(client, query, after), 400)


def test_without_kafka_no_stream_begins(client: FlaskClient, world: World) -> None:
    world.down.add("kafka")
    answer = open_stream(client)
    assert "secret" not in problem(answer, 503)
    assert retry_seconds(answer) > 0


def test_without_mongodb_no_stream_begins(client: FlaskClient, world: World) -> None:
    world.lag = [PartitionLag("stock-data", 0, 12, 3, log=LATER)]
    world.memory.error = AWAY
    assert "secret" not in problem(open_stream(client), 503)


def test_a_client_that_hangs_up_has_its_place_taken(client: FlaskClient) -> None:
    connection = SimpleNamespace(is_gone=lambda: True)
    answer = client.get(
        "/v1/stocks/stream",
        headers=AUTHORIZED | {"Last-Event-ID": "0:6,1:4"},
        environ_overrides={"gunicorn.socket": connection},
    )
    assert answer.text == "retry: 3000\nid: 0:6,1:4\n\n"


def test_there_is_no_stream_of_a_feed_that_is_not_served(client: FlaskClient) -> None:
    problem(client.get("/v1/nothing/stream", headers=AUTHORIZED), 404)


def test_streams_are_bounded_and_leave_their_place(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MAX_STREAMS", 2)
    client = world.app().test_client()
    first, _second = open_stream(client), open_stream(client)
    answer = open_stream(client)
    problem(answer, 429)
    assert retry_seconds(answer) > 0
    # A request without a body holds nothing, and neither does one that was refused.
    assert client.head("/v1/stocks/stream", headers=AUTHORIZED).status_code == 200
    problem(open_stream(client, after="bogus"), 400)
    first.close()
    assert open_stream(client).status_code == 200
    problem(open_stream(client), 429)


SERVE = """
import sys, threading
from pathlib import Path
from services.tests.api.world import World
from millrace.runtime import gunicorn
world = World()
port, pem = int(sys.argv[1]), Path(sys.argv[2])
gunicorn.serve(world.app(), port, pem, pem, stop=world.stop)
"""


def test_a_stream_ends_when_the_server_is_told_to_stop(tmp_path: Path) -> None:
    pem = certificate(tmp_path, "localhost")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(port), str(pem)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        with connected(port, pem) as connection:
            token = AUTHORIZED["Authorization"]
            request = ["GET /v1/stocks/stream HTTP/1.1", "Host: api", f"Authorization: {token}"]
            connection.sendall("\r\n".join([*request, "", ""]).encode())
            received = b""
            while b"id: 0:9,1:4\n\n" not in received:
                received += connection.recv(4096)
            assert b"text/event-stream" in received
            server.send_signal(signal.SIGTERM)
            started = time.monotonic()
            while connection.recv(4096):
                pass
        assert server.wait(10) == 0
        assert time.monotonic() - started < 4
    finally:
        server.kill()
        server.wait()


def connected(port: int, pem: Path) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(pem))
    for _ in range(100):
        try:
            plain = socket.create_connection(("127.0.0.1", port), timeout=10)
        except ConnectionError:
            time.sleep(0.1)
        else:
            return context.wrap_socket(plain, server_hostname="localhost")
    raise AssertionError("the server did not start")
