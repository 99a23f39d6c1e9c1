"""Where in the log a table ends: in each snapshot, so that rows and offsets are one commit."""

import msgspec

PROPERTY = "millrace.offsets"
"""The snapshot's property."""


class Offsets(msgspec.Struct, frozen=True):
    """The next offset to archive of each partition of a topic, in one log of it."""

    topic: str
    log: str | None = None
    """The id of the log: see millrace.clients.topic_ids."""
    next: dict[int, int] = {}

    def moved(self, log: str, partition: int, offset: int) -> "Offsets":
        """These, with another next offset; offsets of another log are forgotten."""
        known = self.next if log == self.log else {}
        return Offsets(self.topic, log, dict(sorted({**known, partition: offset}.items())))

    def written(self) -> str:
        """The property's value."""
        return msgspec.json.encode(self).decode()


def read(text: str) -> Offsets:
    """The offsets in a property. Raises ValueError."""
    try:
        return msgspec.json.decode(text, type=Offsets)
    except msgspec.DecodeError as error:
        raise ValueError(f"{PROPERTY} is not readable: {error}") from None
