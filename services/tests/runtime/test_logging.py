"""Logs: JSON, one object a line, and never a secret."""

import io
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests
import structlog
from hypothesis import example, given
from hypothesis import strategies as st

from millrace.runtime import redaction
from millrace.runtime.logging import LONGEST_LINE, REPEATED_SECONDS, configure
from millrace.runtime.redaction import Redactor, shown

SECRET = 'p/ss w"rd+1'


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged, from now on."""
    stdout = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stdout)
    root = logging.getLogger()
    level = root.level
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    configure("test", "DEBUG", [SECRET])
    (handler,) = root.handlers
    yield stdout
    root.removeHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()


def lines(output: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_a_line_is_an_object_with_service_level_and_time(output: io.StringIO) -> None:
    structlog.get_logger("here").info("hello", count=3)
    (line,) = lines(output)
    assert (
        line.items() >= {"message": "hello", "count": 3, "service": "test", "level": "info"}.items()
    )
    assert line["timestamp"].endswith("Z")


def test_a_library_says_the_same_once_a_minute(
    output: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for second in range(int(REPEATED_SECONDS)):
        logging.getLogger("kafka.client").warning("%s is absent: attempt %d", "metals", second)
        logging.getLogger("kafka.client").warning("%s is absent: attempt %d", "stocks", second)
        structlog.get_logger("millrace.here").warning("absent")
        now[0] += 1
    told = [line["message"] for line in lines(output)]
    assert told.count("absent") == 60
    assert [text for text in told if text != "absent"] == [
        "metals is absent: attempt 0",
        "stocks is absent: attempt 0",
    ]
    logging.getLogger("kafka.client").warning("%s is absent: attempt %d", "metals", 60)
    assert lines(output)[-1]["message"] == "metals is absent: attempt 60"
    assert lines(output)[-1]["not_shown"] == 59


def test_libraries_log_in_the_same_form(output: io.StringIO) -> None:
    logging.getLogger("some.library").warning("about %s", "this", extra={"key": 1})
    (line,) = lines(output)
    assert line["message"] == "about this"
    assert line["logger"] == "some.library"
    assert line["key"] == 1


def test_secrets_are_masked_wherever_they_are(output: io.StringIO) -> None:
    log = structlog.get_logger("here")
    log.info(f"with {SECRET} inside", value=SECRET, nested={"a": [SECRET]})
    logging.getLogger("library").warning("url %s", f"https://h/?k={quote(SECRET, safe='')}")
    try:
        raise ValueError(SECRET)
    except ValueError:
        log.exception("failed")
    said = output.getvalue()
    assert len(said.splitlines()) == 3
    for form in (SECRET, json.dumps(SECRET)[1:-1], quote(SECRET, safe="")):
        assert form not in said


@pytest.mark.parametrize("text", ["x", "\u2028", "\U0001f600", '"', f"{SECRET} "])
def test_a_line_is_never_longer_than_the_engine_takes(output: io.StringIO, text: str) -> None:
    long = f"begin {100_000 * text} end"
    structlog.get_logger("here").error(long, exc_info=ValueError(long), said=[long], count=3)
    structlog.get_logger("here").info("short")
    assert max(map(len, output.getvalue().splitlines())) <= LONGEST_LINE < 16 * 1024
    line, short = lines(output)
    assert line["message"].startswith("begin ")
    assert line["message"].endswith(" end")
    assert "characters left out" in line["message"]
    assert line["exception"].endswith(" end")
    assert (line["level"], line["count"], line["service"]) == ("error", 3, "test")
    assert "timestamp" in line
    assert short["message"] == "short"


def test_a_secret_at_the_cut_is_masked_before_it_is_cut(output: io.StringIO) -> None:
    for place in range(len(SECRET) + 1):
        structlog.get_logger("here").info(f"{(2000 - place) * 'x'}{SECRET}{20_000 * 'y'}")
    for line in lines(output):
        begin = line["message"].partition(" ... ")[0]
        assert set(begin) <= {"x", "y", "*"}


def test_what_ends_a_thread_is_logged_without_secrets(
    output: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ValueError(f"GET /?key={SECRET}")

    thread = threading.Thread(target=fail, name="writer")
    thread.start()
    thread.join()
    (line,) = lines(output)
    assert (line["level"], line["thread"]) == ("error", "writer")
    assert "ValueError: GET /?key=***" in line["exception"]
    assert not capfd.readouterr().err


def test_an_exception_of_requests_does_not_show_the_key(output: io.StringIO) -> None:
    key = "-".join(["n0t", "known"])
    try:
        requests.get("http://127.0.0.1:9/latest", params={"access_key": key}, timeout=1)
    except requests.RequestException:
        structlog.get_logger("here").exception("failed")
    said = output.getvalue()
    assert "access_key" in said
    assert "n0t-known" not in said


def test_urls_that_urllib3_logs_while_debugging_are_left_out(output: io.StringIO) -> None:
    logging.getLogger("urllib3.connectionpool").debug("GET /latest?whatever=n0t-known")
    assert not output.getvalue()


@given(st.text(min_size=1), st.text(), st.text())
def test_no_secret_survives_redaction(secret: str, before: str, after: str) -> None:
    redact = Redactor([secret])
    if secret not in "***":
        assert secret not in redact(f"{before} {secret} {after}").replace("***", "")


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer reader-token",
        "Authorization: reader-token",
        "invalid header: 'Authorization Bearer reader-token'",
        "('AUTHORIZATION', 'Bearer reader-token')",
        "{'Authorization': 'Bearer reader-token'}",
        '{"authorization": "Basic reader-token"}',
        json.dumps({"text": '{"token": "reader-token"}'}),
        "https://host/path?apikey=reader-token&symbol=A",
        "POST /?access_token=reader-token",
        "redis://user:reader-token@host:6379/0",
        "aws_secret_access_key=reader-token",
        "https://s3/?X-Amz-Signature=reader-token",
        '{"SecretAccessKey": "reader-token"}',
        "{'aws_session_token': 'reader-token'}",
        "Authorization: Token reader-token",
        "Authorization: ApiKey reader-token",
        "authorization: Digest username=reader, response=reader-token",
        'Authorization: Digest username="x", response="reader-token"',
        "Cookie: a=b; session=reader-token",
        "Set-Cookie: sid=reader-token; Path=/",
        '{"cookie": "a=b; session=reader-token"}',
        "X-Api-Key: reader-token",
        '{"x-api-key": "reader-token"}',
        '{"password":"p4ss,reader-token"}',
        '{"password": "p4ss reader-token"}',
        '{"password": "p4\\"; reader-token"}',
        "{'password': 'p4ss}reader-token'}",
        "password: reader-token",
        "password = p4ss,reader-token",
        'password="p4ss reader-token" refused',
        "pwd=reader-token",
        "AccountKey=p4ss;reader-token",
        "https://host/?sv=1&sig=reader-token",
        "https://host/?key=reader-token",
        "https://host/?a=b&code=reader-token",
        "https://host/?apikey%3Dreader-token",
        "https://reader-token@host/path",
        "https://user:p4/reader-token@host:3128 refused",
        "https://user:p4@reader-token@host",
        "Incorrect API key provided: sk-reader-token",
    ],
)
def test_what_is_named_like_a_secret_is_masked_although_nobody_knows_it(text: str) -> None:
    assert "reader-token" not in shown(text)
    line = json.loads(Redactor(())(json.dumps({"text": text, "next": 1})))
    assert "reader-token" not in line["text"]
    assert line["next"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "A bearer token is needed.",
        "Only bearer tokens are accepted.",
        "`prompt_tokens`: 5, next_token_count=7",
        "https://host:8443/path mailed to a@b",
        "the basic rules",
        "the password is wrong, says https://host:8443/path?a=b&c=d",
        "a task-force-of-many-words ended with code=3, key=XAU",
    ],
)
def test_plain_words_are_shown(text: str) -> None:
    assert shown(text) == text


def test_text_of_others_is_scrubbed_then_one_line_then_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_process", Redactor([SECRET]))
    assert shown(f"{8 * 'x'} {SECRET}", 10) == "xxxxxxxx *"
    assert shown(" one\r\n\ttwo\x1b[2J\u202e\ufeffthree\x00 ") == "one two [2J three"
    assert len(shown(10_000 * "x")) == redaction.LONGEST
    assert shown(ValueError(SECRET)) == redaction.MASK


def test_a_process_masks_whatever_it_was_told(output: io.StringIO) -> None:
    redaction.keep(["an0ther"])
    structlog.get_logger("here").info(f"{SECRET} and an0ther")
    (line,) = lines(output)
    assert line["message"] == "*** and ***"


def test_long_text_of_others_takes_no_time() -> None:
    for part in ("a.", "://", "://x:", "authorization: ", "bearer ", '"token": ', "token=", "\x00"):
        started = time.process_time()
        shown(100_000 * part)
        assert time.process_time() - started < 1, part


NAMES = ("ApiKey", "authorization", "cookie", "\u017fecret", "TOKEN", "?key", "sig", "response")
PARTS = (*"=:-_ \"'\\&,;}@/ax1\n\u0130\u212a", "://", "%3D", "bearer ", "sk-", "a-long-value-12")
TEXTS = st.lists(st.sampled_from((*NAMES, *PARTS)), max_size=25).map("".join) | st.text()


@given(TEXTS, TEXTS, st.sampled_from([None, 2]))
@example("token=", "b", None)
@example("Authorization: Basic abc=", "b", None)
def test_a_line_of_json_stays_one(text: str, other: str, indent: int | None) -> None:
    line = {"first": text, "second": [other, {"third": other + text}], "last": 1}
    masked = json.loads(Redactor(())(json.dumps(line, indent=indent)))
    assert masked.keys() == line.keys()
    assert masked["last"] == 1


def seconds_to_redact(text: str) -> float:
    def once() -> float:
        started = time.process_time()
        Redactor(())(text)
        return time.process_time() - started

    return min(once() for _ in range(3))


@pytest.mark.parametrize(
    "part",
    [
        *("ab-", "token-", '"ab-ab-ab-ab-', "a=", "-", "authorization ", "token" + 99 * "\\"),
        *(" token", '"token": "', "'token':'", "token= ", "://x:", "https://a:", "sk-", " "),
    ],
)
def test_text_with_many_beginnings_of_names_takes_as_long_as_other_text(part: str) -> None:
    """However fast the machine is."""
    size = 50_000
    assert seconds_to_redact((size // len(part)) * part) < 4 * seconds_to_redact(size * "a")
