"""State files: whole, or as they were, and in one line when they cannot be read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from services.tests.whole_files import Replace, Replacing

from millrace.producer.agenda import Agenda
from millrace.producer.timing import Schedule
from millrace.runtime.state_files import StateUnusable, read_state, write_atomically
from millrace.sources.gpus import ServingGpu
from millrace.sources.openai_usage import OpenaiUsage
from millrace.sources.scrape import Exporter
from millrace.sources.seen import Seen
from millrace.sources.vllm import Vllm

PLACE = ServingGpu("box")


class TestState(Replacing):
    @pytest.fixture
    def replace(self) -> Replace:
        return write_atomically

    @pytest.fixture
    def kind(self) -> type[Exception]:
        return StateUnusable


def test_what_is_there_is_read(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert read_state(path) is None
    path.write_bytes(b"kept")
    assert read_state(path) == b"kept"


@pytest.mark.parametrize(
    "begin",
    [
        lambda path: Agenda(["all"], Schedule("30 12 * * *"), path, lambda: 0.0, runs=0),
        Seen,
        lambda path: OpenaiUsage(path / "usage.jsonl", PLACE, path),
        lambda path: Vllm(Exporter("http://127.0.0.1:9/metrics"), PLACE, path),
    ],
)
def test_who_cannot_read_its_state_says_so_and_does_not_begin_anew(
    tmp_path: Path, begin: Callable[[Path], Any]
) -> None:
    path = tmp_path / "state.json"
    path.mkdir()
    with pytest.raises(StateUnusable, match=f"cannot read {path}: Is a directory"):
        begin(path)
