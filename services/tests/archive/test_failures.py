"""Errors of catalog, files and log: said clearly, tried again where that may help, nothing lost."""

import errno
import sqlite3
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError, CredentialRetrievalError
from kafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
from kafka.structs import TopicPartition
from services.tests.archive import world
from services.tests.archive.world import (
    Archiver,
    Log,
    archive_all,
    failing,
    settings_in,
    table_of,
)
from services.tests.feeds.events import ONE_OF_EACH

from millrace.archive import catalog, durable
from millrace.archive.failures import Kinds, kind_of
from millrace.archive.rows import Rows
from millrace.config import Settings
from millrace.feeds import FEEDS
from millrace.feeds.quotes import QUOTES
from millrace.processor.errors import Permanent, Transient, Unknown


@pytest.fixture
def log() -> Log:
    made = Log()
    made.quotes(250)
    return made


def test_a_full_disk_is_waited_for(
    settings: Settings, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    archiver = Archiver(settings, log)
    archiver.steps(3)
    stream = archiver.streams[QUOTES.topic]

    def full(_path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(durable, "sync", full)
        archiver.loop._flush(stream)
        assert stream.rests
        assert stream.bytes == 0
        assert stream.trouble
        assert "quotes: the archive, write rows of quotes: [Errno 28]" in stream.trouble
        assert archiver.counted("failures_total") == 1
    archiver.until(lambda: not stream.rests)
    archiver.steps(3)
    archiver.finish()
    assert stream.trouble is None
    assert world.positions(table_of(settings).table) == world.positions_in(log)


def test_a_catalog_that_is_locked_is_waited_for(
    settings: Settings, log: Log, tmp_path: Path
) -> None:
    archiver = Archiver(settings, log)
    archiver.steps(3)
    stream = archiver.streams[QUOTES.topic]
    with sqlite3.connect(tmp_path / "catalog.db") as other:
        other.execute("BEGIN EXCLUSIVE")
        archiver.loop._flush(stream)
        assert stream.trouble
        assert "database is locked" in stream.trouble
        other.rollback()
    other.close()
    archiver.until(lambda: not stream.rests)
    archiver.steps(3)
    archiver.finish()
    assert world.positions(table_of(settings).table) == world.positions_in(log)


def test_one_feed_that_fails_delays_no_other(settings: Settings, tmp_path: Path) -> None:
    log = Log()
    log.quotes(100)
    metals = FEEDS["metals"]
    log.make(metals.topic, 1)
    log.add(metals.topic, 0, msgspec.json.encode(ONE_OF_EACH["metals"]))
    changed = settings_in(tmp_path, feeds=["metals", "quotes"], archive_retry_seconds=100.0)
    archiver = Archiver(changed, log)
    archiver.steps(1)
    stream = archiver.streams[QUOTES.topic]
    with failing("millrace.archive.files:write", ValueError("strange")):
        archiver.loop._flush(stream)
    assert stream.trouble == "quotes: the archive, write rows of quotes: strange"
    archiver.steps(3)
    assert archiver.counted("waiting_rows", "quotes") == 0
    archiver.finish()
    assert archiver.counted("rows_total", "metals") == 1
    assert archiver.counted("rows_total", "quotes") == 0
    archive_all(changed, log)
    assert world.positions(table_of(changed).table) == world.positions_in(log)


def test_rows_that_cannot_be_made_lose_nothing_and_delay_no_other_feed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()
    log.quotes(250)
    metals = FEEDS["metals"]
    log.make(metals.topic, 1)
    log.add(metals.topic, 0, msgspec.json.encode(ONE_OF_EACH["metals"]))
    settings = settings_in(tmp_path, feeds=["metals", "quotes"])
    monkeypatch.setattr("millrace.archive.rows.CHUNK", 60)
    archiver = Archiver(settings, log)
    stream = archiver.streams[QUOTES.topic]
    # In the middle of a poll: of its partitions, one comes before and one after it.
    made = [None, OverflowError("a number is too large")]
    settle = Rows._settle

    def failing_once(rows: Rows) -> None:
        error = made.pop(0) if made else None
        if error:
            raise error
        settle(rows)

    monkeypatch.setattr(Rows, "_settle", failing_once)
    archiver.steps(1)
    assert stream.trouble
    assert "make rows of quotes: a number is too large" in stream.trouble
    assert stream.bytes == 0
    assert archiver.counted("waiting_rows", "metals") == 1
    archiver.until(lambda: not stream.rests)
    archiver.steps(3)
    archiver.finish()
    assert world.positions(table_of(settings).table) == world.positions_in(log)


@pytest.mark.parametrize(
    ("folder", "catalog_url", "said"),
    [
        ("warehouse", None, "Not a directory|exists"),
        (None, "sqlite:////nonexistent/catalog.db", "unable to open database file"),
    ],
)
def test_a_place_that_cannot_be_used_ends_it(
    folder: str | None, catalog_url: str | None, said: str, tmp_path: Path
) -> None:
    changes = {}
    if folder:
        (tmp_path / folder).write_text("a file")
    if catalog_url:
        changes["archive_catalog"] = catalog_url
    with pytest.raises(Permanent, match=said):
        table_of(settings_in(tmp_path, **changes))


def test_a_catalog_that_is_no_database_ends_it(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"no database" * 100)
    with pytest.raises(Permanent, match="file is not a database"):
        catalog.opened(settings)


def said(code: str, message: str) -> ClientError:
    """A refusal of Glue."""
    answer: Any = {"Error": {"Code": code, "Message": message}}
    return ClientError(answer | {"ResponseMetadata": {"HTTPStatusCode": 400}}, "GetTable")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (said("InvalidSignatureException", "Signature expired: 1"), "this host's clock is wrong: "),
        (OSError("AWS Error 400: RequestTimeTooSkewed"), "this host's clock is wrong: "),
        (said("ExpiredTokenException", "x"), "its credentials have not been renewed (journalctl"),
        (
            CredentialRetrievalError(provider="custom-process", error_msg="No such file"),
            "its credentials have not been renewed (journalctl -u millrace-aws-credentials): Error",
        ),
    ],
)
def test_credentials_and_clocks_are_said_in_one_line(error: Exception, advice: str) -> None:
    with pytest.raises(Transient) as raised, Kinds("open its catalog"):
        raise error
    assert f"the archive, open its catalog, and {advice}" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError("When uploading part: AWS Error ACCESS_DENIED during PutObject"), Permanent),
        (
            OSError("AWS Error NETWORK_CONNECTION during CreateMultipartUpload: curlCode: 7"),
            Transient,
        ),
        (OSError("AWS Error SLOW_DOWN during PutObject operation"), Transient),
        (OSError("AWS Error UNKNOWN (HTTP status 503) during HeadObject"), Transient),
        (OSError("AWS Error UNKNOWN (HTTP status 403) during HeadObject"), Permanent),
        (OSError("AWS Error UNKNOWN (HTTP status 400): ExceptionName: ExpiredToken"), Transient),
        (OSError("AWS Error UNKNOWN (HTTP status 403): RequestTimeTooSkewed"), Transient),
        (said("ExpiredTokenException", "The security token has expired"), Transient),
        (said("InvalidSignatureException", "Signature expired: 1 is now earlier"), Transient),
        (said("InvalidSignatureException", "Signature not yet current: 1"), Transient),
        (said("InvalidSignatureException", "The signature does not match"), Permanent),
        (said("AccessDeniedException", "not authorized to perform: glue:GetTable"), Permanent),
        (CredentialRetrievalError(provider="custom-process", error_msg="No such file"), Transient),
        (OSError(errno.EROFS, "Read-only file system"), Permanent),
        (OSError(errno.EIO, "Input/output error"), Transient),
        (FileNotFoundError(errno.ENOENT, "No such file"), Unknown),
        (ValueError("strange"), Unknown),
    ],
)
def test_what_happens_next_follows_from_the_error(error: Exception, kind: type[Exception]) -> None:
    assert kind_of(error) is kind


