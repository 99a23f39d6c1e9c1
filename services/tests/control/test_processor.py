"""The operator's commands for partitions that stand still."""

from collections.abc import Collection, Mapping
from contextlib import nullcontext
from typing import Any

import pytest
from kafka import KafkaConsumer
from kafka.errors import GroupAuthorizationFailedError
from kafka.structs import OffsetAndMetadata, TopicPartition
from services.tests.stands import refuse_unled, stands_for

from millrace.clients import kafka, lag, operator_commands
from millrace.clients.lag import PartitionLag
from millrace.clients.services import Peer
from millrace.config import Settings
from millrace.control import processor
from millrace.control.processor import MOST, Refused
from millrace.errors import MillraceError
from millrace.runtime import retry

SETTINGS = Settings(status_hosts=["processor", "producer"], kafka_username="operator")
FIRST, SECOND = TopicPartition("stock-data", 0), TopicPartition("stock-data", 1)


@stands_for(KafkaConsumer, tools=("ask", "consumer", "monotonic", "sleep", "given"))
class Pipeline:
    """A processor that obeys, and Kafka as its operator sees it."""

    def __init__(self) -> None:
        self.stands: dict[TopicPartition, tuple[int, bool]] = {}
        self.obeys = True
        self.answers = True
        self.commits: dict[TopicPartition, OffsetAndMetadata] = {}
        self.error: Exception | None = None
        self.without_leader: set[TopicPartition] = set()
        self.open = 0
        self.now = 0.0

    def ask(self, _settings: Settings, host: str) -> Peer:
        if host == "producer":
            return Peer(host, ready=True, says={"state": "polling"})
        if not self.answers:
            return Peer(host, ready=False, says={"problem": "does not answer"})
        keys = ("topic", "partition", "offset", "waits_for_command")
        rows = [dict(zip(keys, (*p, *stand), strict=True)) for p, stand in self.stands.items()]
        return Peer(host, ready=False, says={"standing": rows})

    def consumer(self, _settings: Settings, *, group_id: str) -> "Pipeline":
        assert group_id == operator_commands.GROUP
        self.open += 1
        return self

    def end_offsets(
        self, partitions: Collection[TopicPartition], timeout_ms: int | None = None
    ) -> dict[TopicPartition, int]:
        refuse_unled(self.without_leader.intersection(partitions), partitions)
        return dict.fromkeys(partitions, 20)

    def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        if self.error:
            raise self.error
        self.commits |= offsets
        if self.obeys:
            for partition in offsets:
                self.stands.pop(partition, None)

    def committed(self, partition: TopicPartition) -> int | None:
        known = self.commits.get(partition)
        return None if known is None else known.offset

    def close(self, *, autocommit: bool) -> None:
        assert not autocommit
        self.open -= 1

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def given(self) -> dict[TopicPartition, tuple[int, int, bool, str, str]]:
        found = {p: operator_commands.read(one.metadata) for p, one in self.commits.items()}
        return {p: (o.first, o.end, o.skip, o.reason, o.by) for p, o in found.items() if o}


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Pipeline()
    monkeypatch.setattr(kafka, "check_credentials", lambda _: None)
    monkeypatch.setattr(kafka, "consumer", made.consumer)
    monkeypatch.setattr(processor, "ask", made.ask)
    monkeypatch.setattr(retry, "time", made)
    yield made
    assert not made.open, "a client was left open"


def skip(
    position: str,
    last: int | None = None,
    reason: str = "bad",
    *,
    check: bool = False,
    fatal: bool = False,
) -> None:
    processor.skip(SETTINGS, position, last=last, reason=reason, check=check, fatal=fatal)


