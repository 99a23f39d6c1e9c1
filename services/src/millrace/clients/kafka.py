"""Kafka clients from the settings, and a probe that tells wrong credentials from no broker."""

import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, for_code
from kafka.net.sasl.scram import ScramClient
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.sasl import SaslAuthenticateRequest, SaslHandshakeRequest
from kafka.structs import TopicPartition

from millrace.clients import (
    authority,
    records,  # noqa: F401 - consumers read what the library gives up
)
from millrace.config import Settings, about
from millrace.errors import MillraceError

MECHANISM = "SCRAM-SHA-512"
MEBIBYTE = 1024 * 1024
ANSWER_MILLISECONDS = 5000
LEADER_MILLISECONDS = 15_000


class CredentialsRefused(MillraceError):
    """The broker answered and refused this user with this password."""


class BrokerUnreachable(MillraceError):
    """No broker answered in time."""


class UntrustedCertificate(MillraceError):
    """The certificate has expired, is for another name or is not signed by our CA."""


class WithoutLeader(MillraceError):
    """A partition has no leader, so its content is unknown."""


def consumer(settings: Settings, **overrides: Any) -> Any:
    """A consumer without automatic commits that reads unevenly filled partitions without stalls.

    Records of uncommitted transactions are not returned; positions and ends go past them.
    """
    options = {
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "allow_auto_create_topics": False,
        "isolation_level": "read_committed",
        "max_partition_fetch_bytes": 8 * MEBIBYTE,
        "fetch_max_wait_ms": 50,
    }
    return KafkaConsumer(**(_connection(settings) | options | overrides))


def starts(client: Any, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
    """The start offset of each partition; raises WithoutLeader if one has no leader."""
    return _of_all(client.beginning_offsets, partitions)


def ends(client: Any, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
    """The end offset of each partition; raises WithoutLeader if one has no leader."""
    return _of_all(client.end_offsets, partitions)


def _of_all(
    ask: Callable[..., Mapping[TopicPartition, int]], partitions: Collection[TopicPartition]
) -> dict[TopicPartition, int]:
    try:
        return dict(ask(partitions, timeout_ms=LEADER_MILLISECONDS))
    except KeyError as error:
        # The library raises this if one partition has no leader and others do.
        without = [*error.args]
    except KafkaTimeoutError:
        # And this if no partition has one.
        without = [*partitions]
    names = ", ".join(f"{topic}/{number}" for topic, number in without)
    raise WithoutLeader(
        f"no broker answers for {names}: one is down, or the topic is being deleted; try again "
        "when all brokers run and the topic is there"
    )


def producer(settings: Settings, **overrides: Any) -> Any:
    """A producer whose records are on every in-sync replica, once, before they are acknowledged.

    Its buffer is unlimited: the caller limits the number of pending futures.
    """
    options = {
        "acks": "all",
        "enable_idempotence": True,
        "allow_auto_create_topics": False,
        "delivery_timeout_ms": 60_000,
        "request_timeout_ms": 15_000,
        "max_block_ms": 15_000,
        "linger_ms": 5,
        "compression_type": "lz4",
    }
    return KafkaProducer(**(_connection(settings) | options | overrides))


def admin(settings: Settings, **overrides: Any) -> Any:
    """An administration client with the rights of this service's user."""
    return KafkaAdminClient(**(_connection(settings) | overrides))


@contextmanager
def asking(settings: Settings) -> Iterator[Any]:
    """An administration client for a few queries, which soon gives up on an unresponsive broker.

    Raises MillraceError if no broker answers, and the queries' own errors.
    """
    check_credentials(settings)
    client = admin(
        settings,
        bootstrap_timeout_ms=ANSWER_MILLISECONDS,
        request_timeout_ms=ANSWER_MILLISECONDS,
    )
    try:
        yield client
    finally:
        client.close()


def check_credentials(settings: Settings, timeout: float = 5.0) -> None:
    """Log in at the first broker that answers; raise a one-line error if that is impossible.

    kafka-python treats a refused password like an unreachable broker and retries for 30 seconds.
    """
    settings.require("kafka_username", "kafka_password")
    unreachable = []
    for address in settings.kafka_bootstrap_servers.split(","):
        try:
            with about("kafka_ca_file"):
                probe(
                    address.strip(),
                    settings.kafka_username,
                    settings.kafka_password.get_secret_value(),
                    settings.kafka_ca_file,
                    timeout,
                )
        except BrokerUnreachable as error:
            unreachable.append(str(error))
        else:
            return
    raise BrokerUnreachable("; ".join(unreachable))


def probe(address: str, username: str, password: str, ca_file: Path, timeout: float = 5.0) -> None:
    """Log in at one broker (host:port) over TLS with SCRAM, and disconnect."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + timeout
    context = authority.trusting(ca_file)
    try:
        with (
            socket.create_connection((host, int(port)), timeout=timeout) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            _Login(connection, deadline).as_user(username, password, address)
    except ssl.SSLCertVerificationError as error:
        raise UntrustedCertificate(f"Kafka at {address}: {error.verify_message}") from None
    except (OSError, ValueError, KafkaError) as error:
        reason = str(error) or type(error).__name__
        raise BrokerUnreachable(f"Kafka at {address} does not answer: {reason}") from None


class _Login:
    """One SCRAM exchange over a connected socket."""

    def __init__(self, connection: ssl.SSLSocket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._protocol = KafkaProtocol(client_id="millrace-probe")

    def as_user(self, username: str, password: str, address: str) -> None:
        handshake = self._ask(SaslHandshakeRequest(mechanism=MECHANISM, version=1))
        if handshake.error_code:
            offered = ", ".join(handshake.mechanisms)
            raise CredentialsRefused(f"Kafka at {address} offers {offered}, not {MECHANISM}")
        scram = ScramClient(username, password, MECHANISM)
        scram.process_server_first_message(self._authenticate(scram.first_message(), address))
        scram.process_server_final_message(self._authenticate(scram.final_message(), address))

    def _authenticate(self, token: bytes, address: str) -> bytes:
        answer = self._ask(SaslAuthenticateRequest(auth_bytes=token, version=1))
        if answer.error_code:
            kind = for_code(answer.error_code).__name__
            raise CredentialsRefused(f"Kafka at {address} refused the credentials ({kind})")
        return bytes(answer.auth_bytes)

    def _ask(self, request: Any) -> Any:
        self._protocol.send_request(request)
        self._connection.sendall(self._protocol.send_bytes())
        while True:
            self._connection.settimeout(max(0.001, self._deadline - time.monotonic()))
            received = self._connection.recv(65536)
            if not received:
                raise ConnectionError("it closed the connection")
            for _, answer in self._protocol.receive_bytes(received):
                return answer


def _connection(settings: Settings) -> dict[str, Any]:
    settings.require("kafka_username", "kafka_password")
    return {
        "bootstrap_servers": settings.kafka_bootstrap_servers.split(","),
        "client_id": settings.producer_name or settings.kafka_username,
        "security_protocol": "SASL_SSL",
        "ssl_cafile": str(settings.kafka_ca_file),
        "sasl_mechanism": MECHANISM,
        "sasl_plain_username": settings.kafka_username,
        "sasl_plain_password": settings.kafka_password.get_secret_value(),
    }
