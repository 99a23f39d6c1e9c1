"""Commands in processes of their own: what is said of each end, and that none outlives its call."""

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from millrace.warehouse import child

Run = Callable[..., bytes]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a program in the place of a command."""

    def ran(program: str, *, limit: float = 30.0, stop: threading.Event | None = None) -> bytes:
        monkeypatch.setattr(child, "PROGRAM", (sys.executable, "-c", program))
        return child.run([], limit=limit, stop=stop or threading.Event(), beat=lambda: None)

    return ran


def test_what_it_prints_is_returned(run: Run) -> None:
    assert run("import sys; print('noise', file=sys.stderr); print('answer')") == b"answer\n"


def test_an_answer_is_bounded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "LONGEST_ANSWER", 5)
    assert run("print('long' * 9 + 'end!')") == b"end!\n"


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import sys; sys.exit('step\\nmillrace: the catalog is away\\n')", "the catalog is away"),
        ("raise ValueError('of a library')", "ValueError: of a library"),
        ("import sys; sys.exit(3)", "it did not say why"),
        ("import os; os.kill(os.getpid(), 9)", "it was killed: its container has too little.*"),
        ("import os; os.kill(os.getpid(), 11)", r"it crashed \(SIGSEGV\)"),
    ],
)
def test_the_reason_of_a_failure_is_said(run: Run, program: str, reason: str) -> None:
    with pytest.raises(child.ChildFailed, match=f"^{reason}$"):
        run(program)


def test_one_that_cannot_be_started_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "PROGRAM", ("/nonexistent/program",))
    with pytest.raises(child.ChildFailed, match=r"it cannot be started: .*nonexistent"):
        child.run([], limit=1, stop=threading.Event(), beat=lambda: None)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


SLEEPER = (
    "import os, pathlib, time; pathlib.Path({path!r}).write_text(str(os.getpid())); time.sleep(60)"
)


def test_one_that_takes_too_long_is_ended(run: Run, tmp_path: Path) -> None:
    with pytest.raises(child.ChildFailed, match=r"ended, because it took longer than 2 s"):
        run(SLEEPER.format(path=str(tmp_path / "pid")), limit=2)
    assert not is_there(int((tmp_path / "pid").read_text()))


def test_one_is_ended_when_this_process_has_to_end(run: Run, tmp_path: Path) -> None:
    stop, path = threading.Event(), tmp_path / "pid"

    def stop_soon() -> None:
        deadline = time.monotonic() + 20
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        stop.set()

    waiting = threading.Thread(target=stop_soon)
    waiting.start()
    started = time.monotonic()
    with pytest.raises(child.Stopped):
        run(SLEEPER.format(path=str(path)), stop=stop)
    waiting.join()
    assert time.monotonic() - started < 25
    assert not is_there(int(path.read_text()))
