"""`millrace admin kafka`: reconciles topics, users, ACLs and quotas with their declarations."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient
from kafka import errors as kafka_errors

from millrace.admin.kafka_cluster import KafkaCluster
from millrace.admin.kafka_state import Desired, changes
from millrace.admin.program import AdminError, read, reconcile, write
from millrace.clients.kafka import CredentialsRefused, probe
from millrace.config import secrets_directory


class ConnectionFailures(logging.Handler):
    """Stores why the last connection attempt failed, which the Kafka client only logs."""

    reason = "no answer"

    def emit(self, record: logging.LogRecord) -> None:
        """Store the reason in the message."""
        _, found, reason = record.getMessage().partition(" failed: ")
        if found and record.levelno == logging.WARNING:
            self.reason = reason


@contextmanager
def client_of(bootstrap_servers: str, wait_seconds: float) -> Iterator[Any]:
    """Wait for the broker and connect with the administrator's certificate."""
    secrets = secrets_directory()
    failures = ConnectionFailures()
    logger = logging.getLogger("kafka")
    logger.addHandler(failures)
    try:
        client = KafkaAdminClient(
            bootstrap_servers=bootstrap_servers,
            client_id="millrace-admin",
            security_protocol="SSL",
            ssl_cafile=str(secrets / "ca.pem"),
            ssl_certfile=str(secrets / "tls.pem"),
            bootstrap_timeout_ms=int(wait_seconds * 1000),
            reconnect_backoff_max_ms=1000,
        )
    except kafka_errors.KafkaTimeoutError as error:
        raise AdminError(
            f"{bootstrap_servers} cannot be reached within {wait_seconds:g} s: {failures.reason}"
        ) from error
    except OSError as error:
        raise AdminError(f"{bootstrap_servers}: {error}") from error
    finally:
        logger.removeHandler(failures)
    try:
        if "ALTER" not in client.describe_cluster()["authorized_operations"]:
            # A request for users would not even be answered.
            raise AdminError(f"{bootstrap_servers}: the certificate is not an administrator's")
        yield client
    except kafka_errors.KafkaError as error:
        raise AdminError(f"{bootstrap_servers}: {error}") from error
    finally:
        client.close()


@contextmanager
def connected(desired: Desired) -> Iterator[KafkaCluster]:
    """The cluster, once it can be reached."""
    ca_file = secrets_directory() / "ca.pem"

    def accepts(user: str, password: str) -> bool:
        try:
            probe(desired.client_listener, user, password, ca_file)
        except CredentialsRefused:
            return False
        return True

    passwords = {user.name: user.password for user in desired.users}
    with client_of(desired.bootstrap_servers, desired.wait_seconds) as client:
        yield KafkaCluster(client, passwords, accepts)


def run(*, check: bool) -> None:
    """Reconcile the cluster described on standard input, and print what changed."""
    desired = read(Desired)
    with connected(desired) as cluster:
        write(reconcile(cluster, lambda actual: changes(desired, actual), check=check))
