"""OpenAI-compatible answers: the tokens that each answer says it used.

A gateway appends the answers to a file, one JSON object per line: those of chat and text
completions, of embeddings, and of the Responses API, which uses other names; also streamed ones,
with each part on a line. The position in the file survives a restart, as do held parts of streams.
It is stored only after the events read before are acknowledged: after a crash some lines are read
again, and become the same events, because the id is the answer's. Unreadable lines are reported
with their number, and skipped.

An answer has its start time, but its line is written when it has ended; by then others may have
started whose lines came earlier. So the time of its tokens is the latest time in its line or an
earlier one. If no earlier line has a later time, this is its start time.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from millrace.config import Settings
from millrace.events import CLOCKS
from millrace.feeds.token_usage import TokenUsage
from millrace.runtime.state_files import load_state, write_atomically
from millrace.sources.answers import normalise
from millrace.sources.base import Batch, Permanent, Rejected, Transient
from millrace.sources.following import Following, Reading
from millrace.sources.gpus import ServingGpu, batch
from millrace.sources.marks import Mark
from millrace.sources.streams import Held, Told, last_of_each

log = structlog.get_logger(__name__)

LONGEST_SECONDS = 600.0
"""An answer that started longer ago keeps its own time: clients wait at most this long for an
answer, and files may be concatenated in any order."""


class Position(msgspec.Struct, frozen=True):
    """The positions in the files, and parts of answers that are not published yet."""

    inode: int = 0
    offset: int = 0
    tail: str = ""
    held: dict[str, Held] = {}
    """Parts of streamed answers, by answer, and the answers that wait behind them."""
    marks: list[Mark] = []
    """The mark of each file; if empty, the mark in the first three fields."""
    written: int = 0
    newest: float = 0.0
    """The latest time in any line, in seconds since 1970."""


class OpenaiUsage:
    """The source: each poll reads new lines of the file, at most CHUNK bytes."""

    feed = "token_usage"
    units: tuple[str, ...] = ("usage",)
    shortest_interval = 0.0
    endless = True
    simulated = False
    budget_left = None

    def __init__(
        self, path: Path, place: ServingGpu, state: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._following = Following(path)
        self._place = place
        self._state = state
        self._clock = clock
        self._position = self._kept = self._load()

    def fetch(self, unit: str) -> Batch:  # noqa: ARG002 - there is one unit
        """The events of complete lines. A call implies that the previous ones are published."""
        now = self._clock()
        try:
            if self._position == Position():
                # From now on the first file, also if it is rotated, counts as later than files
                # beside it.
                self._position = Position(written=self._following.begun())
            if self._position != self._kept:
                write_atomically(self._state, msgspec.json.encode(self._position))
                self._kept = self._position
            position = self._position
            reading = self._following.look(position.marks, position.written, now)
        except FileNotFoundError:
            if not self._position.held:
                raise Transient(f"there is no file {self._path} yet") from None
            position = self._position
            reading = Reading([], position.marks, position.written, [])
        except OSError as error:
            why = error.strerror or error
            raise Permanent(f"cannot read {error.filename or self._path}: {why}") from None
        newest = position.newest
        told: list[Told] = []
        rejected = list(reading.lost)
        for record in reading.records:
            for one in normalise(record, self._place, now):
                if isinstance(one, Rejected):
                    rejected.append(one)
                elif one.event is None:
                    told.append(one)
                else:
                    event, newest = ended(one.event, newest, now)
                    told.append(one._replace(event=event))
        if doubts := [one.doubt for one in told if one.doubt]:
            log.warning("usage does not add up: its parts count", lines=len(doubts), one=doubts[0])
        events, held = last_of_each(told, position.held, now)
        brought = replace(batch([*events, *rejected], simulated=False), has_more=reading.has_more)
        self._position = Position(
            held=held, marks=reading.marks, written=reading.written, newest=newest
        )
        return brought

    def _load(self) -> Position:
        forgotten = (
            f"{self._path.name} is read from its start, and what was renamed before is not read"
        )
        kept = load_state(self._state, Position, forgotten)
        if kept is None:
            return Position()
        if kept.inode:
            mark = Mark(kept.inode, kept.offset, kept.tail)
            return Position(held=kept.held, marks=[mark])
        return kept


def from_settings(settings: Settings) -> OpenaiUsage:
    """The configured source."""
    return OpenaiUsage(
        settings.producer_usage_file,
        ServingGpu.from_settings(settings),
        settings.producer_state_dir / "usage.json",
    )


def ended(event: TokenUsage, newest: float, now: float) -> tuple[TokenUsage, float]:
    """The event with the time by which its answer had ended, and the latest time so far."""
    began = event.observed_at.timestamp()
    if began <= newest <= began + LONGEST_SECONDS:
        end = datetime.fromtimestamp(newest, UTC)
        return msgspec.structs.replace(event, observed_at=end), newest
    # A time ahead of all clocks does not apply to other answers.
    return event, max(newest, began) if began <= now + CLOCKS.total_seconds() else newest
