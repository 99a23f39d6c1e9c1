"""The kinds of failure, which are all that decides what happens next."""

from millrace.errors import MillraceError


class Transient(Exception):
    """The network, an election, a full disk: the same may succeed later. No dead letter."""


class Permanent(MillraceError):
    """Configuration or authorisation: trying again cannot help. The processor stops and says so."""


class Unknown(Exception):
    """No kind is known for it. After a few attempts the feed that met it stands still, alone."""


class Stuck(Exception):
    """A partition that cannot be read at an offset."""

    def __init__(self, partition: tuple[str, int], offset: int, reason: str) -> None:
        super().__init__(reason)
        self.partition, self.offset = partition, offset


class Abandoned(Exception):
    """A batch that was not complete when it had to be left: it is read again."""


class BadRecord(Exception):
    """A record that cannot become a document, whatever is tried: a dead letter."""

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(reason)
        self.stage = stage
