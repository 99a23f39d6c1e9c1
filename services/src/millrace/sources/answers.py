"""The usage in an OpenAI-compatible answer, in the forms in which gateways write it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from millrace.feeds import token_usage
from millrace.parsing import scalars
from millrace.parsing.json_text import Unreadable, single, value
from millrace.runtime.redaction import shown
from millrace.sources.base import Rejected
from millrace.sources.gpus import ServingGpu, usage, whole_milliseconds
from millrace.sources.jsonlines import Record
from millrace.sources.streams import Told

MAX_ID = 500
READ = ("prompt_tokens", "input_tokens")
WRITTEN = ("completion_tokens", "output_tokens")
"""The names of the numbers of tokens read and written."""
CACHED = ("cached_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
"""The names of the numbers of cached tokens."""


class Unusable(ValueError):
    """An answer whose usage is not believed; that of its earlier parts is then incomplete."""

    def __init__(self, reason: object, answer: str) -> None:
        super().__init__(str(reason))
        self.answer = answer


def normalise(record: Record, place: ServingGpu, now: float) -> Iterator[Told | Rejected]:
    """The usage of the answers in a record, or of parts of one; some have none."""
    digest = sha256(record.raw).hexdigest()
    try:
        found = value(record.text)
    except Unreadable as error:
        yield Rejected(record.where, shown(_hint(record.text) or f"it is no JSON: {error}"))
        return
    many = isinstance(found, list)
    for number, answer in enumerate(found if many else [found]):
        where = f"{record.where}, item {number + 1}" if many else record.where
        # Answers without an id are distinguished by their positions.
        at = f"{record.offset}.{number}" if many else f"{record.offset}"
        try:
            told = _told(answer, f"{at}:{digest}", place, now)
        except ValueError as error:
            yield Rejected(where, shown(error))
            if isinstance(error, Unusable):
                yield Told(None, error.answer, is_last=True)
        else:
            if told:
                yield told


def _hint(text: bytes) -> str | None:
    if b"\0" in text:
        return "it has zero bytes, as UTF-16 has: write all of the file in UTF-8"
    return None


def _told(answer: Any, place_in_file: str, place: ServingGpu, now: float) -> Told | None:
    if not isinstance(answer, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - it is data
    single(answer)
    is_part = _is_part(answer)
    if _is_event(answer):
        # The last event of a Responses API stream contains the whole response.
        inner = answer.get("response")
        answer = single(inner) if isinstance(inner, dict) else {}
        is_part = not answer.get("usage")
    used = answer.get("usage")
    if used is None and isinstance(answer.get("x_groq"), dict):
        used = answer["x_groq"].get("usage")
    if is_part and (used is None or used == {}):
        return None
    identity = answer.get("id")
    if not isinstance(identity, str) or not 0 < len(identity) <= MAX_ID:
        identity = place_in_file
    # The id is stored with held parts, and a lone surrogate, which JSON allows, cannot be encoded.
    identity = identity.encode(errors="replace").decode()
    # Some servers give each part its own time: only the id shows which answer a part belongs to.
    of = {"host": place.host, "gpu_index": place.gpu_index, "model": answer.get("model")}
    key = f"{token_usage.symbol_of(of)}\n{identity}"
    is_last = not is_part or answer.get("choices") == []
    try:
        prompt, completion, doubt = _tokens(used)
        fields = {
            "model": answer.get("model"),
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "latency_ms": _of("latency_ms", answer, _number_if_any),
        }
        at = _time(answer)
    except ValueError as error:
        raise Unusable(error, key) from None
    event = usage("openai_usage", place, fields, identity, now, simulated=False, observed_at=at)
    if isinstance(event, Rejected):
        raise Unusable(event.reason, key)
    return Told(event, key, is_last, doubt)


def _is_event(answer: Mapping[str, Any]) -> bool:
    """Whether the answer is an event of a Responses API stream."""
    kind = answer.get("type")
    return isinstance(kind, str) and (kind.startswith("response.") or kind == "error")


def _is_part(answer: Mapping[str, Any]) -> bool:
    """Whether the answer is a part of a completions stream, of which more may follow."""
    kind = str(answer.get("object"))
    if kind.endswith(".chunk"):
        return True
    if kind == "text_completion":
        # A part and a whole answer have the same type; only a whole one has a finish reason.
        choices = answer.get("choices")
        ends = [
            choice.get("finish_reason")
            for choice in (choices if isinstance(choices, list) else [])
            if isinstance(choice, dict)
        ]
        return None in ends or not answer.get("usage")
    # The first part of an Azure stream, with content filter results.
    return kind == "" and answer.get("choices") == []


def _tokens(used: Any) -> tuple[Any, Any, str | None]:
    """Tokens read and written, and any inconsistency. An embedding writes none."""
    if isinstance(used, Mapping):
        single(used)
        if not used.keys().isdisjoint(READ):
            read, written = _count(READ, used), _count(WRITTEN, used)
            return _summed(used, read, written)
    raise ValueError("it has no usage with prompt_tokens or input_tokens")


def _summed(used: Mapping[str, Any], read: Any, written: Any) -> tuple[Any, Any, str | None]:
    """Tokens read and written, including those only in the total, and any inconsistency.

    Some gateways omit reasoning or cached tokens from the number that they belong to, and have them
    only in the details.
    """
    total, parts = _if_whole(used.get("total_tokens")), (read, 0 if written is None else written)
    hidden = total - sum(parts) if total and all(isinstance(one, int) for one in parts) else 0
    if hidden and hidden in _named(used, (*WRITTEN, None), ("reasoning_tokens",)):
        return read, parts[1] + hidden, None
    if hidden and hidden in _named(used, (*READ, None), CACHED):
        return read + hidden, *parts[1:], None
    if hidden > 0 and written is None:
        raise ValueError(
            f"it has no completion_tokens, and `total_tokens` is {total}, of which {read} were"
            " read: write both numbers"
        )
    doubt = f"`total_tokens` is {total}, of {read} read and {parts[1]} written" if hidden else None
    return *parts, doubt


def _named(
    used: Mapping[str, Any], details: Sequence[str | None], names: Sequence[str]
) -> set[int]:
    """The numbers of these names in the details, otherwise in the usage itself, and their sum."""
    found = [used if name is None else used.get(f"{name}_details") for name in details]
    numbers = [
        number
        for one in found
        if isinstance(one, Mapping)
        for name in names
        if (number := _if_whole(one.get(name)))
    ]
    return {*numbers, sum(numbers)}


def _if_whole(found: Any) -> int:
    """A number of minor importance; 0 if it is invalid."""
    try:
        number = _whole(found)
    except ValueError:
        return 0
    return number if type(number) is int else 0


def _count(names: Sequence[str], used: Mapping[str, Any]) -> Any:
    """The number with one of these names. Some gateways write both names and fill only one."""
    found = {name: _of(name, used, _whole) for name in names if used.get(name) is not None}
    filled = {name: value for name, value in found.items() if value != 0} or found
    if len({repr(value) for value in filled.values()}) > 1:
        said = " and ".join(f"`{name}` is {value!r}" for name, value in filled.items())
        raise ValueError(f"{said}: send one of them")
    return next(iter(filled.values()), None)


def _time(answer: Mapping[str, Any]) -> datetime:
    """The creation time in the answer."""
    name = "created" if "created" in answer else "created_at"
    if answer.get(name) is None:
        raise ValueError("it has no time: neither created nor created_at")
    return whole_milliseconds(_of(name, answer, scalars.time).timestamp())


def _of(name: str, fields: Mapping[str, Any], read: Any) -> Any:
    """The converted value of a field; a ValueError names the field."""
    try:
        return read(fields.get(name))
    except ValueError as error:
        raise ValueError(f"`{name}` {error}") from None


def _whole(found: Any) -> Any:
    return scalars.number(found, whole=True)


def _number_if_any(found: Any) -> Any:
    return None if scalars.is_missing(found) else scalars.number(found, or_null=True)
