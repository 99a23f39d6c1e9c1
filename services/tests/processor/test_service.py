"""The process around the loop: what it waits for and what it refuses to start with."""

import threading
from collections.abc import Callable

import pytest

from millrace.clients import kafka
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.processor import backoff, service
from millrace.processor.errors import Permanent, Transient

SETTINGS = Settings(processor_retry_seconds=0.001)


class Server:
    """Something that is there after a few attempts."""

    def __init__(self, *failures: Exception, on_attempt: Callable[[], None] = lambda: None) -> None:
        self.failures = list(failures)
        self.attempts = 0
        self._on_attempt = on_attempt

    def __call__(self) -> None:
        self.attempts += 1
        self._on_attempt()
        if self.failures:
            raise self.failures.pop(0)


def wait_for(server: Server, stop: threading.Event | None = None) -> int:
    """How often the heart beat meanwhile."""
    beats: list[None] = []
    service._until_there(server, SETTINGS, stop or threading.Event(), lambda: beats.append(None))
    return len(beats)


def test_a_server_that_is_not_up_yet_is_waited_for_and_the_watchdog_knows() -> None:
    server = Server(Transient("starting"), kafka.BrokerUnreachable("no route"), Transient("x"))
    assert wait_for(server) == 4
    assert server.attempts == 4


def test_the_pauses_become_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, float]] = []

    def pause(attempt: int, longest: float) -> float:
        asked.append((attempt, longest))
        return 0.0

    monkeypatch.setattr(backoff, "seconds", pause)
    wait_for(Server(*(Transient("away") for _ in range(4))))
    assert asked == [(number, 0.001) for number in range(4)]


@pytest.mark.parametrize(
    "refusal", [kafka.CredentialsRefused("wrong password"), Permanent("not allowed")]
)
def test_a_refusal_is_not_tried_again(refusal: MillraceError) -> None:
    server = Server(refusal)
    with pytest.raises(type(refusal)):
        wait_for(server)
    assert server.attempts == 1


def test_being_told_to_stop_ends_the_waiting() -> None:
    stop = threading.Event()
    server = Server(*(Transient("away") for _ in range(50)), on_attempt=stop.set)
    wait_for(server, stop)
    assert server.attempts == 1
