"""`millrace admin mongodb`: reconciles the replica set, roles and users with their declarations.

It runs in the server's network namespace, because a server's first user is created through
MongoDB's localhost exception. Every step may be interrupted; running the command again completes
it.
"""

from millrace.admin.mongodb_connection import connector
from millrace.admin.mongodb_server import MongoServer
from millrace.admin.mongodb_state import Desired, changes
from millrace.admin.program import read, reconcile, write
from millrace.config import secrets_directory


def run(*, check: bool) -> None:
    """Reconcile the server described on standard input, and print what changed."""
    desired = read(Desired)
    connect = connector(desired.hosts, secrets_directory() / "ca.pem")
    with MongoServer(desired, connect) as server:
        write(reconcile(server, lambda actual: (changes(desired, actual), []), check=check))
