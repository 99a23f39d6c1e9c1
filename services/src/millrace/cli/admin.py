"""`millrace admin`."""

from collections.abc import Callable

from millrace.cli import described
from millrace.cli.described import Check, Function

group = described.group("Bring a server to the state described in JSON on standard input.")


def declared(name: str, files: tuple[str, ...], stdin: str) -> Callable[[Function], Function]:
    """Declare a command that the roles call; what it changed is JSON on standard output."""
    return described.command(
        group,
        name,
        settings=("MILLRACE_SECRETS_DIR",),
        files=files,
        stdin=f"{stdin}, as JSON",
        example=f"millrace admin {name} --check <wanted.json",
        ok="it is so, or would be",
        failed="the server does not answer or refuses, or what is wanted is not understood",
    )


@declared("kafka", ("ca.pem", "tls.pem"), "the topics, users, access rules and quotas wanted")
def admin_kafka(check: Check = False) -> None:
    """Topics, users, access rules and quotas."""
    from millrace.admin import kafka

    kafka.run(check=check)


@declared("mongodb", ("ca.pem",), "the replica set, roles and users wanted")
def admin_mongodb(check: Check = False) -> None:
    """Replica set, roles and users."""
    from millrace.admin import mongodb

    mongodb.run(check=check)


@declared("rewind", ("ca.pem", "tls.pem"), "the consumer group")
def admin_rewind(check: Check = False) -> None:
    """A consumer group that nobody is in starts at the beginning again."""
    from millrace.admin import rewind

    rewind.run(check=check)
