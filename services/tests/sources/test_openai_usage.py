"""openai_usage: what answers say, and a file that grows, is renamed, cut off and read again."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.feeds.token_usage import TOKEN_USAGE, TokenUsage
from millrace.processor.decode import decoder
from millrace.sources import openai_usage
from millrace.sources.base import Batch, Permanent, Rejected, Transient
from millrace.sources.gpus import Place
from millrace.sources.openai_usage import OpenaiUsage, normalise

PLACE = Place("box", 0, "RTX 3090")
CREATED = 1_790_000_000
NOW = CREATED + 2.5


def chat(number: int, **fields: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": number, "completion_tokens": 7, "total_tokens": number + 7}
    plain = {"id": f"chatcmpl-{number}", "object": "chat.completion", "created": CREATED + number}
    return {**plain, "model": "llama", "usage": usage, **fields}


RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": CREATED + 0.5,
    "model": "llama",
    "usage": {"input_tokens": 30, "output_tokens": 12, "total_tokens": 42},
}


def line(answer: Any) -> bytes:
    return json.dumps(answer).encode()


def event(answer: Any, offset: int = 0) -> TokenUsage:
    found = normalise(line(answer), PLACE, NOW, offset)
    assert isinstance(found, TokenUsage), found
    return found


class Gateway:
    """A gateway with its file, and the producer that reads it."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "logs" / "usage.jsonl"
        self.file.parent.mkdir()
        self._state = directory / "usage.json"
        self.start()

    def start(self) -> None:
        """The producer starts, or starts again."""
        self.source = OpenaiUsage(self.file, PLACE, self._state, lambda: NOW)

    def write(self, *answers: Any, end: bytes = b"\n") -> None:
        with self.file.open("ab") as file:
            file.write(b"\n".join(a if isinstance(a, bytes) else line(a) for a in answers) + end)

    def poll(self) -> Batch:
        return self.source.fetch("usage")

    def prompts(self) -> list[int]:
        """What the next poll brings, by the number of prompt tokens."""
        return [one.prompt_tokens for one in self.poll().events]  # type: ignore[attr-defined]


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


def test_an_answer_of_chat_completions() -> None:
    found = event(chat(5, latency_ms=120))
    assert (found.prompt_tokens, found.completion_tokens, found.latency_ms) == (5, 7, 120)
    assert (found.symbol, found.gpu_name, found.source) == ("box/0/llama", "RTX 3090", found.source)
    assert found.observed_at == datetime.fromtimestamp(CREATED + 5, UTC)


def test_an_answer_of_the_responses_api() -> None:
    found = event(RESPONSE)
    assert (found.prompt_tokens, found.completion_tokens) == (30, 12)
    assert found.observed_at.timestamp() == CREATED + 0.5


def test_an_embedding_writes_no_tokens() -> None:
    assert event(chat(5, usage={"prompt_tokens": 5, "total_tokens": 5})).completion_tokens == 0


def test_a_part_of_a_stream_says_nothing_until_the_last() -> None:
    part = chat(5, object="chat.completion.chunk", usage=None)
    assert normalise(line(part), PLACE, NOW, 0) is None
    assert event(chat(5, object="chat.completion.chunk")).prompt_tokens == 5


def test_an_answer_read_twice_is_the_same_event_and_two_answers_are_two() -> None:
    assert event(chat(5), 0).event_id == event(chat(5), 999).event_id
    assert event(chat(5)).event_id != event(chat(5, id="other")).event_id
    nameless = chat(5, id=None)
    assert event(nameless, 0).event_id == event(nameless, 0).event_id
    assert event(nameless, 0).event_id != event(nameless, 80).event_id


@pytest.mark.parametrize(
    "bad",
    [
        b"{",
        b"[]",
        b"null",
        b"\xff",
        line(chat(5, usage=None)),
        line(chat(5, usage={"total_tokens": 5})),
        line(chat(5, usage={"prompt_tokens": -1})),
        line(chat(5, usage={"prompt_tokens": "5", "completion_tokens": 1})),
        line(chat(5, created=None)),
        line(chat(5, created=1e300)),
        line(chat(5, model=None)),
        line(chat(5, model="m" * 91)),
        line(chat(5, latency_ms=-1)),
    ],
)
def test_what_is_no_usage_is_rejected(bad: bytes) -> None:
    assert isinstance(normalise(bad, PLACE, NOW, 0), Rejected)


def test_a_bad_line_does_not_hold_up_the_others(gateway: Gateway) -> None:
    gateway.write(chat(1), b"{broken", b"", chat(2))
    batch = gateway.poll()
    assert len(batch.events) == 2
    assert len(batch.rejected) == 1


