"""openai_usage: what answers say, and a file that grows, is renamed, cut off and read again."""

import json
import os
import shutil
import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from millrace.feeds.token_usage import TOKEN_USAGE, TokenUsage
from millrace.processor.conflicts import between_events
from millrace.processor.decode import Taken, decoder
from millrace.sources import following, jsonlines, openai_usage, streams
from millrace.sources.answers import normalise
from millrace.sources.base import Batch, Permanent, Rejected, Transient
from millrace.sources.gpus import ServingGpu
from millrace.sources.jsonlines import Line, records
from millrace.sources.openai_usage import OpenaiUsage
from millrace.sources.streams import Held, Told

PLACE = ServingGpu("box", 0, "RTX 3090")
CREATED = 1_790_000_000
NOW = CREATED + 2.5


def chat(number: int, **fields: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": number, "completion_tokens": 7, "total_tokens": number + 7}
    plain = {"id": f"chatcmpl-{number}", "object": "chat.completion", "created": CREATED + number}
    return {**plain, "model": "llama", "usage": usage, **fields}


@pytest.mark.parametrize(("before", "behind"), [(None, None), (3, 4)])
def test_the_rest_of_a_line_that_is_passed_over_ends_one_line(
    before: int | None, behind: int | None
) -> None:
    for rest in (b'rest"}\n', b"\n"):
        assert jsonlines.skip(rest + b"{}\n", "utf-8", before) == ([], len(rest), behind, False)


RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": CREATED + 0.5,
    "model": "llama",
    "usage": {"input_tokens": 30, "output_tokens": 12, "total_tokens": 42},
}


def line(answer: Any) -> bytes:
    return json.dumps(answer).encode()


def said(data: bytes, offset: int = 0) -> Told | Rejected | None:
    """What one line says."""
    read, _ = records([Line(offset, 0, data)], "usage.jsonl", last=True)
    found = [one for record in read for one in normalise(record, PLACE, NOW)]
    assert len(found) <= 1 or (isinstance(found[1], Told) and not found[1].event)
    return found[0] if found else None


def event(answer: Any, offset: int = 0) -> TokenUsage:
    found = said(line(answer), offset)
    assert isinstance(found, Told), found
    assert found.event
    return found.event


def part(number: int, completion: int | None, **fields: Any) -> dict[str, Any]:
    """A part of a streamed answer that says what was used so far."""
    usage = {"prompt_tokens": number, "completion_tokens": completion}
    plain = chat(number, object="chat.completion.chunk", usage=usage if completion else None)
    return {**plain, "choices": [{"delta": {"content": "x"}}], **fields}


