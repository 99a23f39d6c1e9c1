"""The kinds of failures, which alone decide what happens next."""

from millrace.errors import MillraceError


class Transient(Exception):
    """The network, an election, a full disk: a retry may succeed. No dead letter."""


class Permanent(MillraceError):
    """Configuration or authorisation: retries cannot help. The processor stops with the error."""


class Unknown(Exception):
    """An unknown error. After a few attempts only the affected feed stands still."""


class Stuck(Exception):
    """A partition that cannot be read at an offset."""

    def __init__(self, partition: tuple[str, int], offset: int, reason: str) -> None:
        super().__init__(reason)
        self.partition, self.offset = partition, offset


class Abandoned(Exception):
    """An incomplete batch that had to be given up: it is read again."""


class BadRecord(Exception):
    """A record that can never become a document: a dead letter."""

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(reason)
        self.stage = stage
