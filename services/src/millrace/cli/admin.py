"""`millrace admin`."""

from collections.abc import Callable

from millrace.cli import described
from millrace.cli.described import Check, Function

group = described.group("Bring a server to the state described in JSON on standard input.")


def declared(name: str, files: tuple[str, ...], stdin: str) -> Callable[[Function], Function]:
    """Declare a command for the roles, which prints its changes as JSON on standard output."""
    return described.command(
        group,
        name,
        settings=("MILLRACE_SECRETS_DIR",),
        files=files,
        stdin=f"{stdin}, as JSON",
        example=f"millrace admin {name} --check <wanted.json",
        ok="the server is as declared; with --check: it would be",
        failed="the server does not answer or refuses, or the declaration is not understood",
    )


@declared("kafka", ("ca.pem", "tls.pem"), "the topics, users, access rules and quotas wanted")
def admin_kafka(check: Check = False) -> None:
    """Reconcile topics, users, access rules and quotas."""
    from millrace.admin import kafka

    kafka.run(check=check)


@declared("mongodb", ("ca.pem",), "the replica set, roles and users wanted")
def admin_mongodb(check: Check = False) -> None:
    """Reconcile the replica set, roles and users."""
    from millrace.admin import mongodb

    mongodb.run(check=check)


@declared("rewind", ("ca.pem", "tls.pem"), "the consumer group")
def admin_rewind(check: Check = False) -> None:
    """Let a consumer group without members start at the beginning again."""
    from millrace.admin import rewind

    rewind.run(check=check)
