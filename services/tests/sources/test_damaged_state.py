"""State that is damaged is forgotten, and one line of the log says what follows."""

from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from millrace.producer.agenda import _Kept
from millrace.runtime.state_files import load_state
from millrace.sources.budget import Budget
from millrace.sources.gpus import ServingGpu
from millrace.sources.openai_usage import OpenaiUsage
from millrace.sources.scrape import Exporter
from millrace.sources.seen import Seen
from millrace.sources.times import next_month
from millrace.sources.vllm import Vllm

PLACE = ServingGpu("box")


def vllm(state: Path) -> Vllm:
    return Vllm(Exporter("http://127.0.0.1:9/metrics"), PLACE, state)


@pytest.mark.parametrize(
    "start",
    [
        Seen,
        vllm,
        lambda state: OpenaiUsage(state.with_name("usage.jsonl"), PLACE, state),
        lambda state: load_state(state, _Kept, "all is due"),
        lambda state: Budget(state, "k3y", 25, next_month),
        lambda state: Budget(state, "k3y", None, next_month),
    ],
)
@pytest.mark.parametrize("content", [b"", b"{", b"[]", bytes(80)])
def test_damaged_state_is_told(
    tmp_path: Path, start: Callable[[Path], object], content: bytes
) -> None:
    state = tmp_path / "state.json"
    with capture_logs() as said:
        start(state)
    assert not said
    state.write_bytes(content)
    with capture_logs() as said:
        start(state)
    (line,) = said
    assert (line["log_level"], line["file"]) == ("warning", str(state))
    assert line["forgotten"]
