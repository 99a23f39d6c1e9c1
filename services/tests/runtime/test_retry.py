"""Answers that are waited for: asked for with pauses, for so long and no longer."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from millrace.runtime import retry
from millrace.runtime.retry import wait_for


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was waited; a look at the clock takes no time."""
    waited: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: 100 + sum(waited), sleep=waited.append)
    monkeypatch.setattr(retry, "time", clock)
    return waited


def saying(*answers: int) -> Callable[[], int]:
    return iter(answers).__next__


def test_the_first_answer_that_is_wanted_ends_the_wait(pauses: list[float]) -> None:
    assert wait_for(saying(1, 2, 3, 4), lambda answer: answer > 2, 60, 0.5) == 3
    assert pauses == [0.5, 0.5]


def test_the_last_answer_is_given_when_the_time_is_over(pauses: list[float]) -> None:
    assert wait_for(saying(1, 2, 3, 4, 5), lambda _: False, 2, 1) == 4
    assert pauses == [1, 1, 1], "also at the end of the time it is asked"


def test_it_asks_once_where_there_is_no_time(pauses: list[float]) -> None:
    assert wait_for(saying(7), lambda _: False, -1, 1) == 7
    assert pauses == []


def test_what_the_question_raises_ends_the_wait(pauses: list[float]) -> None:
    def refused() -> int:
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        wait_for(refused, bool, 60, 1)
    assert pauses == []
