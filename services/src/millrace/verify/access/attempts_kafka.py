"""Attempts on Kafka: the clients' port, and the two ports that require a certificate."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from kafka.admin import (
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePatternFilter,
    ResourceType,
)
from kafka.errors import KafkaError, NoError
from kafka.protocol.metadata import MetadataRequest
from kafka.protocol.parser import KafkaProtocol
from kafka.structs import OffsetAndMetadata, TopicPartition

from millrace.clients import kafka
from millrace.clients.kafka import CredentialsRefused, probe
from millrace.config import Settings
from millrace.feeds import FEEDS
from millrace.verify.access import wire
from millrace.verify.access.attempts import Attempt, encryption, expect
from millrace.verify.access.wire import (
    ACCEPTED,
    AUTHENTICATION,
    AUTHORISATION,
    CLOSED,
    TLS,
    Answer,
)

CONTROLLER_PORT, NODES_PORT = 9093, 9094
REFUSALS = dict.fromkeys(
    (
        "TopicAuthorizationFailedError",
        "GroupAuthorizationFailedError",
        "ClusterAuthorizationFailedError",
    ),
    AUTHORISATION,
)


@contextmanager
def attempts(settings: Settings) -> Iterator[list[Attempt]]:
    """All attempts; the last ones use the operator's own limited rights."""
    servers = [server.strip() for server in settings.kafka_bootstrap_servers.split(",")]
    rights = _Rights(settings)
    try:
        yield [
            *(attempt for server in servers for attempt in on_broker(server, settings)),
            *(Attempt("kafka", name, AUTHORISATION, do) for name, do in rights.exceeded().items()),
        ]
    finally:
        rights.close()


def on_broker(clients: str, settings: Settings) -> list[Attempt]:
    """Attempts on each port of a broker. Ports between nodes may be required to be closed."""
    host, _, port = clients.rpartition(":")
    found = [
        *_tls(f"{host} {port}", clients, settings),
        *_logins(f"{host} {port}", clients, settings),
    ]
    for inner in (f"{host}:{CONTROLLER_PORT}", f"{host}:{NODES_PORT}"):
        server = inner.replace(":", " ")
        if inner in settings.verify_closed:
            found.append(Attempt(server, "connect", CLOSED, partial(wire.reached, inner)))
        else:
            found += _certificates(server, inner, settings)
    return found


def _tls(server: str, address: str, settings: Settings) -> list[Attempt]:
    return encryption(server, address, settings.kafka_ca_file, metadata_request())


def _certificates(server: str, address: str, settings: Settings) -> list[Attempt]:
    then = partial(wire.without_certificate, request=metadata_request())
    return [
        *_tls(server, address, settings),
        Attempt(
            server,
            "no certificate",
            TLS,
            lambda: wire.trusted(address, settings.kafka_ca_file, then),
        ),
    ]


def _logins(server: str, address: str, settings: Settings) -> list[Attempt]:
    def log_in(user: str, password: str) -> Answer:
        try:
            probe(address, user, password, settings.kafka_ca_file)
        except CredentialsRefused as error:
            return Answer(AUTHENTICATION, str(error))
        return Answer(ACCEPTED, "logged in")

    then = partial(wire.unanswered, request=metadata_request())
    password = settings.kafka_password.get_secret_value()
    return [
        Attempt(
            server,
            "anonymous",
            AUTHENTICATION,
            lambda: wire.trusted(address, settings.kafka_ca_file, then),
        ),
        Attempt(
            server,
            "wrong password",
            AUTHENTICATION,
            lambda: log_in(settings.kafka_username, f"not-{password}"),
        ),
        Attempt(server, "unknown user", AUTHENTICATION, lambda: log_in("nobody", password)),
    ]


def metadata_request() -> bytes:
    """A request that must not be answered without a login."""
    protocol = KafkaProtocol(client_id="millrace-verify")
    protocol.send_request(MetadataRequest(topics=[], version=4))
    return bytes(protocol.send_bytes())


class _Rights:
    """Actions that the operator must not be allowed, tried so that nothing is lost if they are."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin = kafka.admin(settings)
        # The operator may write only to feeds' topics, to replay dead letters.
        alerts = (FEEDS[name].alert_topic for name in settings.feeds)
        self._topic = next(filter(None, alerts), settings.dead_letters_topic)

    def close(self) -> None:
        self._admin.close()

    def exceeded(self) -> dict[str, Callable[[], Answer]]:
        return {
            f"write to {self._topic}": self._refused(self._write),
            f"delete records of {self._topic}": self._refused(self._delete),
            "create a topic": self._refused(self._create),
            "list access rules": self._refused(self._list_rules),
            **{
                f"commit for the {name}": self._refused(partial(self._commit, group))
                for name, group in (
                    ("processor", self._settings.processor_group_id),
                    ("archiver", self._settings.archive_group_id),
                )
            },
        }

    @staticmethod
    def _refused(do: Callable[[], None]) -> Callable[[], Answer]:
        def attempt() -> Answer:
            try:
                do()
            except KafkaError as error:
                name = type(error).__name__
                return expect(REFUSALS, error, name, name)
            return Answer(ACCEPTED, "done")

        return attempt

    def _write(self) -> None:
        client = kafka.producer(self._settings)
        try:
            client.send(self._topic, value=b"access test").get(timeout=10)
        finally:
            client.close(timeout=5)

    def _delete(self) -> None:
        # There are no records before offset 0.
        self._admin.delete_records({TopicPartition(self._topic, 0): 0})

    def _create(self) -> None:
        self._admin.create_topics(
            {"access-test": {"num_partitions": 1, "replication_factor": 1}}, validate_only=True
        )

    def _list_rules(self) -> None:
        self._admin.describe_acls(
            ACLFilter(
                None,
                None,
                ACLOperation.ANY,
                ACLPermissionType.ANY,
                ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
            )
        )

    def _commit(self, group: str) -> None:
        partition = TopicPartition(self._topic, 0)
        results = self._admin.alter_group_offsets(group, {partition: OffsetAndMetadata(0, "", -1)})
        if results[partition] is not NoError:
            raise results[partition]
