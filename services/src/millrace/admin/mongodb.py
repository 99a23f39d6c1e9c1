"""`millrace admin mongodb`: the replica set, roles and users made equal to what is declared.

Runs where the server's localhost is its own: the first user of a server is made through MongoDB's
localhost exception. Every step can be interrupted and is finished by running the command again.
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
