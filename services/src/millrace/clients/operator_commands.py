"""An operator's commands to the processor about a standing partition.

A command is a commit of a consumer group without members: its metadata is the command, and Kafka's
ACLs control who may give it. The partition's next command replaces it.
"""

from datetime import datetime

import msgspec

GROUP = "operator-orders"


class Command(msgspec.Struct, frozen=True):
    """A command about the records from offset `first` to `end`, exclusive."""

    first: int
    end: int
    skip: bool
    """The records become dead letters unread. Otherwise they are read, however many are bad."""
    reason: str
    by: str
    at: datetime

    def covers(self, offset: int) -> bool:
        """Whether the command is about this record."""
        return self.first <= offset < self.end


def written(command: Command) -> str:
    """The command as metadata of a commit."""
    return msgspec.json.encode(command).decode()


def read(text: str) -> Command | None:
    """The command in a commit's metadata, if any."""
    try:
        return msgspec.json.decode(text, type=Command)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
