"""Attempts on Redis, if it is deployed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from millrace.clients import redis
from millrace.clients.latest_values import COMPLETE, price_key
from millrace.config import Settings
from millrace.verify.access.attempts import Attempt, encryption, expect
from millrace.verify.access.wire import (
    ACCEPTED,
    AUTHENTICATION,
    AUTHORISATION,
    Answer,
)

REFUSALS = {AuthenticationError: AUTHENTICATION, NoPermissionError: AUTHORISATION}
NEVER_MADE = price_key("access_test")
PING = b"*1\r\n$4\r\nPING\r\n"


@contextmanager
def attempts(settings: Settings) -> Iterator[list[Attempt]]:
    """All attempts; the last ones use the operator's own limited rights."""
    if not settings.redis_host:
        yield []
        return
    password = settings.redis_password.get_secret_value()
    with ExitStack() as stack:

        def client(**overrides: Any) -> Any:
            return stack.enter_context(closing(redis.client(settings, **overrides)))

        nobody = client(username=None, password=None)
        operator = client()
        # Their targets do not exist, so that nothing is lost if they are allowed.
        tried: list[tuple[str, str, Callable[[], Any]]] = [
            ("anonymous: read", AUTHENTICATION, lambda: nobody.get(NEVER_MADE)),
            ("anonymous: write", AUTHENTICATION, lambda: nobody.set(NEVER_MADE, "")),
            ("wrong password", AUTHENTICATION, client(password=f"not-{password}").ping),
            ("unknown user", AUTHENTICATION, client(username="nobody").ping),
            ("default user", AUTHENTICATION, client(username="default").ping),
            ("write a price", AUTHORISATION, lambda: operator.set(NEVER_MADE, "", px=1)),
            ("remove a price", AUTHORISATION, lambda: operator.delete(NEVER_MADE)),
            ("run a script", AUTHORISATION, lambda: operator.eval("return 1", 0)),
            (
                "run the processor's script",
                AUTHORISATION,
                lambda: operator.evalsha("0" * 40, 1, NEVER_MADE),
            ),
            ("load a script", AUTHORISATION, lambda: operator.script_load("return 1")),
            ("read another key", AUTHORISATION, lambda: operator.get("access_test")),
            ("mark as complete", AUTHORISATION, lambda: operator.set(COMPLETE, "", nx=True)),
            ("read the settings", AUTHORISATION, lambda: operator.config_get("maxmemory")),
            ("list the users", AUTHORISATION, operator.acl_list),
        ]
        yield [*_tls(settings), *(Attempt(_server(settings), *_refused(*one)) for one in tried)]


def _server(settings: Settings) -> str:
    return f"redis {settings.redis_port}"


def _tls(settings: Settings) -> list[Attempt]:
    address = f"{settings.redis_host}:{settings.redis_port}"
    return encryption(_server(settings), address, settings.redis_ca_file, PING)


def _refused(name: str, kind: str, do: Callable[[], Any]) -> tuple[str, str, Callable[[], Answer]]:
    def attempt() -> Answer:
        try:
            do()
        except RedisError as error:
            return expect(REFUSALS, error, type(error), str(error))
        return Answer(ACCEPTED, "done")

    return name, kind, attempt
