"""The operator's commands for dead letters."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from kafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError
from services.tests.dead_letters.fakes import TOPIC, Headers, Kafka

from millrace import dead_letters
from millrace.clients import kafka as module
from millrace.clients.letter_headers import PARTIAL
from millrace.config import Settings
from millrace.dead_letters import topic
from millrace.dead_letters.topic import DeadLetterError
from millrace.errors import MillraceError

SETTINGS = Settings(dead_letters_topic=TOPIC)


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kafka]:
    fake = Kafka()
    monkeypatch.setattr(module, "check_credentials", lambda settings: None)
    monkeypatch.setattr(module, "consumer", fake.consumer)
    monkeypatch.setattr(module, "producer", fake.producer)
    yield fake
    assert not fake.open, "a client was left open"


def why(offset: int = 7, *, source: str = "stock-data", reason: str = "no event") -> Headers:
    return [
        ("__connect.errors.topic", source.encode()),
        ("__connect.errors.partition", b"2"),
        ("__connect.errors.offset", str(offset).encode()),
        ("__connect.errors.stage", b"VALUE_CONVERTER"),
        ("__connect.errors.exception.message", reason.encode()),
    ]


def fill(kafka: Kafka, count: int) -> None:
    for number in range(count):
        kafka.add(b"%d" % number, why(number))


def listed(capsys: pytest.CaptureFixture[str], limit: int = 20) -> list[dict[str, Any]]:
    dead_letters.list_letters(SETTINGS, limit=limit, as_json=True)
    found: list[dict[str, Any]] = msgspec.json.decode(capsys.readouterr().out)
    return found


def replayed(kafka: Kafka) -> list[bytes]:
    return [record["value"] for record in kafka.sent]


def test_the_list_says_where_letters_come_from_and_why(
    kafka: Kafka, capsys: pytest.CaptureFixture[str]
) -> None:
    kafka.add(b"x", why(41, reason="JSON is malformed"))
    dead_letters.list_letters(SETTINGS, limit=20, as_json=False)
    head, names, line = capsys.readouterr().out.splitlines()
    assert head == "1 dead letter shown"
    assert names.split() == ["position", "origin", "age", "replayed", "reason"]
    for text in ("0/0", "stock-data/2/41", " d ", " no ", "JSON is malformed"):
        assert text in line


def test_a_secret_in_a_reason_is_masked_before_it_is_cut(
    kafka: Kafka, capsys: pytest.CaptureFixture[str]
) -> None:
    kafka.add(b"x", why(41, reason=f"{40 * 'x'} GET /?apikey={40 * 'k'}"))
    dead_letters.list_letters(SETTINGS, limit=20, as_json=False)
    assert "kk" not in capsys.readouterr().out
    assert listed(capsys)[0]["reason"] == f"{40 * 'x'} GET /?apikey=***"
    dead_letters.show(SETTINGS, position="0/0")
    said = capsys.readouterr().out
    assert f"reason: '{40 * 'x'} GET /?apikey=***'" in said


@pytest.mark.parametrize("without_leader", [{1}, {0, 1}])
def test_letters_that_nobody_can_read_are_not_taken_for_none(
    kafka: Kafka, without_leader: set[int]
) -> None:
    fill(kafka, 1)
    kafka.add(b"x", why(), partition=1)
    kafka.without_leader = without_leader
    said = r"dead-letters/1: .*; try again"
    with pytest.raises(MillraceError, match=said):
        dead_letters.list_letters(SETTINGS, limit=20, as_json=False)
    with pytest.raises(MillraceError, match=said):
        dead_letters.replay(SETTINGS)
    assert not kafka.sent


def test_without_letters_the_list_says_so(kafka: Kafka, capsys: pytest.CaptureFixture[str]) -> None:
    dead_letters.list_letters(SETTINGS, limit=20, as_json=False)
    assert capsys.readouterr().out == "no dead letters\n"


def test_the_list_shows_the_newest_of_all_partitions(
    kafka: Kafka, capsys: pytest.CaptureFixture[str]
) -> None:
    for second, partition in enumerate((0, 1, 0, 1, 1, 0)):
        kafka.add(b"", why(second), partition, timestamp=second * 1000)
    rows = listed(capsys, limit=4)
    assert [row["origin"].split("/")[-1] for row in rows] == ["2", "3", "4", "5"]
    assert datetime.fromisoformat(rows[-1]["since"]) == datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)
    assert listed(capsys, limit=0) == []


def test_letters_that_retention_has_removed_are_not_looked_for(
    kafka: Kafka, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(kafka, 5)
    kafka.removed = 3
    assert [row["position"] for row in listed(capsys)] == ["0/3", "0/4"]


def test_a_letter_is_shown_with_its_bytes_and_nothing_a_terminal_obeys(
    kafka: Kafka, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(kafka, 4)
    kafka.letters[0][2].value = b"\x1b[2Jboo\xff"
    kafka.letters[0][2].headers += [("tr\x1bace", b"\x07"), ("none", None)]
    dead_letters.show(SETTINGS, position="0/2")
    shown = capsys.readouterr().out
    assert "origin: stock-data/2/2" in shown
    assert r"value: b'\x1b[2Jboo\xff'" in shown
    assert r"header 'tr\x1bace': '\x07'" in shown
    assert "header 'none': none" in shown
    assert not set(shown) & {"\x1b", "\x07"}


@pytest.mark.parametrize("position", ["0/4", "0/-1", "1/0", "7", "", "0/x", "0/0/0"])
def test_a_letter_that_is_not_there_is_not_shown(kafka: Kafka, position: str) -> None:
    fill(kafka, 4)
    with pytest.raises(DeadLetterError, match="no dead letter"):
        dead_letters.show(SETTINGS, position=position)


def test_a_letter_that_was_removed_is_not_shown(kafka: Kafka) -> None:
    fill(kafka, 4)
    kafka.removed = 3
    with pytest.raises(DeadLetterError, match="no dead letter 0/2"):
        dead_letters.show(SETTINGS, position="0/2")


def test_replay_sends_the_record_as_it_was(kafka: Kafka) -> None:
    headers: Headers = [("trace", b"\xff"), ("trace", None)]
    kafka.add(b"\xffvalue", [*headers, *why()])
    dead_letters.replay(SETTINGS)
    (sent,) = kafka.sent
    assert sent == {
        "topic": "stock-data",
        "partition": 2,
        "key": b"key \xff",
        "value": b"\xffvalue",
        "headers": [
            ("trace", b"\xff"),
            ("trace", b""),
            ("millrace.replay-of", b"dead-letters/0/0"),
        ],
    }


def test_replay_of_a_record_with_neither_key_nor_value_has_an_empty_key(kafka: Kafka) -> None:
    kafka.add(None, why())
    kafka.letters[0][0].key = None
    dead_letters.replay(SETTINGS)
    assert (kafka.sent[0]["key"], kafka.sent[0]["value"]) == (b"", None)


def test_a_letter_that_holds_only_a_part_is_not_replayed(
    kafka: Kafka, capsys: pytest.CaptureFixture[str]
) -> None:
    kafka.add(b"\xffval", [(PARTIAL, b"only the first 4 of the value's 6 bytes"), *why()])
    kafka.add(b"whole", why())
    dead_letters.replay(SETTINGS)
    assert [record["value"] for record in kafka.sent] == [b"whole"]
    assert capsys.readouterr().out == (
        "dead-letters/0/0 is not all of the record at stock-data/2/7: not replayed\n"
        "1 dead letter replayed, 1 skipped\n"
    )
    with pytest.raises(DeadLetterError, match="not all of the record"):
        dead_letters.replay(SETTINGS, position="0/0")


def test_a_letter_of_a_replayed_record_names_itself_when_it_is_replayed(kafka: Kafka) -> None:
    fill(kafka, 1)
    kafka.add(b"again", [("millrace.replay-of", b"dead-letters/0/0"), *why()])
    dead_letters.replay(SETTINGS, position="0/1")
    assert kafka.sent[0]["headers"] == [("millrace.replay-of", b"dead-letters/0/1")]


def test_replay_sends_each_letter_once_however_often_it_runs(
    kafka: Kafka, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic, "AT_ONCE", 4)
    fill(kafka, 10)
    dead_letters.replay(SETTINGS)
    assert capsys.readouterr().out == "10 dead letters replayed, 0 skipped\n"
    dead_letters.replay(SETTINGS)
    assert capsys.readouterr().out == "0 dead letters replayed, 0 skipped\n"
    fill(kafka, 2)
    dead_letters.replay(SETTINGS)
    assert capsys.readouterr().out == "2 dead letters replayed, 0 skipped\n"
    assert replayed(kafka) == [b"%d" % number for number in (*range(10), 0, 1)]
    assert all(row["replayed"] for row in listed(capsys))


def test_the_list_tells_replayed_from_not_replayed(
    kafka: Kafka, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(kafka, 2)
    dead_letters.replay(SETTINGS)
    fill(kafka, 1)
    capsys.readouterr()
    assert [row["replayed"] for row in listed(capsys)] == [True, True, False]


def test_what_is_not_acknowledged_is_replayed_the_next_time(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic, "AT_ONCE", 4)
    fill(kafka, 10)
    kafka.refuse_after = 6
    with pytest.raises(DeadLetterError, match="not acknowledged"):
        dead_letters.replay(SETTINGS)
    assert kafka.committed == {0: 4}
    kafka.refuse_after = None
    dead_letters.replay(SETTINGS)
    assert set(replayed(kafka)) == {b"%d" % number for number in range(10)}


def test_letters_that_come_while_replaying_wait_for_the_next_time(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that is still bad comes back at once: replaying would never end."""
    monkeypatch.setattr(topic, "AT_ONCE", 1)
    fill(kafka, 4)
    kafka.on_send = lambda: fill(kafka, 1)
    dead_letters.replay(SETTINGS)
    assert len(kafka.sent) == 4
    assert kafka.committed == {0: 4}


