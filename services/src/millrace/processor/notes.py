"""The metadata that a processor stores with each committed offset."""

import msgspec

from millrace.processor.breaker import Tally


class Note(msgspec.Struct, frozen=True):
    """The metadata of a committed offset."""

    records: int
    bad: int
    at: float
    """Time in seconds since 1970; of several partitions' notes the latest counts."""
    log: str | None = None
    """The id of the offset's log."""


def written(tally: Tally, at: float, log_id: str | None) -> str:
    """The commit's metadata as text; `at` is in seconds since 1970."""
    return msgspec.json.encode(Note(*tally, at=at, log=log_id)).decode()


def read(text: str | None) -> Note | None:
    """The note in a commit's metadata, if it has one."""
    try:
        return msgspec.json.decode(text or "", type=Note)
    except msgspec.DecodeError:
        return None  # written by an earlier version
