"""The consumer port on kafka-python: which errors are which, and what a commit may contain."""

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock
from uuid import UUID

import pytest
from kafka import KafkaAdminClient, KafkaConsumer
from kafka.coordinator.base import MemberState
from kafka.errors import (
    CommitFailedError,
    CorruptRecordError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
)
from kafka.structs import OffsetAndMetadata, TopicPartition
from services.tests.stands import stands_for

from millrace.clients import kafka, operator_commands, topic_ids
from millrace.clients.operator_commands import Command
from millrace.config import Settings
from millrace.processor import group as group_module
from millrace.processor.breaker import Tally
from millrace.processor.errors import Permanent, Stuck, Transient, Unknown
from millrace.processor.group import Group

MINE, ALSO_MINE, THEIRS = (TopicPartition("stock-data", number) for number in range(3))
FIRST, SECOND = UUID(int=1), UUID(int=2)
"""Ids of the topic, as it was made first and again."""
TALLIES = {"stock-data": Tally(100, 7)}


@stands_for(KafkaConsumer)
class Client:
    """Stands for kafka-python's consumer."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}
        self.listener: Any = None
        self.error: Exception | None = None
        self.stored: dict[TopicPartition, Any] = {}
        self.sought: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self.closed: dict[str, Any] = {}
        self.topics: dict[str, set[int]] = {}
        self.state = MemberState.STABLE
        self.deleted: set[TopicPartition] = set()
        self.ids: dict[str, UUID] = {}
        self._cluster = SimpleNamespace(topic_id=lambda topic: self.ids.get(topic))
        self.polled: dict[TopicPartition, list[Any]] = {}
        self.subscribed: list[str] = []
        self.waits: list[int] = []
        """How long it may take to answer, in milliseconds, of each question."""

    def subscribe(self, topics: list[str], *, listener: Any) -> None:
        self.subscribed, self.listener = topics, listener

    def assignment(self) -> set[TopicPartition]:
        return {MINE, ALSO_MINE}

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        self.waits.append(timeout_ms)
        if self.error:
            raise self.error
        return self.polled

    def commit(self, offsets: Mapping[TopicPartition, Any], timeout_ms: int) -> None:
        self.waits.append(timeout_ms)
        if self.error:
            raise self.error
        self.stored |= offsets

    def committed(self, partition: TopicPartition, *, metadata: bool, timeout_ms: int) -> Any:
        self.waits.append(timeout_ms)
        if self.error:
            raise self.error
        found = self.stored.get(partition)
        return found if metadata or found is None else found.offset

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.sought[partition] = offset

    def pause(self, *partitions: TopicPartition) -> None:
        self._paused |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self._paused -= set(partitions)

    def paused(self) -> set[TopicPartition]:
        return set(self._paused)

    def end_offsets(self, partitions: Iterable[Any], timeout_ms: int) -> dict[Any, int]:
        self.waits.append(timeout_ms)
        if self.error:
            raise self.error
        for partition in self.deleted.intersection(partitions):
            raise KeyError(partition)
        return dict.fromkeys(partitions, 100)

    def position(self, partition: TopicPartition, timeout_ms: int) -> int | None:
        self.waits.append(timeout_ms)
        return {MINE: 40}.get(partition)

    def partitions_for_topic(self, topic: str) -> set[int]:
        if self.error:
            raise self.error
        return self.topics.get(topic, set())

    def group_metadata(self) -> Any:
        return SimpleNamespace(state=self.state)

    def close(self, **options: Any) -> None:
        self.closed = options


@stands_for(KafkaAdminClient)
class Admin:
    """Stands for kafka-python's administration client."""

    def __init__(self) -> None:
        self.failing = False
        self.hanging_up: Exception | None = None
        self.closed = 0
        self.options: dict[str, Any] = {}
        self.refusal: Exception | None = None
        self.texts: dict[TopicPartition, str] = {}
        self.numbers = {"stock-data": range(3)}

    def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        if self.failing:
            raise KafkaConnectionError
        return [
            {
                "name": n,
                "topic_id": str(FIRST) if n in self.numbers else None,
                "partitions": [{"partition_index": i} for i in self.numbers.get(n, ())],
            }
            for n in names
        ]

    def describe_groups(self, names: list[str]) -> dict[str, Any]:
        parts = [{"topic": "stock-data", "partitions": [0, 1]}]
        member = {"member_assignment": {"assigned_partitions": parts}}
        found = {"group_state": "Stable", "error": None, "members": [member]}
        dead = {"group_state": "Dead", "error": "no such group", "members": []}
        return {name: found if name == "processor" else dead for name in names}

    def list_group_offsets(self, asked: dict[str, list[TopicPartition]]) -> dict[str, Any]:
        if self.refusal:
            raise self.refusal
        ((group, partitions),) = asked.items()
        assert group == "operator-orders"
        none = OffsetAndMetadata(-1, "", -1)
        found = {p: OffsetAndMetadata(9, self.texts[p], -1) for p in self.texts}
        return {group: {p: found.get(p, none) for p in partitions}}

    def close(self) -> None:
        self.closed += 1
        if self.hanging_up:
            raise self.hanging_up


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    made = Client()

    def consumer(settings: Settings, **options: Any) -> Client:
        assert isinstance(settings, Settings)
        made.options = options
        return made

    monkeypatch.setattr(kafka, "consumer", consumer)
    return made


