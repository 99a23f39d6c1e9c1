"""What a processor notes beside each offset that it commits."""

import msgspec

from millrace.processor.breaker import Tally


class Note(msgspec.Struct, frozen=True):
    """What is written beside a committed offset."""

    records: int
    bad: int
    at: float
    """When, in seconds since 1970: of several partitions' notes the last one counts."""
    log: str | None = None
    """The id of the log that the offset is in."""


def written(tally: Tally, at: float, log_id: str | None) -> str:
    """The text of the commit; `at` in seconds since 1970."""
    return msgspec.json.encode(Note(*tally, at=at, log=log_id)).decode()


def read(text: str | None) -> Note | None:
    """What the text of a commit says, if it is one of these."""
    try:
        return msgspec.json.decode(text or "", type=Note)
    except msgspec.DecodeError:
        return None  # an earlier version writes none