def test_lines_are_read_once_and_when_they_are_complete(gateway: Gateway) -> None:
    gateway.write(chat(1), chat(2), end=b"\n" + line(chat(3))[:20])
    assert gateway.prompts() == [1, 2]
    assert gateway.prompts() == []
    gateway.write(line(chat(3))[20:])
    assert gateway.prompts() == [3]


def test_a_file_that_is_not_there_yet_is_waited_for(gateway: Gateway) -> None:
    with pytest.raises(Transient, match="no file"):
        gateway.poll()
    gateway.write(chat(1))
    assert gateway.prompts() == [1]


def test_a_restart_goes_on_where_the_acknowledged_end(gateway: Gateway) -> None:
    gateway.write(chat(1))
    assert gateway.prompts() == [1]
    gateway.start()  # nothing says that the first was published
    assert gateway.prompts() == [1]
    assert gateway.prompts() == []  # this does
    gateway.write(chat(2))
    gateway.start()
    assert gateway.prompts() == [2]


def test_a_renamed_file_is_read_to_its_end_before_the_new_one(gateway: Gateway) -> None:
    gateway.write(chat(1))
    assert gateway.prompts() == [1]
    gateway.write(chat(2))
    gateway.file.rename(gateway.file.with_name("usage.jsonl.1"))
    gateway.write(chat(3))
    assert [*gateway.prompts(), *gateway.prompts()] == [2, 3]
    gateway.write(chat(4))
    assert gateway.prompts() == [4]


@pytest.mark.parametrize("create", [False, True])
def test_what_is_written_to_a_renamed_file_until_the_gateway_reopens_is_read(
    gateway: Gateway, create: bool
) -> None:
    """Whether the rotation makes the new file, or the gateway does."""
    gateway.write(chat(1))
    assert gateway.prompts() == [1]
    renamed = gateway.file.with_name("usage.jsonl.1")
    gateway.file.rename(renamed)
    if create:
        gateway.file.touch()
    assert gateway.prompts() == []
    with renamed.open("ab") as old:
        old.write(line(chat(2)) + b"\n" + line(chat(3)))
    assert gateway.prompts() == [2]
    assert gateway.prompts() == [], "the last line may be written yet"
    gateway.write(chat(4))
    gateway.start()
    assert [*gateway.prompts(), *gateway.prompts(), *gateway.prompts()] == [3, 4]


def test_a_poll_that_fails_reads_its_lines_again(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.write(chat(1))
    with monkeypatch.context() as broken, pytest.raises(ZeroDivisionError):
        broken.setattr(openai_usage, "batch", lambda *_, **__: 1 / 0)
        gateway.poll()
    assert gateway.prompts() == [1]


@pytest.mark.parametrize("answers", [1, 5])
def test_a_file_that_was_cut_off_is_read_from_its_beginning(gateway: Gateway, answers: int) -> None:
    """Also if it has grown past the position since."""
    gateway.write(chat(1), chat(2))
    assert gateway.prompts() == [1, 2]
    gateway.file.write_bytes(b"")
    numbers = list(range(10, 10 + answers))
    gateway.write(*(chat(number) for number in numbers))
    assert gateway.prompts() == numbers


def test_a_line_without_end_is_an_error_that_names_its_place(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_usage, "CHUNK", 1000)
    gateway.write(b"x" * 2000, end=b"")
    with pytest.raises(Permanent, match="byte 0 "):
        gateway.poll()


def test_a_long_file_is_read_in_parts(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_usage, "CHUNK", 1000)
    gateway.write(*(chat(number) for number in range(50)))
    found: list[int] = []
    while more := gateway.prompts():
        assert len(more) < 10
        found += more
    assert found == list(range(50))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
fields = st.sampled_from(["id", "object", "created", "created_at", "model", "usage", "latency_ms"])
inner_fields = st.sampled_from(["prompt_tokens", "completion_tokens", "input_tokens"])


@given(st.dictionaries(fields, json_values), st.dictionaries(inner_fields, json_values))
def test_any_answer_is_an_event_that_the_processor_takes_or_is_rejected(
    changes: dict[str, Any], usage: dict[str, Any]
) -> None:
    answer = chat(5) | changes
    if isinstance(answer["usage"], dict):
        answer["usage"] = answer["usage"] | usage
    found = normalise(line(answer), PLACE, NOW, 0)
    if isinstance(found, TokenUsage):
        assert found.prompt_tokens in answer["usage"].values()
        if found.observed_at.year >= 1900 and found.observed_at <= found.produced_at:
            assert decoder(TOKEN_USAGE)(msgspec.json.encode(found)) == found


@given(st.binary())
def test_any_line_is_an_event_or_rejected(data: bytes) -> None:
    assert isinstance(normalise(data, PLACE, NOW, 0), Rejected)