def test_a_broker_that_is_away_is_waited_for(settings: Settings, log: Log) -> None:
    archiver = Archiver(settings, log)
    archiver.consumer.errors = [KafkaConnectionError("away"), KafkaConnectionError("away")]
    thread = threading.Thread(target=archiver.loop.run)
    thread.start()
    try:
        archiver_has(archiver, 250)
    finally:
        archiver.stop.set()
        thread.join()
    assert world.positions(table_of(settings).table) == world.positions_in(log)


def archiver_has(archiver: Archiver, rows: int) -> None:
    pause = threading.Event()
    for _ in range(500):
        if archiver.counted("waiting_rows") == rows:
            return
        pause.wait(0.02)
    raise AssertionError("it has not read all")


def test_a_right_that_is_missing_ends_it(settings: Settings, log: Log) -> None:
    archiver = Archiver(settings, log)
    archiver.consumer.errors = [TopicAuthorizationFailedError("quotes")]
    with pytest.raises(Permanent, match="Kafka refuses to read"):
        archiver.steps(1)


def test_a_partition_that_cannot_be_read_on_lets_others_go_on(
    settings: Settings, log: Log, tmp_path: Path
) -> None:
    metals = FEEDS["metals"]
    log.make(metals.topic, 1)
    changed = settings_in(tmp_path, feeds=["metals", "quotes"], archive_retry_seconds=100.0)
    archiver = Archiver(changed, log)
    archiver.steps(1)
    error: Any = ValueError("no batch")
    error.place = TopicPartition(QUOTES.topic, 1), 100
    archiver.consumer.errors = [error]
    archiver.steps(1)
    # What was read before is archived.
    assert archiver.counted("rows_total", "quotes") > 100
    assert archiver.streams[QUOTES.topic].rests
    log.add(metals.topic, 0, msgspec.json.encode(ONE_OF_EACH["metals"]))
    archiver.steps(1)
    archiver.finish()
    assert archiver.counted("rows_total", "metals") == 1


def test_an_error_after_a_poll_loses_no_record(settings: Settings, log: Log) -> None:
    archiver = Archiver(settings, log)
    archiver.steps(1)
    log.starts[QUOTES.topic, 0] = 103
    with (
        failing(
            "services.tests.archive.world:Consumer.beginning_offsets",
            KafkaConnectionError("away"),
        ),
        pytest.raises(Transient),
    ):
        archiver.steps(1)
    archiver.steps(3)
    archiver.finish()
    expected = [p for p in world.positions_in(log) if not (p[0] == 0 and 100 <= p[1] < 103)]
    assert world.positions(table_of(settings).table) == expected