class Gateway:
    """A gateway with its file, and the producer that reads it."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "logs" / "usage.jsonl"
        self.file.parent.mkdir()
        self.state = directory / "usage.json"
        self.now = NOW
        self.start()

    def start(self) -> None:
        """The producer starts, or starts again."""
        self.source = OpenaiUsage(self.file, PLACE, self.state, lambda: self.now)

    def write(self, *answers: Any, end: bytes = b"\n") -> None:
        with self.file.open("ab") as file:
            file.write(b"\n".join(a if isinstance(a, bytes) else line(a) for a in answers) + end)

    def poll(self) -> Batch:
        return self.source.fetch("usage")

    def prompts(self) -> list[int]:
        """What the next poll brings, by the number of prompt tokens."""
        return self.prompts_and([])

    def prompts_and(self, told: list[Rejected]) -> list[int]:
        """The same; what is not believed is added to the list."""
        batch = self.poll()
        told += batch.rejected
        return [one.prompt_tokens for one in batch.events]  # type: ignore[attr-defined]


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


def test_an_answer_of_chat_completions() -> None:
    found = event(chat(5, latency_ms=120))
    assert (found.prompt_tokens, found.completion_tokens, found.latency_ms) == (5, 7, 120)
    assert (found.symbol, found.gpu_name) == ("box/0/llama", "RTX 3090")
    assert (found.source, found.simulated) == ("openai_usage", False)
    assert found.observed_at == datetime.fromtimestamp(CREATED + 5, UTC)


def test_an_answer_of_the_responses_api() -> None:
    found = event(RESPONSE)
    assert (found.prompt_tokens, found.completion_tokens) == (30, 12)
    assert found.observed_at.timestamp() == CREATED + 0.5


def test_an_embedding_writes_no_tokens() -> None:
    for usage in ({"prompt_tokens": 5, "total_tokens": 5}, {"input_tokens": 5}):
        assert event(chat(5, usage=usage)).completion_tokens == 0


@pytest.mark.parametrize("nothing", [0, None])
def test_a_pair_of_names_without_numbers_hides_no_other(nothing: int | None) -> None:
    empty = {"prompt_tokens": nothing, "completion_tokens": nothing}
    told = event(chat(5, usage={**empty, "input_tokens": 7, "output_tokens": 8}))
    assert (told.prompt_tokens, told.completion_tokens) == (7, 8)


def test_a_line_behind_zero_bytes_is_read(gateway: Gateway) -> None:
    gateway.file.parent.mkdir(exist_ok=True)
    gateway.file.write_bytes(line(chat(1)) + b"\n" + bytes(512) + line(chat(2)) + b"\n")
    batch = gateway.source.fetch("usage")
    assert batch.events == [event(chat(1)), event(chat(2))]
    assert not batch.rejected


def test_a_part_of_a_stream_says_nothing_until_the_last() -> None:
    nothing: tuple[Any, ...] = (None, {})
    for usage in nothing:
        assert said(line(part(5, 1, usage=usage))) is None
    assert event(chat(5, object="chat.completion.chunk")).prompt_tokens == 5


def test_an_answer_read_twice_is_the_same_event_and_two_answers_are_two() -> None:
    assert event(chat(5), 0).event_id == event(chat(5), 999).event_id
    assert event(chat(5)).event_id != event(chat(5, id="other")).event_id
    for identity in ("x", "x" * 500):
        named = chat(5, id=identity)
        assert event(named, 0).event_id == event(named, 80).event_id
    for nothing in (None, "", "x" * 501):
        nameless = chat(5, id=nothing)
        assert event(nameless, 0).event_id == event(nameless, 0).event_id
        assert event(nameless, 0).event_id != event(nameless, 80).event_id
        # Another file may have another answer at the same place.
        assert event(nameless, 0).event_id != event({**nameless, "x": 1}, 0).event_id


def test_the_id_of_an_answer_is_what_it_was() -> None:
    """What is read again after an update is the same event."""
    nameless = chat(5, id=None)
    for answer, identity in (
        (chat(5), "chatcmpl-5"),
        (nameless, f"80:{sha256(line(nameless)).hexdigest()}"),
        ([nameless], f"80.0:{sha256(line([nameless])).hexdigest()}"),
    ):
        found = event(answer, 80)
        unique = f"{found.symbol}\n{found.observed_at.isoformat()}\n{identity}"
        assert found.event_id.endswith(sha256(unique.encode()).hexdigest()[:32])


@pytest.mark.parametrize(
    ("usage", "read", "written"),
    [
        ({"completion_tokens_details": {"reasoning_tokens": 16}}, 9, 21),
        ({"output_tokens_details": {"reasoning_tokens": "16"}}, 9, 21),
        (
            {
                "completion_tokens_details": {"reasoning_tokens": 0},
                "output_tokens_details": {"reasoning_tokens": 16},
            },
            9,
            21,
        ),
        ({"reasoning_tokens": 16}, 9, 21),
        ({"prompt_tokens_details": {"cached_tokens": 16}}, 25, 5),
        ({"cache_read_input_tokens": 10, "cache_creation_input_tokens": 6}, 25, 5),
    ],
)
def test_tokens_that_are_in_the_total_alone_are_of_what_they_are_named_after(
    usage: dict[str, Any], read: int, written: int
) -> None:
    plain = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 30}
    found = said(line(chat(5, usage={**plain, **usage})))
    assert isinstance(found, Told), found
    assert found.event
    assert (found.event.prompt_tokens, found.event.completion_tokens) == (read, written)
    assert found.doubt is None


@pytest.mark.parametrize("details", [{"reasoning_tokens": 16}, {"reasoning_tokens": None}, None, 7])
def test_details_that_are_in_the_number_already_are_not_added(details: Any) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 21, "total_tokens": 30}
    found = event(chat(5, usage={**usage, "completion_tokens_details": details}))
    assert (found.prompt_tokens, found.completion_tokens) == (9, 21)


@pytest.mark.parametrize("total", [623, 9, "many"])
def test_a_total_that_nobody_explains_is_told_and_its_parts_count(
    gateway: Gateway, total: int | str
) -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": total}
    gateway.write(chat(5, usage=usage), chat(6))
    with capture_logs() as logged:
        assert gateway.prompts() == [20, 6]
    told = [one["one"] for one in logged if "add up" in one["event"]]
    expected = f"`total_tokens` is {total}, of 20 read and 198 written"
    assert told == ([expected] if isinstance(total, int) else [])


def test_a_part_that_is_not_believed_takes_those_before_it_with_it(gateway: Gateway) -> None:
    """What they say is not all that the answer used."""
    gateway.write(
        part(20, 1),
        part(20, 198, usage={"prompt_tokens": 20, "completion_tokens": "1,980"}, choices=[]),
        chat(6),
    )
    told: list[Rejected] = []
    assert gateway.prompts_and(told) == [6]
    (one,) = told
    assert "1,980" in one.reason
    gateway.now += 60
    assert gateway.prompts() == []


def test_usage_is_found_where_groq_writes_it() -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 218}
    found = said(line(part(5, None, x_groq={"id": "req_1", "usage": usage})))
    assert isinstance(found, Told), found
    assert found.event
    assert (found.event.prompt_tokens, found.event.completion_tokens) == (20, 198)


NO_USAGE = "it has no usage with prompt_tokens or input_tokens"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"{", "it is no JSON: Input data was truncated"),
        (b"[1]", "it is no JSON object"),
        (b"null", "it is no JSON object"),
        (b"\xff", "it is no JSON: JSON is malformed: invalid character (byte 0)"),
        (b"\0{", "it has zero bytes, as UTF-16 has: write all of the file in UTF-8"),
        (line(chat(5, usage=None)), NO_USAGE),
        (line(chat(5, usage={"total_tokens": 5})), NO_USAGE),
        (line(chat(5, usage=None, object="")), NO_USAGE),
        (line(chat(5, usage=None, choices=[])), NO_USAGE),
        (
            line(chat(5, usage={"prompt_tokens": -1})),
            "Expected `int` >= 0 - at `$.prompt_tokens`",
        ),
        (
            line(chat(5, usage={"prompt_tokens": None, "completion_tokens": 1})),
            "Expected `int`, got `null` - at `$.prompt_tokens`",
        ),
        (
            line(chat(5, usage={"prompt_tokens": 10, "total_tokens": 30})),
            "it has no completion_tokens, and `total_tokens` is 30, of which 10 were read: write"
            " both numbers",
        ),
        (
            line(chat(5, usage={"prompt_tokens": 10, "input_tokens": 7, "output_tokens": 5})),
            "`prompt_tokens` is 10 and `input_tokens` is 7: send one of them",
        ),
        (
            line(chat(5, usage={"prompt_tokens": 9, "completion_tokens": 1, "output_tokens": 5})),
            "`completion_tokens` is 1 and `output_tokens` is 5: send one of them",
        ),
        *(
            (
                line(chat(5, usage={"prompt_tokens": 10, "completion_tokens": strange})),
                f"Expected `int`, got `{kind}` - at `$.completion_tokens`",
            )
            for strange, kind in ((False, "bool"), ([], "array"), ({}, "object"))
        ),
        (line(chat(5, created=None)), "it has no time: neither created nor created_at"),
        (line(chat(5, created=1e300)), "`created` is 1e+300"),
        (line(chat(5, model=None)), "Expected `str`, got `null` - at `$.model`"),
        (line(chat(5, model="m" * 91)), "Expected `str` of length <= 90 - at `$.model`"),
        (line(chat(5, latency_ms=-1)), "Expected `float` >= 0.0 - at `$.latency_ms`"),
        (line(chat(5, latency_ms="x")), "`latency_ms` is 'x', which is no number"),
        (line({**RESPONSE, "usage": {"input_tokens": "x"}}), "`input_tokens` is 'x'"),
    ],
)
def test_what_is_no_usage_is_rejected(bad: bytes, reason: str) -> None:
    found = said(bad)
    assert isinstance(found, Rejected)
    assert found.symbol == "usage.jsonl, line 1" + (", item 1" if bad == b"[1]" else "")
    # What else is said of a number or a time is tested where those are read.
    assert found.reason == reason or (reason[0] == "`" and found.reason.startswith(reason))


@pytest.mark.parametrize(
    "used",
    [
        {"prompt_tokens": 10, "output_tokens": 5},
        {"prompt_tokens": 10, "completion_tokens": 0, "input_tokens": 10, "output_tokens": 5},
        {"prompt_tokens": 10, "completion_tokens": 5, "input_tokens": 10, "output_tokens": 5},
        {"prompt_tokens": 10, "completion_tokens": None, "output_tokens": 5},
    ],
)
def test_a_number_is_taken_by_the_name_that_says_it(used: dict[str, Any]) -> None:
    found = event(chat(5, usage=used))
    assert (found.prompt_tokens, found.completion_tokens) == (10, 5)


def test_a_bad_line_does_not_hold_up_the_others(gateway: Gateway) -> None:
    gateway.write(chat(1), b"{broken", b"", chat(2))
    batch = gateway.poll()
    assert len(batch.events) == 2
    assert len(batch.rejected) == 1
    assert batch.simulated is False


def test_lines_are_read_once_and_when_they_are_complete(gateway: Gateway) -> None:
    gateway.write(chat(1), chat(2), end=b"\n" + line(chat(3))[:20])
    assert gateway.prompts() == [1, 2]
    assert gateway.prompts() == []
    gateway.write(line(chat(3))[20:])
    assert gateway.prompts() == [3]


def test_the_last_usage_of_a_streamed_answer_is_what_it_used(gateway: Gateway) -> None:
    """Nothing says which part is the last, so it is waited for, and others wait behind it."""
    gateway.write(chat(1), part(10, 1), part(11, 5), part(10, 4), chat(2))
    assert gateway.prompts() == [1]
    gateway.now += 9
    gateway.write(part(10, 9, created=CREATED + 11), part(10, None))
    gateway.start()
    gateway.prompts()
    gateway.write(part(10, 99, created=CREATED + 12))
    told: list[Any] = []
    for _ in range(4):
        gateway.now += 6
        told += gateway.poll().events
    found = [(e.prompt_tokens, e.completion_tokens) for e in told]
    assert found == [(11, 5), (2, 7), (10, 99)]


def test_the_part_without_choices_ends_an_answer(gateway: Gateway) -> None:
    gateway.write(part(10, 1), part(10, 99, choices=[]))
    (told,) = gateway.poll().events
    assert told.completion_tokens == 99  # type: ignore[attr-defined]
    gateway.now += 60
    assert gateway.prompts() == []


def test_what_is_held_of_a_stream_survives_a_restart_and_its_file(gateway: Gateway) -> None:
    gateway.write(part(10, 99))
    assert gateway.prompts() == []
    assert gateway.prompts() == []
    gateway.file.unlink()
    for _ in range(2):
        gateway.start()
        assert gateway.prompts() == []
        assert gateway.prompts() == []
    gateway.now += 10
    assert gateway.prompts() == [10]
    gateway.start()  # nothing says that it was published
    assert gateway.prompts() == [10]
    with pytest.raises(Transient, match="no file"):
        gateway.poll()


def test_half_a_character_in_an_id_stops_nothing(gateway: Gateway) -> None:
    """JSON can say it, and nothing that is kept in a file or in Kafka can."""
    gateway.write(part(10, 99, id="chatcmpl-\udcff"), chat(1, id="\ud83d"), chat(2, note="\ud800"))
    assert gateway.prompts() == []
    assert gateway.prompts() == []
    gateway.start()
    gateway.now += 10
    assert gateway.prompts() == [10, 1, 2]


def test_no_more_than_a_bound_is_held_of_streams(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MOST", 2)
    gateway.write(part(10, 1), part(11, 1), part(10, 2), part(12, 1))
    assert gateway.prompts() == [11]
    gateway.write(chat(1), chat(2))
    assert gateway.prompts() == [1, 2], "those that are complete come first"


def test_parts_of_text_completions_are_parts() -> None:
    def text(usage: Any, end: str | None, choices: Any = None) -> Any:
        choices = choices or [{"text": "x", "finish_reason": end}]
        answer = chat(5, object="text_completion", usage=usage, choices=choices)
        return said(line(answer))

    used = {"prompt_tokens": 5, "completion_tokens": 7}
    assert text(None, None) is None
    assert text(None, "stop") is None
    assert not text(used, None).is_last
    assert text(used, "stop").is_last
    for unknown in (5, [5], {"x": 1}):
        assert text(used, None, unknown).is_last


def test_a_stream_of_the_responses_api_is_told_by_the_event_that_ends_it(gateway: Gateway) -> None:
    started = {**RESPONSE, "usage": None}
    gateway.write(
        {"type": "response.created", "response": started},
        {"type": "response.output_text.delta", "delta": "x"},
        {"type": "response.completed", "response": RESPONSE},
        {"type": "error", "message": "x"},
    )
    batch = gateway.poll()
    assert [e.event_id for e in batch.events] == [event(RESPONSE).event_id]
    assert not batch.rejected


def test_what_begins_a_stream_of_azure_or_a_file_is_no_error(gateway: Gateway) -> None:
    filters = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
    gateway.write(b"\xef\xbb\xbf" + line(chat(1)), {**filters, "prompt_filter_results": []})
    batch = gateway.poll()
    assert [e.event_id for e in batch.events] == [event(chat(1)).event_id]
    assert not batch.rejected


def test_a_position_of_one_file_alone_is_read(gateway: Gateway) -> None:
    """As it was kept before several files were followed."""
    gateway.write(chat(1))
    status, read = gateway.file.stat(), gateway.file.read_bytes()
    older = {"inode": status.st_ino, "offset": len(read), "tail": sha256(read).hexdigest()}
    for suffix, other in ((".1", line(chat(9)) + b"\n"), (".backup", read)):
        beside = gateway.file.with_name(f"usage.jsonl{suffix}")
        beside.write_bytes(other)
        os.utime(beside, (1_000, 1_000))
    waits = {"held": {"x": msgspec.to_builtins(Held(event(chat(7)), NOW - 60))}}
    for streams_, brought in list[tuple[dict[str, Any], list[int]]]([({}, []), (waits, [7])]):
        gateway.state.write_text(json.dumps(older | streams_))
        gateway.start()
        assert gateway.prompts() == brought
    gateway.write(chat(2))
    gateway.file.rename(gateway.file.with_name("usage.jsonl.1"))
    gateway.write(chat(3))
    assert gateway.prompts() == [2, 3]


def test_a_file_that_is_not_there_yet_is_waited_for(gateway: Gateway) -> None:
    with pytest.raises(Transient, match="no file"):
        gateway.poll()
    gateway.write(chat(1))
    assert gateway.prompts() == [1]


def test_a_file_that_was_removed_is_told_ten_minutes_later(gateway: Gateway) -> None:
    gateway.write(chat(1))
    assert gateway.prompts() == [1]
    at = gateway.file.stat().st_mtime
    gateway.file.unlink()
    for later in (599, 601):
        gateway.now = at + later
        assert gateway.prompts() == []
    with pytest.raises(Transient, match=f"there is no file {gateway.file} yet"):
        gateway.poll()
    gateway.write(chat(2))
    assert gateway.prompts() == [2]


def test_a_file_that_cannot_be_read_is_named(gateway: Gateway) -> None:
    gateway.file.mkdir()
    with pytest.raises(Permanent, match=f"cannot read {gateway.file}: Is a directory"):
        gateway.poll()


def test_a_place_that_cannot_be_looked_into_is_named(gateway: Gateway) -> None:
    gateway.file = gateway.file.parent / ("x" * 256) / "usage.jsonl"
    gateway.start()
    with pytest.raises(Permanent, match=f"cannot read {gateway.file.parent}: File name too long"):
        gateway.poll()


def test_a_restart_goes_on_where_the_acknowledged_end(gateway: Gateway) -> None:
    gateway.write(chat(1))
    assert gateway.prompts() == [1]
    gateway.start()  # nothing says that the first was published
    assert gateway.prompts() == [1]
    assert gateway.prompts() == []  # this does
    gateway.write(chat(2))
    gateway.start()
    assert gateway.prompts() == [2]


def test_what_is_kept_is_written_when_it_changes(gateway: Gateway) -> None:
    written = []
    gateway.write(chat(1))
    for answers in ([], [], [], [chat(2)], []):
        gateway.write(*answers, end=b"\n" if answers else b"")
        gateway.poll()
        written.append(gateway.state.stat().st_ino)
    first, acknowledged, again, other, last = written
    assert first != acknowledged == again == other != last


def test_a_file_that_came_meanwhile_is_read_whatever_became_of_the_one_before(
    gateway: Gateway,
) -> None:
    for number, name in ((1, "elsewhere"), (2, "usage.jsonl.1"), (3, "usage.jsonl")):
        gateway.write(chat(number))
        os.utime(gateway.file, (NOW - 60 + number, NOW - 60 + number))
        if number == 1:
            assert [*gateway.prompts(), *gateway.prompts()] == [1]
        gateway.file.rename(gateway.file.with_name(name))
    gateway.start()
    assert gateway.prompts() == [2, 3]


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
        old.write(b"\n" + line(chat(4))[:9])
    assert gateway.prompts() == [2, 3]
    assert gateway.prompts() == [], "the last line may be written yet"
    with renamed.open("ab") as old:
        old.write(line(chat(4))[9:])
    gateway.write(chat(5))
    gateway.start()
    assert [*gateway.prompts(), *gateway.prompts(), *gateway.prompts()] == [4, 5]


def test_the_first_lines_are_told_again_also_from_a_file_that_was_renamed(
    gateway: Gateway,
) -> None:
    gateway.write(chat(1))
    assert gateway.prompts() == [1]
    gateway.file.rename(gateway.file.with_name("usage.jsonl.1"))
    gateway.write(chat(2))
    gateway.start()  # nothing says that the first was published
    assert [*gateway.prompts(), *gateway.prompts()] == [1, 2]


def test_all_files_that_were_renamed_meanwhile_are_read(gateway: Gateway) -> None:
    gateway.write(chat(1))
    assert [*gateway.prompts(), *gateway.prompts()] == [1]
    second, first = (gateway.file.with_name(f"usage.jsonl.{age}") for age in (1, 2))
    gateway.write(chat(2))
    gateway.file.rename(first)
    gateway.write(chat(3))
    gateway.file.rename(second)
    gateway.file.with_name("usage.jsonl.3.gz").write_bytes(b"\x1f\x8b")
    now = time.time()
    for path, at in ((first, now + 1), (second, now + 2)):
        os.utime(path, (at, at))
    gateway.write(chat(4))
    gateway.start()
    assert [number for _ in range(5) for number in gateway.prompts()] == [2, 3, 4]


def test_a_line_is_read_in_the_copy_of_a_file_that_was_cut_off_or_is_told_to_be_lost(
    gateway: Gateway,
) -> None:
    gateway.write(chat(1))
    assert gateway.prompts() == [1]
    gateway.write(chat(2))
    shutil.copy(gateway.file, gateway.file.with_name("usage.jsonl.1"))
    os.truncate(gateway.file, 0)
    gateway.write(chat(3))
    assert gateway.prompts() == [2, 3]
    os.truncate(gateway.file, 0)
    batch = gateway.poll()
    assert not batch.events
    assert [rejected.symbol for rejected in batch.rejected] == ["usage.jsonl"]


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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_line_that_is_too_long_is_told_once_and_passed_over(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setattr(following, "CHUNK", 2000)
    texts = [json.dumps(chat(1)), '{"x": "' + "y" * 5000, json.dumps(chat(2))]
    gateway.write("\n".join(texts[:2]).encode(encoding), end=b"")
    told: list[Rejected] = []
    assert [n for _ in range(9) for n in gateway.prompts_and(told)] == [1]
    gateway.start()
    with gateway.file.open("ab") as file:
        rest = "z" * 5000 + '"}\n' + texts[2] + "\n"
        file.write(rest.encode(encoding).removeprefix(b"\xff\xfe"))
    assert [n for _ in range(9) for n in gateway.prompts_and(told)] == [2]
    (one,) = told
    assert one.symbol == "usage.jsonl, line 2"
    assert one.reason.startswith("it is longer than 2000 bytes, and passed over")


@pytest.mark.parametrize("data", [b"x" * 2500, b"x" * 2500 + b"\n", b"\xff\xfe" + b"x" * 2501])
def test_a_line_that_is_too_long_in_a_renamed_file_holds_up_no_other(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.setattr(following, "CHUNK", 1000)
    gateway.file.write_bytes(data)
    told: list[Rejected] = []
    assert gateway.prompts_and(told) == []
    gateway.file.rename(gateway.file.with_name("usage.jsonl.1"))
    gateway.write(chat(1))
    assert [n for _ in range(5) for n in gateway.prompts_and(told)] == [1]
    assert [one.symbol for one in told] == ["usage.jsonl, line 1"]


def test_a_long_file_is_read_in_parts(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "CHUNK", 1000)
    gateway.write(*(chat(number) for number in range(50)))
    found, more = gateway.prompts(), gateway.prompts()
    gateway.start()
    assert gateway.prompts() == more, "it goes on within the file"
    while more:
        assert len(more) < 10
        found += more
        more = gateway.prompts()
    assert found == list(range(50))


def late(told: list[Any]) -> list[bool]:
    """Whether the processor has each of these for late, in their order."""
    window = TOKEN_USAGE.history(TOKEN_USAGE.window)
    found = []
    for event in told:
        found.append(bool(TOKEN_USAGE.derive(event, window)["late"]))
        window.add(event.observed_at, TOKEN_USAGE.value(event))
    return found


@pytest.mark.parametrize("interval", [1, 15, 60])
def test_no_answer_is_late_however_long_it_took(gateway: Gateway, interval: int) -> None:
    """One begins each second; each third takes 45 s, and its line comes when it has ended."""
    told: list[Any] = []
    for second in range(240):
        gateway.now = CREATED + second
        if second % 3 or not second:
            gateway.write(chat(second))
        if second > 45 and not (second - 45) % 3:
            gateway.write(chat(second - 45))
        if not second % interval:
            told += gateway.poll().events
    assert len(told) > 100
    assert not any(late(told))
    times = [event.observed_at for event in told]
    assert times == sorted(times)


@pytest.mark.parametrize("interval", [1, 15, 60])
def test_no_answer_is_late_that_is_waited_for(gateway: Gateway, interval: int) -> None:
    """Nothing says which part of a stream is the last, and others end meanwhile."""
    told: list[Any] = []
    for second in range(200):
        gateway.now = CREATED + second
        if second < 120:
            gateway.write(chat(1000 + second, created=CREATED + second))
        if second in (20, 24, 30):
            gateway.write(part(20, second, created=CREATED + 20))
        if not second % interval:
            told += gateway.poll().events
    assert len(told) == 121
    assert not any(late(told))


def test_what_began_long_before_the_lines_before_it_is_of_its_own_time(gateway: Gateway) -> None:
    """Files that were put together in any order are no answers that took days."""
    gateway.now += 5000
    gateway.write(chat(5000), chat(1), chat(4999), chat(4400), chat(4399))
    times = [event.observed_at.timestamp() - CREATED for event in gateway.poll().events]
    assert times == [5000, 1, 5000, 5000, 4399]


@pytest.mark.parametrize(("ahead", "of_others"), [(62.5, True), (90, False)])
def test_a_time_that_is_ahead_of_all_clocks_is_of_no_other_answer(
    gateway: Gateway, ahead: float, of_others: bool
) -> None:
    gateway.write(chat(9, created=CREATED + ahead), chat(1))
    times = [event.observed_at.timestamp() - CREATED for event in gateway.poll().events]
    assert times == [ahead, ahead if of_others else 1]


def test_the_time_by_which_an_answer_had_ended_is_kept(gateway: Gateway) -> None:
    gateway.write(chat(2))
    gateway.poll()
    gateway.poll()
    gateway.write(chat(1))
    (event,) = gateway.poll().events
    gateway.start()
    (again,) = gateway.poll().events
    assert again == event
    assert again.observed_at.timestamp() == CREATED + 2


def test_an_answer_whose_line_comes_again_is_the_same_event(gateway: Gateway) -> None:
    """As where lines are shipped at least once."""
    for number in (1, 2, 1):
        gateway.write(chat(number))
    first, _, again = gateway.poll().events
    assert again.event_id == first.event_id
    assert between_events(TOKEN_USAGE, Taken(first, None), Taken(again, None)) is None


def test_two_answers_of_one_id_are_two(gateway: Gateway) -> None:
    """Also while both wait behind a stream."""
    gateway.write(part(10, 1), chat(1, id="x"), chat(2, id="x"))
    gateway.now += 20
    assert gateway.prompts() == []
    gateway.now += 20
    assert gateway.prompts() == [10, 1, 2]
    gateway.write(chat(3), chat(4), part(11, 1), chat(5, id="x"), chat(6, id="y"))
    assert gateway.prompts() == [3, 4]
    gateway.write(chat(7, id="x"), chat(8, id="y"))
    gateway.now += 20
    assert gateway.prompts() == [11, 5, 6, 7, 8]


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
    told = said(line(answer))
    if isinstance(told, Told):
        found = told.event
        assert found
        assert found.prompt_tokens in answer["usage"].values()
        if found.observed_at.year >= 1900 and found.observed_at <= found.produced_at:
            assert decoder(TOKEN_USAGE)(msgspec.json.encode(found)) == found


@given(st.binary(), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_any_bytes_spoil_no_other_line(data: bytes, end: bytes) -> None:
    """Only a byte order mark at the beginning, and a bare brace, say something of what follows."""
    with TemporaryDirectory() as directory:
        gateway = Gateway(Path(directory))
        gateway.write(chat(1), data, b"", chat(2), end=end)
        assert [n for _ in range(3) for n in gateway.prompts()] == [1, 2]
        gateway.write(chat(3), end=end)
        assert gateway.prompts() == [3]


TOKENS = {
    "text": '"5"',
    "a float": "5.0",
    "text of a float": '" 5.0 "',
    "an exponent": "5e0",
}


@pytest.mark.parametrize("text", TOKENS.values(), ids=TOKENS)
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
def test_tokens_are_taken(text: str, name: str) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 5}
    data = line(chat(5, usage=usage)).replace(f'"{name}": 5'.encode(), f'"{name}": {text}'.encode())
    found = said(data)
    assert isinstance(found, Told), found
    assert found.event
    assert (found.event.prompt_tokens, found.event.completion_tokens) == (5, 5)
    assert found.event.event_id == event(chat(5)).event_id


def test_no_completion_is_no_tokens() -> None:
    for usage in ({"prompt_tokens": 5, "completion_tokens": None}, {"input_tokens": 5}):
        assert event(chat(5, usage=usage)).completion_tokens == 0


TIMES = {
    "seconds": CREATED,
    "seconds in a float": float(CREATED),
    "seconds in text": str(CREATED),
    "milliseconds": CREATED * 1000,
    "microseconds": CREATED * 1_000_000,
    "nanoseconds": CREATED * 1_000_000_000,
    "JavaScript": "2026-09-21T14:13:20.000Z",
    "pandas": "2026-09-21 14:13:20+00:00",
    "another offset": "2026-09-21T16:13:20+02:00",
}


@pytest.mark.parametrize("created", TIMES.values(), ids=TIMES)
def test_a_time_is_taken(created: Any) -> None:
    for answer in (chat(0, created=created), chat(0, created_at=created)):
        if "created_at" in answer:
            del answer["created"]
        assert event(answer).observed_at == datetime.fromtimestamp(CREATED, UTC)


def test_a_time_long_ago_is_taken() -> None:
    for created in (951_868_800, 951_868_800_000, "2000-03-01T00:00:00Z"):
        assert event(chat(5, created=created)).observed_at == datetime(2000, 3, 1, tzinfo=UTC)


def test_a_fraction_of_a_second_is_what_it_was() -> None:
    """An id is made of it: what is read again after an update is the same event."""
    for thousandth in range(1000):
        created = CREATED + thousandth / 1000
        truncated = datetime.fromtimestamp(int(created * 1000) / 1000, UTC)
        assert event(chat(5, created=created)).observed_at == truncated


@pytest.mark.parametrize(
    ("latency", "value"),
    [('"120.5"', 120.5), ("NaN", None), ('"NaN"', None), ('""', None), ('"null"', None)],
)
def test_a_latency_is_taken(latency: str, value: float | None) -> None:
    found = said(line(chat(5, latency_ms=1)).replace(b": 1}", f": {latency}}}".encode()))
    assert isinstance(found, Told), found
    assert found.event
    assert found.event.latency_ms == value


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (line(chat(5, usage={"prompt_tokens": "1,234"})), "`prompt_tokens` is '1,234', which is"),
        (line(chat(5, usage={"prompt_tokens": 5.5})), "`$.prompt_tokens`"),
        (line(chat(5, usage={"prompt_tokens": 10**400})), "prompt_tokens"),
        (line(chat(5, latency_ms="12 ms")), "`latency_ms` is '12 ms', which is no number"),
        (line(chat(5, latency_ms=10**400)), "latency_ms"),
        (line(chat(5, latency_ms=float("inf"))), "`latency_ms` is inf, which is no number: send"),
        (line(chat(5, created="2026-09-21T14:13:20")), "`created` lacks its offset from UTC"),
        (line(chat(5, created=0)), "`created` is 0: a number is a Unix time since 2000"),
        (line(chat(5, created=639 * 10**15)), "`created` is 639000000000000000: a number is"),
        (line(chat(5, created=True)), "`created` is no time"),
        (line(chat(5, created=None)), "it has no time"),
        (line(chat(5, model="llama ")), "`model` is 'llama ': it must not begin or end with"),
        (line(chat(5))[:-1] + b', "model": "other"}', "`model` is there twice: send it once"),
        (
            line(chat(5)).replace(
                b'{"prompt_tokens": 5', b'{"prompt_tokens": 5, "prompt_tokens": 6'
            ),
            "`prompt_tokens` is there twice",
        ),
        (b"{" * 5000, "it is no JSON"),
        (b"[" * 100_000, "it is no JSON"),
        (json.dumps(chat(5)).encode("utf-16-le"), "write all of the file in UTF-8"),
        (b"prompt_tokens,completion_tokens", "it is no JSON: JSON is malformed"),
        (b'"' + b"x" * 1000 + b'\x1b[31m bearer abcdefghijklmnop1234"', "it is no JSON"),
    ],
)
def test_what_is_not_understood_is_refused_in_words(data: bytes, reason: str) -> None:
    found = said(data)
    assert isinstance(found, Rejected)
    assert found.symbol == "usage.jsonl, line 1"
    assert reason in found.reason
    assert len(found.reason) <= 200


def test_a_name_that_is_twice_in_what_is_not_read_is_no_fault() -> None:
    """Old completions have an object of tokens, of which two may look the same."""
    data = line(chat(5, choices=[{"logprobs": 1}])).replace(b"1}", b'{"\\ufffd": 1, "\\ufffd": 2}}')
    assert isinstance(said(data), Told)


A, B = json.dumps(chat(1)), json.dumps(chat(2))
NEAT = json.dumps(chat(1), indent=2), json.dumps(chat(2), indent=2)
FILES = {
    "lines of Windows": f"{A}\r\n{B}\r\n",
    "lines of old Macs": f"{A}\r{B}\r",
    "lines of several": f"{A}\r\r\n\n{B}\n\r",
    "values of old Macs that are indented": f"{NEAT[0]}\n{NEAT[1]}\n".replace("\n", "\r"),
    "a stream of old Macs": f"event: message\rid: 1\rdata: {A}\r\rdata:{B}\r\rdata: [DONE]\r\r",
    "an array in a line": f"[{A}, {B}]\n",
    "an array over lines": f"[\n{A},\n{B}\n]\n",
    "an array as PostgreSQL writes it": f"[{A}, \n {B}]\n",
    "an array as PostgreSQL writes it, without end": f"[{A}, \n {B}]",
    "an array whose end has none": json.dumps([chat(1), chat(2)]),
    "an array that is indented": json.dumps([chat(1), chat(2)], indent=2),
    "values that are indented": f"{NEAT[0]}\n{NEAT[1]}\n",
    "values with tabs": json.dumps(chat(1), indent="\t") + "\n" + B + "\n",
    "a stream": f"event: message\nid: 1\ndata: {A}\n\n: wait\ndata:{B}\n\ndata: [DONE]\n\n",
    "a mark before each": f"\ufeff{A}\n\ufeff{B}\n",
    "no end of the last line": f"{A}\n{B}",
    # In UTF-16 the bytes of a line end are in there, in no place of a character.
    "any characters": json.dumps(
        chat(1, note="\u0a05\u0100\u010a\u0a0a\u0d05\u0100\u010d\u0d0d"), ensure_ascii=False
    )
    + f"\n{B}\n",
    "spaces": f"\n  {A}  \n \n\t{B}\n\n",
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_a_file_is_taken(gateway: Gateway, text: str, encoding: str) -> None:
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    gateway.file.write_bytes((mark + text).encode(encoding))
    told: list[Rejected] = []
    assert [n for _ in range(3) for n in gateway.prompts_and(told)] == [1, 2]
    gateway.start()
    assert gateway.prompts_and(told) == []
    assert told == []


def test_a_last_line_without_end_is_read_when_nothing_is_written_any_more(
    gateway: Gateway,
) -> None:
    whole = line(chat(1))
    for data, quiet, found in (
        (whole[:-1], 11, []),
        (whole, 0, []),
        (whole, 9, []),
        (whole, 10, [1]),
    ):
        gateway.file.write_bytes(data)
        at = gateway.now - quiet
        os.utime(gateway.file, (at, at))
        told: list[Rejected] = []
        assert (gateway.prompts_and(told), told) == (found, [])


@pytest.mark.parametrize("indent", [2, "\t"])
def test_an_indented_value_without_end_is_read_when_nothing_is_written_any_more(
    gateway: Gateway, indent: int | str
) -> None:
    first, second = (json.dumps(chat(number), indent=indent).encode() for number in (1, 2))
    for text, quiet, found in (
        (first, 9, []),
        (first, 11, [1]),
        (first + b"\n" + second[:-2], 11, []),
        (first + b"\n" + second[:-1], 11, []),
        (first + b"\n" + second, 9, []),
        (first + b"\n" + second, 11, [2]),
        (first + b"\n" + second, 11, []),
        (first + b"\n" + second + b"\n" + line(chat(3)), 11, [3]),
    ):
        gateway.file.write_bytes(text)
        at = gateway.now - quiet
        os.utime(gateway.file, (at, at))
        told: list[Rejected] = []
        assert (gateway.prompts_and(told), told) == (found, [])


@pytest.mark.parametrize(
    ("begun", "rest"), [(b"[", line(chat(2)) + b"]"), (b"event: mess", b"age\n" + line(chat(2)))]
)
def test_what_says_nothing_yet_waits_for_the_end_of_its_line(
    gateway: Gateway, begun: bytes, rest: bytes
) -> None:
    gateway.write(chat(1), begun, end=b"")
    at = gateway.now - 11
    os.utime(gateway.file, (at, at))
    told: list[Rejected] = []
    assert gateway.prompts_and(told) == [1]
    gateway.write(rest)
    assert gateway.prompts_and(told) == [2]
    assert not told


def test_an_indented_value_may_end_in_a_line_with_others(gateway: Gateway) -> None:
    gateway.write(NEAT[0].removesuffix("\n}").encode(), end=b"}")
    at = gateway.now - 11
    os.utime(gateway.file, (at, at))
    assert gateway.prompts() == [1]
    gateway.write(b"", chat(2))
    assert gateway.prompts() == [2]


def test_an_indented_value_without_end_is_told_when_its_file_is_over(gateway: Gateway) -> None:
    gateway.write(chat(1))
    assert gateway.prompts() == [1]
    gateway.write(b"{", b'  "id": "x",')
    renamed = gateway.file.with_name("usage.jsonl.1")
    gateway.file.rename(renamed)
    at = gateway.now - 11
    os.utime(renamed, (at, at))
    gateway.write(chat(2))
    told: list[Rejected] = []
    assert [n for _ in range(2) for n in gateway.prompts_and(told)] == [2]
    assert [one.symbol for one in told] == ["usage.jsonl.1, line 2"]


def test_a_line_is_not_too_long_because_others_were_read_before_it(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.write(chat(1))
    assert gateway.prompts() == [1]
    gateway.write(*(chat(number) for number in range(2, 5)))
    renamed = gateway.file.with_name("usage.jsonl.1")
    gateway.file.rename(renamed)
    gateway.write(chat(5), chat(6))
    monkeypatch.setattr(following, "CHUNK", 4 * len(line(chat(1))) // 2 * 2)
    told: list[Rejected] = []
    assert [gateway.prompts_and(told) for _ in range(3)] == [[2, 3, 4], [5, 6], []]
    assert told == []


def test_what_comes_part_by_part_is_the_same(gateway: Gateway) -> None:
    text = json.dumps([chat(n) for n in range(4)], indent=2).encode()
    found, told = [], []  # type: ignore[var-annotated]
    for at in range(0, len(text), 50):
        with gateway.file.open("ab") as file:
            file.write(text[at : at + 50])
        found += gateway.prompts_and(told)
    assert (found, told) == ([0, 1, 2, 3], [])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_line_whose_end_comes_byte_by_byte_is_one(
    gateway: Gateway, end: str, encoding: str
) -> None:
    data = "".join(text + end for text in (A, "bad", B, "", "worse")).encode(encoding)
    breaks = [at for at, byte in enumerate(data) if byte in b"\r\n"]
    found, told = [], []  # type: ignore[var-annotated]
    for at in sorted({*breaks, *(at + 1 for at in breaks), len(data)}):
        gateway.file.write_bytes(data[:at])
        for _ in range(2):
            found += gateway.prompts_and(told)
        gateway.start()
    assert found == [1, 2]
    assert {one.symbol for one in told} == {"usage.jsonl, line 2", "usage.jsonl, line 5"}


def test_a_line_between_the_two_bytes_of_its_end_is_the_event_that_it_is_later(
    gateway: Gateway,
) -> None:
    gateway.write(chat(1, id=None), end=b"\r")
    (early,) = gateway.poll().events
    gateway.start()
    gateway.write(end=b"\n")
    gateway.write(chat(2, id=None), end=b"\r\n")
    again, other = gateway.poll().events
    assert early == again
    assert other.event_id != again.event_id


def test_a_line_that_is_too_long_ends_with_a_cr(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "CHUNK", 400)
    gateway.write(chat(1), b"x" * 1000, chat(2), b"bad", end=b"")
    gateway.file.write_bytes(gateway.file.read_bytes().replace(b"\n", b"\r") + b"\r")
    told: list[Rejected] = []
    assert [n for _ in range(8) for n in gateway.prompts_and(told)] == [1, 2]
    assert [one.symbol for one in told] == ["usage.jsonl, line 2", "usage.jsonl, line 4"]


def test_an_indented_answer_without_end_spoils_none_behind_it(gateway: Gateway) -> None:
    half = NEAT[0][: len(NEAT[0]) // 2].rsplit("\n", 1)[0].encode()
    gateway.write(chat(7), half, chat(8), half, NEAT[1].encode(), half)
    told: list[Rejected] = []
    assert gateway.prompts_and(told) == [7, 8, 2]
    assert [one.symbol.split()[-1] for one in told] == ["2", str(2 + half.count(b"\n") + 2)]
    assert gateway.prompts_and(told) == []
    gateway.write(chat(9))
    assert gateway.prompts_and(told) == [9]
    assert len(told) == 3


@pytest.mark.parametrize(
    "answers",
    [[[chat(5, id=None)] * 2], [json.dumps(chat(5, id=None), indent=2).encode()] * 2],
    ids=["an array", "indented"],
)
def test_answers_without_an_id_are_several(gateway: Gateway, answers: list[Any]) -> None:
    gateway.write(*answers)
    assert len({one.event_id for one in gateway.poll().events}) == 2


def test_what_is_refused_is_told_with_its_line_across_restarts(gateway: Gateway) -> None:
    gateway.write(chat(1), b"{", b"", [chat(2), 5])
    told: list[Rejected] = []
    gateway.prompts_and(told)
    gateway.prompts_and(told)
    gateway.start()
    gateway.write(chat(3), b"bad")
    for _ in range(3):
        gateway.prompts_and(told)
        gateway.start()
    lines = ["line 2", "line 4, item 2", "line 6", "line 6", "line 6"]
    assert [one.symbol for one in told] == [f"usage.jsonl, {place}" for place in lines]
    gateway.prompts()
    gateway.prompts()
    gateway.start()
    assert gateway.poll().rejected == []


def test_lines_that_an_earlier_version_did_not_count_have_their_byte(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "CHUNK", 1000)
    gateway.write(chat(1))
    gateway.prompts()
    gateway.prompts()
    older = json.loads(gateway.state.read_bytes())
    for name in ("lines", "inside"):
        del older["marks"][0][name]
    gateway.state.write_text(json.dumps(older))
    gateway.start()
    gateway.write(b"bad", b"x" * 1001)
    told = [one.symbol for _ in range(3) for one in gateway.poll().rejected]
    begin = len(line(chat(1))) + 1
    assert told == [f"usage.jsonl, byte {at}" for at in (begin, begin + len(b"bad\n"))]
