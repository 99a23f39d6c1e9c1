"""The kinds of kafka-python's errors, for a member of a group."""

from typing import Any

from kafka.errors import (
    AuthorizationError,
    BrokerNotAvailableError,
    CommitFailedError,
    GroupAuthorizationFailedError,
    IllegalGenerationError,
    RebalanceInProgressError,
    RetriableError,
    SaslAuthenticationFailedError,
    TopicAuthorizationFailedError,
    UnknownMemberIdError,
)

from millrace.clients.records import place
from millrace.processor.errors import Permanent, Stuck, Transient, Unknown

REFUSALS = (
    AuthorizationError,
    GroupAuthorizationFailedError,
    SaslAuthenticationFailedError,
    TopicAuthorizationFailedError,
)
PASSING = (
    AssertionError,
    BrokerNotAvailableError,
    CommitFailedError,
    IllegalGenerationError,
    OSError,
    RebalanceInProgressError,
    RetriableError,
    UnknownMemberIdError,
)


class Kinds:
    """Converts the library's errors to our kinds, which decide what happens next."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if not isinstance(error, Exception):
            return
        if found := place(error):
            raise Stuck(tuple(found[0]), found[1], f"{error!r}") from error
        if isinstance(error, REFUSALS):
            raise Permanent(f"Kafka refuses to {self._what}: {error!r}") from error
        kind = Transient if isinstance(error, PASSING) else Unknown
        raise kind(f"Kafka, {self._what}: {error!r}") from error
