"""What an operator tells the processor about a partition that stands still.

A command is a commit of a consumer group that nobody is in: its text says what is to be done, and
Kafka's access rules say who may give it. Its partition's next command takes its place.
"""

from datetime import datetime

import msgspec

GROUP = "operator-orders"


class Command(msgspec.Struct, frozen=True):
    """About the records from offset `first` to before `end`."""

    first: int
    end: int
    skip: bool
    """They become dead letters as they are. Otherwise they are read, however many are bad."""
    reason: str
    by: str
    at: datetime

    def covers(self, offset: int) -> bool:
        """Whether it is about this record."""
        return self.first <= offset < self.end


def written(command: Command) -> str:
    """The text of the commit."""
    return msgspec.json.encode(command).decode()


def read(text: str) -> Command | None:
    """The command in the text of a commit, if one is there."""
    try:
        return msgspec.json.decode(text, type=Command)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
