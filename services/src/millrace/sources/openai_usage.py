"""OpenAI-compatible answers: the tokens that each of them says it used.

A gateway appends the answers to a file, one JSON object a line: those of chat and text completions,
of embeddings, and of the Responses API, which has other names for the same; also what is streamed,
each part a line. How far the file is read survives a restart, as does what is held of streams. It
is written down only when what was read before is acknowledged: after a crash some lines are read
again, and are the same events, for the id is that of the answer.

A file that was renamed is read before the new one, if it lies beside it: until the new one has a
line, for a gateway goes on with the old one until it is told to reopen. One that was cut off is
read from its beginning: the bytes before the position tell whether it is the same.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from millrace.config import Settings
from millrace.redaction import shown
from millrace.sources.base import Batch, Permanent, Rejected, Transient
from millrace.sources.gpus import Place, batch, usage
from millrace.sources.streams import Held, Told, last_of_each
from millrace.state import write_atomically

BOM = b"\xef\xbb\xbf"
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
CHUNK = 4 * 1024 * 1024
TAIL = 1024
MAX_ID = 500


class Position(msgspec.Struct, frozen=True):
    """How far a file is read, and a digest of the bytes before."""

    inode: int = 0
    offset: int = 0
    tail: str = ""
    held: dict[str, Held] = {}
    """What is read of answers that are streamed, by answer."""


class OpenaiUsage:
    """The source: each poll reads what the file has more, at most CHUNK bytes."""

    feed = "token_usage"
    units: tuple[str, ...] = ("usage",)
    shortest_interval = 0.0
    endless = True
    simulated = False
    budget_left = None

    def __init__(
        self, path: Path, place: Place, state: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._place = place
        self._state = state
        self._clock = clock
        self._position = self._kept = self._load()

    def fetch(self, unit: str) -> Batch:  # noqa: ARG002 - there is one unit
        """The events of the lines that are complete. The call means that the last are published."""
        if self._position != self._kept:
            self._keep(self._position)
        try:
            lines, position = self._lines()
        except FileNotFoundError:
            if not self._position.held:
                raise Transient(f"there is no file {self._path} yet") from None
            lines, position = [], self._position
        except OSError as error:
            raise Permanent(f"cannot read {self._path}: {error.strerror}") from None
        now = self._clock()
        found = [normalise(line, self._place, now, place) for place, line in lines]
        told = (one for one in found if isinstance(one, Told))
        events, held = last_of_each(told, self._position.held, now)
        rejected = (one for one in found if isinstance(one, Rejected))
        brought = batch([*events, *rejected], simulated=False)
        self._position = msgspec.structs.replace(position, held=held)
        if not self._kept.inode and position.inode:
            # Which file was the first is known from the beginning, also if it is renamed now.
            self._keep(Position(position.inode, 0, hashlib.sha256().hexdigest()))
        return brought

    def _keep(self, position: Position) -> None:
        write_atomically(self._state, msgspec.json.encode(position))
        self._kept = position

    def _lines(self) -> tuple[list[tuple[int, bytes]], Position]:
        """Lines with their offsets, and the position behind them."""
        renamed = self._renamed()
        if renamed is None:
            with self._path.open("rb") as file:
                return self._read(file, self._position)
        # Looked at before the old file is: who has a line in a later one has left the old one.
        later = self._later(renamed)
        with renamed.open("rb") as file:
            lines, position = self._read(file, self._position, last=later is not None)
        if lines or later is None:
            return lines, position
        with later.open("rb") as file:
            return self._read(file, Position())

    def _renamed(self) -> Path | None:
        """Where the file is now whose beginning is read, if it is not in its place."""
        inode = self._position.inode
        if not inode or (self._path.exists() and self._path.stat().st_ino == inode):
            return None
        return next((path for path in self._rotated() if path.stat().st_ino == inode), None)

    def _later(self, renamed: Path) -> Path | None:
        """The file with lines that came after this one: several may have been renamed since."""
        last = renamed.stat().st_mtime_ns
        times = {path: path.stat().st_mtime_ns for path in self._rotated() if path.stat().st_size}
        later = [path for path, time in times.items() if time > last]
        if later:
            return min(later, key=times.__getitem__)
        return self._path if self._path.exists() and self._path.stat().st_size else None

    def _rotated(self) -> list[Path]:
        siblings = self._path.parent.glob(f"{self._path.name}?*")
        return [path for path in siblings if path.is_file() and path.suffix not in COMPRESSED]

    def _read(
        self, file: BinaryIO, position: Position, *, last: bool = False
    ) -> tuple[list[tuple[int, bytes]], Position]:
        """The lines behind a position; `last`: nobody will end the last line any more."""
        inode = Path(f"/proc/self/fd/{file.fileno()}").stat().st_ino
        offset = position.offset
        if inode != position.inode or _tail(file, offset) != position.tail:
            offset = 0
        file.seek(offset)
        data = file.read(CHUNK)
        end = data.rfind(b"\n") + 1
        if not end and len(data) == CHUNK:
            raise Permanent(f"the line at byte {offset} of {self._path} has no end")
        if not end and last:
            end = len(data)
        if not end:
            return [], position
        behind = Position(inode, offset + end, _tail(file, offset + end))
        lines = []
        for line in data[:end].split(b"\n"):
            if line.strip():
                lines.append((offset, line))
            offset += len(line) + 1
        return lines, behind

    def _load(self) -> Position:
        try:
            return msgspec.json.decode(self._state.read_bytes(), type=Position)
        except (FileNotFoundError, msgspec.DecodeError):
            return Position()


def from_settings(settings: Settings) -> OpenaiUsage:
    """The source as configured."""
    return OpenaiUsage(
        settings.producer_usage_file,
        Place.from_settings(settings),
        settings.producer_state_dir / "usage.json",
    )


def normalise(line: bytes, place: Place, now: float, offset: int) -> Told | Rejected | None:
    """What an answer, or a part of one, says about usage; None of a part that says nothing."""
    if offset == 0:
        line = line.removeprefix(BOM)
    try:
        answer = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Rejected(f"byte {offset}", shown(f"no JSON: {error}"))
    if not isinstance(answer, dict):
        return Rejected(f"byte {offset}", "no JSON object")
    is_part = _is_part(answer)
    if _is_event(answer):
        # What ends a stream of the Responses API has the whole response in it.
        inner = answer.get("response")
        answer = inner if isinstance(inner, dict) else {}
        is_part = not answer.get("usage")
    used = answer.get("usage")
    if is_part and (used is None or used == {}):
        return None
    try:
        prompt, completion = _tokens(used)
        observed_at = _time(answer)
    except ValueError as error:
        return Rejected(f"byte {offset}", str(error))
    identity = answer.get("id")
    if not isinstance(identity, str) or not 0 < len(identity) <= MAX_ID:
        identity = f"{offset}:{hashlib.sha256(line).hexdigest()}"
    fields = {
        "model": answer.get("model"),
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "latency_ms": answer.get("latency_ms"),
    }
    event = usage(
        "openai_usage", place, fields, identity, now, simulated=False, observed_at=observed_at
    )
    if isinstance(event, Rejected):
        return event
    # Some servers give each part a time of its own: the id alone says which answer it is of.
    return Told(event, f"{event.symbol}\n{identity}", not is_part or answer.get("choices") == [])


def _is_event(answer: Mapping[str, Any]) -> bool:
    """Whether it is an event of a stream of the Responses API."""
    kind = answer.get("type")
    return isinstance(kind, str) and (kind.startswith("response.") or kind == "error")


def _is_part(answer: Mapping[str, Any]) -> bool:
    """Whether it is a part of a stream of completions, of which more may come."""
    kind = str(answer.get("object"))
    if kind.endswith(".chunk"):
        return True
    if kind == "text_completion":
        # A part and a whole have one name, and only a whole says why it ended.
        choices = answer.get("choices")
        ends = [
            choice.get("finish_reason")
            for choice in (choices if isinstance(choices, list) else [])
            if isinstance(choice, dict)
        ]
        return None in ends or not answer.get("usage")
    # The first part of a stream of Azure, about the filters of its content.
    return kind == "" and answer.get("choices") == []


def _tokens(used: Any) -> tuple[object, object]:
    """Tokens read and written. An embedding writes none; reasoning is part of what is written."""
    if isinstance(used, Mapping):
        if "prompt_tokens" in used:
            return used["prompt_tokens"], used.get("completion_tokens", 0)
        if "input_tokens" in used:
            return used["input_tokens"], used.get("output_tokens", 0)
    raise ValueError("it has no usage with prompt_tokens or input_tokens")


def _time(answer: Mapping[str, Any]) -> datetime:
    """When the answer was made, as it says itself."""
    created = answer.get("created", answer.get("created_at"))
    try:
        if isinstance(created, int | float) and not isinstance(created, bool):
            return datetime.fromtimestamp(int(created * 1000) / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        raise ValueError("its time is out of range") from None
    raise ValueError("it has no time: neither created nor created_at")


def _tail(file: BinaryIO, offset: int) -> str:
    start = max(0, offset - TAIL)
    file.seek(start)
    tail = file.read(offset - start)
    return hashlib.sha256(tail).hexdigest() if len(tail) == offset - start else ""