@pytest.fixture
def admins(monkeypatch: pytest.MonkeyPatch) -> list[Admin]:
    """The administration clients that were made."""
    made: list[Admin] = []

    def admin(settings: Settings, **options: Any) -> Admin:
        assert isinstance(settings, Settings)
        made.append(Admin())
        made[-1].options = options
        return made[-1]

    monkeypatch.setattr(kafka, "admin", admin)
    return made


@pytest.fixture
def group(client: Client, admins: list[Admin]) -> Group:
    return Group(Settings(processor_name="one"), ["stock-data"], Mock())


def test_it_is_no_static_member_which_would_be_given_what_it_had_before(
    group: Group, client: Client
) -> None:
    assert client.options["group_id"] == "processor"
    assert "group_instance_id" not in client.options


def test_a_killed_process_is_missed_soon(group: Group, client: Client) -> None:
    assert 6_000 <= client.options["session_timeout_ms"] <= 10_000, "the brokers' least is 6 s"
    assert 1_000 <= client.options["metadata_max_age_ms"] <= 10_000
    beats = client.options["session_timeout_ms"] / client.options["heartbeat_interval_ms"]
    assert 3 <= beats <= 10


def test_it_reads_its_topics_in_the_portions_that_are_set(client: Client) -> None:
    settings = Settings(processor_name="one", processor_batch_records=70, processor_linger_ms=9)
    Group(settings, ("metal-prices", "stock-data"), Mock())
    assert client.subscribed == ["metal-prices", "stock-data"]
    options = client.options
    assert (options["client_id"], options["max_poll_records"]) == ("one", 70)
    assert options["fetch_max_wait_ms"] == 9
    assert 1 << 14 <= options["fetch_min_bytes"] <= options["max_partition_fetch_bytes"] <= 1 << 20
    assert options.keys() <= KafkaConsumer.DEFAULT_CONFIG.keys(), "the library would refuse it"


def test_what_keeps_positions_safe_is_left_as_it_is_for_all(group: Group, client: Client) -> None:
    safe = {"enable_auto_commit", "auto_offset_reset", "isolation_level", "security_protocol"}
    assert not safe & client.options.keys()


def test_it_moves_little_and_agrees_with_a_member_of_an_earlier_version(
    group: Group, client: Client
) -> None:
    names = [one.name for one in client.options["partition_assignment_strategy"]]
    assert names == ["sticky", "range"]


def test_every_question_has_a_deadline(reading: Group, client: Client, admins: list[Admin]) -> None:
    client.state = MemberState.REBALANCING
    reading.poll(0.25)
    assert client.waits[0] == 250
    client.state = MemberState.STABLE
    reading.commit({MINE: 5}, TALLIES)
    reading.tally("stock-data")
    reading.look()
    reading.close()
    assert len(client.waits) >= 8
    assert all(100 <= wait <= 10_000 for wait in client.waits)
    assert 500 <= client.closed["timeout_ms"] <= 2_000
    options = admins[0].options
    assert options.pop("client_id") == "one-look"
    assert options.keys() <= KafkaAdminClient.DEFAULT_CONFIG.keys(), "the library would refuse it"
    assert options == {"bootstrap_timeout_ms": 10_000, "request_timeout_ms": 10_000}