def test_without_the_right_to_write_replay_says_so(kafka: Kafka) -> None:
    fill(kafka, 1)
    kafka.refuse_after, kafka.error = 0, TopicAuthorizationFailedError("stock-data")
    with pytest.raises(DeadLetterError, match="does not let this user write"):
        dead_letters.replay(SETTINGS)
    assert not kafka.committed


def test_one_letter_can_be_replayed_out_of_turn(kafka: Kafka) -> None:
    fill(kafka, 3)
    dead_letters.replay(SETTINGS, position="0/1")
    assert replayed(kafka) == [b"1"]
    assert not kafka.committed


@pytest.mark.parametrize("source", ["dead-letters", "__consumer_offsets", "stock-alerts"])
def test_only_topics_of_feeds_are_written_to(
    kafka: Kafka, capsys: pytest.CaptureFixture[str], source: str
) -> None:
    kafka.add(b"x", why(source=source))
    kafka.add(b"y", [])
    kafka.add(b"z", why())
    dead_letters.replay(SETTINGS)
    assert replayed(kafka) == [b"z"]
    assert capsys.readouterr().out.splitlines() == [
        "dead-letters/0/0 does not come from a feed's topic: not replayed",
        "dead-letters/0/1 does not come from a feed's topic: not replayed",
        "1 dead letter replayed, 2 skipped",
    ]
    with pytest.raises(DeadLetterError, match="not replayed"):
        dead_letters.replay(SETTINGS, position="0/1")


def test_a_topic_that_is_not_there_is_named(kafka: Kafka) -> None:
    with pytest.raises(DeadLetterError, match="other-letters"):
        dead_letters.show(Settings(dead_letters_topic="other-letters"), position="0/0")


def test_what_kafka_has_against_it_is_one_line(kafka: Kafka) -> None:
    fill(kafka, 1)
    kafka.group_error = GroupAuthorizationFailedError("operator-dead-letters")
    with pytest.raises(DeadLetterError, match="GroupAuthorizationFailedError"):
        dead_letters.list_letters(SETTINGS, limit=20, as_json=False)
