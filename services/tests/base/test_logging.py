"""Logs: JSON, one object a line, and never a secret."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests
import structlog
from hypothesis import given
from hypothesis import strategies as st

from millrace.logging import configure
from millrace.redaction import Redactor

SECRET = 'p/ss w"rd+1'


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged, from now on."""
    stdout = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stdout)
    root = logging.getLogger()
    level = root.level
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