def test_a_member_without_records_asks_less_often(
    reading: Group, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, pauses = [time.monotonic()], list[float]()
    monkeypatch.setattr(
        "millrace.processor.group.time",
        SimpleNamespace(monotonic=lambda: now[0], sleep=pauses.append),
    )

    def asked(after: float) -> tuple[int, float]:
        """How long Kafka may take to answer the next question, and the pause before it."""
        now[0] += after
        client.waits.clear()
        pauses.clear()
        reading.poll(0.2)
        return client.waits[0], round(sum(pauses), 3)

    client.polled = {MINE: [record(4)]}
    assert asked(after=0) == (15, 0)
    assert asked(after=9) == (15, 0), "work between two batches is no silence"
    client.polled = {}
    assert asked(after=9) == (15, 0)
    assert asked(after=0.02) == (15, 0.01)
    assert asked(after=0.08) == (15, 0.05)
    assert asked(after=9) == (15, 0.1), "the first record after a silence waits as long"
    pauses.clear()
    reading.poll(0)
    assert not pauses, "who does not wait is not made to"
    client.polled = {MINE: [record(5)]}
    assert asked(after=0) == (15, 0.1)
    client.polled = {}
    assert asked(after=0.5) == (15, 0)
    client.state = MemberState.REBALANCING
    assert asked(after=0.5) == (200, 0), "a member that joins needs the time"


def test_it_waits_for_topics_that_kafka_does_not_know_yet(group: Group, client: Client) -> None:
    with pytest.raises(Transient, match="stock-data"):
        group.learn_topics()
    client.topics["stock-data"] = {0, 1, 2}
    group.learn_topics()


def test_after_a_while_it_goes_on_with_the_topics_that_there_are(
    client: Client, admins: list[Admin], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    group = Group(Settings(processor_name="one"), ["metal-prices", "stock-data"], Mock())
    now += group_module.TOPICS_SECONDS
    with pytest.raises(Transient, match="metal-prices, stock-data"):
        group.learn_topics()
    client.topics["stock-data"] = {0, 1, 2}
    group.learn_topics()
    now = 100.0
    with pytest.raises(Transient, match="topics metal-prices"):
        group.learn_topics()


def test_it_is_in_the_group_while_nobody_joins(group: Group, client: Client) -> None:
    assert group.joined
    for client.state in (MemberState.REBALANCING, MemberState.UNJOINED):
        assert not group.joined


def test_only_own_partitions_are_committed(group: Group, client: Client) -> None:
    group.commit({MINE: 5, THEIRS: 7}, TALLIES)
    assert {partition: o.offset for partition, o in client.stored.items()} == {MINE: 5}
    assert client.stored[MINE].leader_epoch == -1, "nobody knows it"


def test_only_own_partitions_are_read_again(group: Group, client: Client) -> None:
    group.seek({MINE: 5, THEIRS: 7})
    assert client.sought == {MINE: 5}


def test_what_is_held_is_what_is_named_now(group: Group, client: Client) -> None:
    group.hold({"stock-data"}, ())
    assert client.paused() == {MINE, ALSO_MINE}
    group.hold((), {MINE})
    assert client.paused() == {MINE}
    group.hold((), ())
    assert not client.paused()


def test_an_error_about_one_partition_names_it(group: Group, client: Client) -> None:
    client.error = TopicAuthorizationFailedError({"stock-data"})
    vars(client.error)["place"] = MINE, 7
    with pytest.raises(Stuck, match="TopicAuthorizationFailed") as caught:
        group.poll(0.1)
    assert (caught.value.partition, caught.value.offset) == (MINE, 7)


@pytest.mark.parametrize("kind", [KafkaError, TypeError, CorruptRecordError])
def test_of_an_error_that_nobody_knows_no_kind_is_known(
    group: Group, client: Client, kind: type[Exception]
) -> None:
    client.error = kind()
    with pytest.raises(Unknown):
        group.poll(0.1)
    with pytest.raises(Unknown):
        group.commit({MINE: 1}, TALLIES)


def test_the_lag_is_of_partitions_whose_position_is_known(group: Group) -> None:
    assert group.look().positions == {MINE: (40, 100)}


def test_a_topic_that_was_deleted_hides_nothing_of_the_others(group: Group, client: Client) -> None:
    client.deleted = {MINE}
    assert not group.look().positions
    assert group.look().unread == [THEIRS]


def test_a_partition_that_nobody_holds_is_named(group: Group) -> None:
    assert group.look().unread == [THEIRS]


@pytest.mark.parametrize("hanging_up", [None, OSError(), KafkaConnectionError()])
def test_who_did_not_answer_is_asked_over_a_new_connection(
    group: Group, client: Client, admins: list[Admin], hanging_up: Exception | None
) -> None:
    group.look()
    admins[0].failing = True
    admins[0].hanging_up = hanging_up
    with pytest.raises(Transient):
        group.look()
    assert group.look().unread == [THEIRS]
    assert [admin.closed for admin in admins] == [1, 0]
    admins[1].hanging_up = hanging_up
    group.close()
    assert [admin.closed for admin in admins] == [1, 1]
    assert client.closed


@pytest.mark.parametrize(
    "kind", [CommitFailedError, KafkaTimeoutError, KafkaConnectionError, OSError, AssertionError]
)
def test_what_may_pass_is_transient(group: Group, client: Client, kind: type[Exception]) -> None:
    client.error = kind()
    for said, ask in {
        "ask for its topics": group.learn_topics,
        "read": lambda: group.poll(0.1),
        "commit": lambda: group.commit({MINE: 1}, TALLIES),
        "ask what is committed": lambda: group.tally("stock-data"),
        "ask how far it has come": group.look,
    }.items():
        with pytest.raises(Transient, match=f"^Kafka, {said}: {kind.__name__}"):
            ask()


@pytest.mark.parametrize("kind", [GroupAuthorizationFailedError, TopicAuthorizationFailedError])
def test_what_a_person_must_put_right_is_permanent(
    group: Group, client: Client, kind: type[Exception]
) -> None:
    client.error = kind()
    with pytest.raises(Permanent, match=f"^Kafka refuses to read: {kind.__name__}"):
        group.poll(0.1)
    with pytest.raises(Permanent, match=f"^Kafka refuses to commit: {kind.__name__}"):
        group.commit({MINE: 1}, TALLIES)


def test_leaving_commits_nothing(group: Group, client: Client) -> None:
    group.close()
    assert client.closed["autocommit"] is False


def test_the_newest_tally_that_is_committed_counts(
    group: Group, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert group.tally("stock-data") == Tally()
    client.stored = {ALSO_MINE: OffsetAndMetadata(3, "", -1)}
    assert group.tally("stock-data") == Tally(), "an earlier version wrote none"
    monkeypatch.setattr(time, "time", lambda: 10.0)
    group.commit({MINE: 5}, TALLIES)
    assert group.tally("stock-data") == Tally(100, 7)
    monkeypatch.setattr(time, "time", lambda: 9.0)
    group.commit({ALSO_MINE: 5}, {"stock-data": Tally(1, 1)})
    assert group.tally("stock-data") == Tally(1, 1), "the clock was set back"
    note = '{"records": 8, "bad": 2, "at": 3600.0}'
    client.stored[TopicPartition(*MINE)] = OffsetAndMetadata(6, note, -1)
    assert group.tally("stock-data") == Tally(8, 2), "a member whose clock is ahead"
    group.commit({ALSO_MINE: 7}, {"stock-data": Tally(9, 3)})
    assert group.tally("stock-data") == Tally(9, 3)
    assert group.tally("metals") == Tally()


def test_commands_are_read_and_what_is_no_command_is_none(
    group: Group, admins: list[Admin]
) -> None:
    command = Command(3, 5, skip=True, reason="bad", by="operator", at=datetime.now(UTC))
    assert group.commands([MINE]) == {}
    admins[0].texts = {MINE: operator_commands.written(command), ALSO_MINE: "something"}
    assert group.commands([MINE, ALSO_MINE, THEIRS]) == {MINE: command}


def test_who_may_not_read_commands_works_on(group: Group, admins: list[Admin]) -> None:
    group.look()
    admins[0].refusal = GroupAuthorizationFailedError()
    assert group.commands([MINE]) == {}
    admins[0].refusal = KafkaConnectionError()
    with pytest.raises(Transient, match=r"^Kafka, ask for commands: KafkaConnectionError"):
        group.commands([MINE])
    assert group.commands([MINE]) == {}, "it asks over the same connection"


def record(offset: int) -> Any:
    return SimpleNamespace(offset=offset)


@pytest.fixture
def found_new() -> Mock:
    """What is told of topics that were made again."""
    return Mock()


@pytest.fixture
def reading(client: Client, admins: list[Admin], found_new: Mock) -> Group:
    """A group whose topic is the first of its name, and that has both partitions."""
    group = Group(Settings(processor_name="one"), ["stock-data"], found_new)
    client.ids = {"stock-data": FIRST}
    client.listener.on_partitions_assigned([MINE, ALSO_MINE])
    return group


def test_what_is_committed_says_its_log(reading: Group, client: Client) -> None:
    reading.poll(0.1)
    reading.commit({MINE: 5}, TALLIES)
    assert reading.log_id("stock-data") == str(FIRST)
    assert topic_ids.is_former(client.stored[MINE].metadata, str(SECOND))
    assert not topic_ids.is_former(client.stored[MINE].metadata, str(FIRST))
    assert reading.tally("stock-data") == TALLIES["stock-data"]


def test_a_topic_that_is_made_again_comes_anew_and_is_read_from_its_start(
    reading: Group, client: Client, found_new: Mock
) -> None:
    client.polled = {MINE: [record(4)]}
    assert reading.poll(0.1) == client.polled
    reading.commit({MINE: 4}, TALLIES)
    before = dict(reading.holdings)
    assert reading.poll(0.1) == client.polled
    client.ids = {}  # it is deleted
    assert reading.poll(0.1) == client.polled
    assert (reading.holdings, client.sought, found_new.call_count) == (before, {}, 0)
    client.ids = {"stock-data": SECOND}
    assert reading.poll(0.1) == {}, "nobody knows which log they are from"
    assert client.sought == {MINE: 0, ALSO_MINE: 0}
    assert reading.holdings.keys() == before.keys()
    assert not {*reading.holdings.values()} & {*before.values()}
    assert reading.log_id("stock-data") == str(SECOND)
    client.sought.clear()
    assert reading.poll(0.1) == client.polled
    assert (client.sought, found_new.call_count) == ({}, 1)


def test_what_is_committed_is_asked_for_once_for_each_partition_that_comes(
    reading: Group, client: Client
) -> None:
    for asked in (2, 0, 0):
        client.waits.clear()
        reading.poll(0.1)
        assert len(client.waits) == 1 + asked, "a question to Kafka with each poll"


def test_only_the_topic_that_is_made_again_comes_anew(client: Client, admins: list[Admin]) -> None:
    other = TopicPartition("metal-prices", 0)
    group = Group(Settings(processor_name="one"), ["metal-prices", "stock-data"], Mock())
    client.ids = {"metal-prices": FIRST, "stock-data": FIRST}
    client.listener.on_partitions_assigned([MINE, other])
    group.poll(0.1)
    before = dict(group.holdings)
    client.ids["stock-data"] = SECOND
    group.poll(0.1)
    assert group.holdings[other] == before[other]
    assert group.holdings[MINE] != before[MINE]


def test_a_partition_never_comes_under_a_number_that_was_given_before(
    reading: Group, client: Client
) -> None:
    reading.poll(0.1)
    given = {*reading.holdings.values()}
    for number in range(2, 6):
        client.ids = {"stock-data": UUID(int=number)}
        reading.poll(0.1)  # its topic was made again
        renewed = reading.holdings[MINE]
        client.listener.on_partitions_lost([MINE, ALSO_MINE])
        client.listener.on_partitions_assigned([MINE, ALSO_MINE])
        came = reading.holdings[MINE]
        assert not {renewed, came} & given
        assert renewed != came
        given |= {renewed, came}


def test_a_position_of_a_log_that_is_gone_is_none(
    reading: Group, client: Client, found_new: Mock
) -> None:
    """The member that committed it had not heard of the new one."""
    note = '{"records":1,"bad":0,"at":1.0,"log":"%s"}'
    client.stored = {
        MINE: OffsetAndMetadata(9, note % SECOND, -1),
        ALSO_MINE: OffsetAndMetadata(9, note % FIRST, -1),
    }
    client.polled = {MINE: [record(9)], ALSO_MINE: [record(9)]}
    assert reading.poll(0.1).keys() == {ALSO_MINE}
    assert (client.sought, found_new.call_count) == ({MINE: 0}, 1)


@pytest.mark.parametrize("note", ["", '{"records":1,"bad":0,"at":1.0}'])
def test_a_position_that_an_earlier_version_committed_holds(
    reading: Group, client: Client, found_new: Mock, note: str
) -> None:
    client.stored = {MINE: OffsetAndMetadata(9, note, -1)}
    client.polled = {MINE: [record(9)]}
    assert reading.poll(0.1) == client.polled
    assert (client.sought, found_new.call_count) == ({}, 0)


def test_what_was_read_is_read_again_if_nobody_says_which_log_is_committed(
    reading: Group, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def committed(*_: Any, **_options: Any) -> Any:
        raise KafkaTimeoutError

    monkeypatch.setattr(client, "committed", committed)
    client.polled = {MINE: [record(9)]}
    with pytest.raises(Transient):
        reading.poll(0.1)
    assert client.sought == {MINE: 9}
