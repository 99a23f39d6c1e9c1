"""`millrace admin kafka`: topics, users, ACLs and quotas made equal to what is declared."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from kafka import KafkaAdminClient
from kafka import errors as kafka_errors

from millrace.admin.kafka_cluster import KafkaCluster
from millrace.admin.kafka_state import Desired, changes
from millrace.admin.program import AdminError, read, reconcile, write
from millrace.config import secrets_directory
from millrace.kafka import CredentialsRefused, probe


class LastWarning(logging.Handler):
    """Keeps the last warning: the Kafka client says only there why it cannot connect."""

    text = "no answer"

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        self.text = record.getMessage()


@contextmanager
def connected(desired: Desired) -> Iterator[KafkaCluster]:
    """Wait for the broker and connect with the administrator's certificate."""
    secrets = secrets_directory()
    ca_file = secrets / "ca.pem"
    warnings = LastWarning(logging.WARNING)
    logger = logging.getLogger("kafka")
    logger.addHandler(warnings)
    try:
        client = KafkaAdminClient(
            bootstrap_servers=desired.bootstrap_servers,
            client_id="millrace-admin",
            security_protocol="SSL",
            ssl_cafile=str(ca_file),
            ssl_certfile=str(secrets / "tls.pem"),
            bootstrap_timeout_ms=int(desired.wait_seconds * 1000),
            reconnect_backoff_max_ms=1000,
        )
    except kafka_errors.KafkaTimeoutError as error:
        raise AdminError(
            f"{desired.bootstrap_servers} cannot be reached within {desired.wait_seconds:g} s: "
            f"{warnings.text}"
        ) from error
    except OSError as error:
        raise AdminError(f"{desired.bootstrap_servers}: {error}") from error
    finally:
        logger.removeHandler(warnings)

    def accepts(user: str, password: str) -> bool:
        try:
            probe(desired.client_listener, user, password, ca_file)
        except CredentialsRefused:
            return False
        return True

    try:
        passwords = {user.name: user.password for user in desired.users}
        yield KafkaCluster(client, passwords, accepts)
    except kafka_errors.KafkaError as error:
        raise AdminError(f"{desired.bootstrap_servers}: {error}") from error
    finally:
        client.close()


def run(*, check: bool) -> None:
    """Reconcile the cluster described on standard input, and print what changed."""
    desired = read(Desired)
    with connected(desired) as cluster:
        write(reconcile(cluster, lambda actual: changes(desired, actual), check=check))
