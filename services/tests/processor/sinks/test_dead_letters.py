"""What a dead letter, and a partition that stands still, say of the reason."""

import pytest

from millrace.clients.letter_headers import PREFIX
from millrace.processor.batch import Unread
from millrace.processor.errors import BadRecord
from millrace.processor.sinks.dead_letters import LONGEST_REASON, letter
from millrace.processor.standing import LONGEST_REASON as LONGEST_STANDING
from millrace.processor.standing import Standing
from millrace.runtime import redaction
from millrace.runtime.redaction import Redactor

KEY = 10 * "k3y"


@pytest.fixture(autouse=True)
def the_key_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_process", Redactor([KEY]))


def reason(text: str) -> str:
    found = letter("dead-letters", Unread("t", 0, 5, b"x"), BadRecord("VALUE_CONVERTER", text))
    headers = dict(found.headers)
    said = headers[PREFIX + "exception.message"]
    assert said is not None
    return said.decode()


@pytest.mark.parametrize("before", range(LONGEST_REASON - len(KEY) - 2, LONGEST_REASON + 2))
def test_the_reason_of_a_dead_letter_is_scrubbed_before_it_is_cut(before: int) -> None:
    said = reason(f"{before * 'x'}{KEY} and more")
    assert "k3y" not in said
    assert len(said) <= LONGEST_REASON


def test_the_reason_of_a_dead_letter_is_one_line_that_a_terminal_obeys_in_nothing() -> None:
    assert reason("first\nsecond\x1b[31m \ud800 third") == "first second [31m third"


@pytest.mark.parametrize("before", [0, LONGEST_STANDING - 3])
def test_why_a_partition_stands_still_is_scrubbed_before_it_is_cut(before: int) -> None:
    standing = Standing()
    standing.stand(("t", 0), 5, f"{before * 'x'}{KEY} refused")
    (shown,) = standing.shown()
    assert "k3y" not in shown["reason"]
    assert "k3y" not in str(standing.problem())