@pytest.fixture
def done_before_17(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Kafka says of the processor's group."""
    monkeypatch.setattr(kafka, "asking", lambda _: nullcontext())
    found = [PartitionLag("stock-data", 0, end=20, lag=3, held=False)]
    monkeypatch.setattr(lag, "read", lambda _client, _group, _topics: found)


def test_a_record_is_skipped(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline.stands = {FIRST: (17, False)}
    skip("stock-data/0/17", reason=" known ")
    assert pipeline.given() == {FIRST: (17, 18, True, "known", "operator")}
    assert capsys.readouterr().out == (
        "commanded: skip from stock-data/0/17 to before offset 18 (known)\ndone\n"
    )


def test_several_are(pipeline: Pipeline) -> None:
    pipeline.stands = {FIRST: (17, True)}
    skip("stock-data/0/17", 19)
    assert pipeline.given()[FIRST][:3] == (17, 20, True)


def test_a_check_commands_nothing(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline.stands = {FIRST: (17, True)}
    skip("stock-data/0/17", check=True)
    processor.resume(SETTINGS, "stock-data", reason="mended", check=True)
    assert not pipeline.commits
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "would command: skip from stock-data/0/17 to before offset 18"
    assert (
        said[1] == "would command: read, whatever is bad, from stock-data/0/17 to before offset 20"
    )


def test_a_feed_is_read_on_where_its_breaker_stopped_it(pipeline: Pipeline) -> None:
    pipeline.stands = {
        FIRST: (17, True),
        SECOND: (3, False),
        TopicPartition("metals", 0): (1, True),
    }
    processor.resume(SETTINGS, "stock-data", reason="mended", check=False)
    assert pipeline.given() == {FIRST: (17, 20, False, "mended", "operator")}


@pytest.mark.parametrize(
    ("position", "last", "said"),
    [
        ("stock-data/0/16", None, "it stands at stock-data/0/17"),
        ("stock-data/1/17", None, "it does not stand still"),
        ("weather/0/17", None, "no feed has a topic weather"),
        ("stock-data/17", None, "no topic/partition/offset"),
        ("stock-data/0/-1", None, "no topic/partition/offset"),
        ("stock-data/0/17", 16, "--to is an offset from 17 to 1016"),
        ("stock-data/0/17", 17 + MOST, "--to is an offset from 17 to 1016"),
        ("stock-data/0/17", 20, "the last record of stock-data/0 is at offset 19"),
    ],
)
def test_what_cannot_be_skipped(
    pipeline: Pipeline, position: str, last: int | None, said: str
) -> None:
    pipeline.stands = {FIRST: (17, False)}
    with pytest.raises(Refused, match=said):
        skip(position, last)
    assert not pipeline.commits


@pytest.mark.parametrize("reason", ["", " ", "x" * 201, "two\nlines", "\x1b[31m"])
def test_a_command_has_a_reason_of_one_line(pipeline: Pipeline, reason: str) -> None:
    pipeline.stands = {FIRST: (17, False)}
    with pytest.raises(Refused, match="--reason"):
        skip("stock-data/0/17", reason=reason)


def test_only_what_waits_for_a_command_is_read_on(pipeline: Pipeline) -> None:
    pipeline.stands = {FIRST: (17, False)}
    with pytest.raises(Refused, match="no partition of stock-data waits for a command"):
        processor.resume(SETTINGS, "stock-data", reason="mended", check=False)
    with pytest.raises(Refused, match="no feed has a topic weather"):
        processor.resume(SETTINGS, "weather", reason="mended", check=False)


def test_nothing_is_commanded_where_a_partition_has_no_leader(pipeline: Pipeline) -> None:
    pipeline.stands = {FIRST: (17, True), SECOND: (3, True)}
    pipeline.without_leader = {SECOND}
    with pytest.raises(MillraceError, match=r"stock-data/1: .*; try again"):
        processor.resume(SETTINGS, "stock-data", reason="mended", check=False)
    with pytest.raises(MillraceError, match=r"stock-data/1: .*; try again"):
        skip("stock-data/1/3")
    assert not pipeline.commits


def test_nobody_commands_what_no_processor_says(pipeline: Pipeline) -> None:
    pipeline.answers = False
    with pytest.raises(Refused, match="no processor answers at processor, producer"):
        skip("stock-data/0/17")


@pytest.mark.usefixtures("done_before_17")
def test_a_record_that_ends_the_processor_is_skipped_by_the_next(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.answers = pipeline.obeys = False
    with pytest.raises(Refused, match=r"no processor answers .* with --fatal"):
        skip("stock-data/0/18")
    with pytest.raises(Refused, match=r"stock-data/0/16 cannot .*: all before offset 17 is done"):
        skip("stock-data/0/16", fatal=True)
    with pytest.raises(Refused, match="the last record of stock-data/0 is at offset 19"):
        skip("stock-data/0/18", 20, fatal=True)
    skip("stock-data/0/18", fatal=True)
    assert pipeline.given() == {FIRST: (18, 19, True, "bad", "operator")}
    assert capsys.readouterr().out.splitlines()[-1].startswith("the next processor that starts")


def test_what_is_not_obeyed_in_time_is_said(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.stands, pipeline.obeys = {FIRST: (17, False)}, False
    skip("stock-data/0/17")
    assert "not carried out yet" in capsys.readouterr().out


def test_what_kafka_refuses_is_one_line(pipeline: Pipeline) -> None:
    pipeline.stands = {FIRST: (17, False)}
    pipeline.error = GroupAuthorizationFailedError("operator-orders")
    with pytest.raises(Refused, match="Kafka, group operator-orders: GroupAuthorizationFailed"):
        skip("stock-data/0/17")
