"""kafka-python with a broker, asked what the tests' clients are asked."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from services.tests.contracts import kafka_admin as admin
from services.tests.contracts import kafka_clients as clients
from services.tests.contracts.kafka_admin import Asking, Grouped
from services.tests.contracts.kafka_clients import Consuming, Producing

JOIN_SECONDS = 90
"""A broker that has had no group makes the topic of their offsets first, on a busy machine."""


class Cluster:
    """Makes topics, and clients that end with a test."""

    def __init__(self, address: str, client: Any, stack: ExitStack) -> None:
        self.client = client
        self._address = address
        self._stack = stack

    def topic(self, partitions: int = 1) -> str:
        name = f"t-{uuid.uuid4().hex}"
        options = {"num_partitions": partitions, "replication_factor": 1, "configs": {}}
        self.client.create_topics({name: options}, raise_errors=True)
        self.client.wait_for_topics([name])
        return name

    def producer(self) -> Any:
        made = KafkaProducer(bootstrap_servers=self._address, allow_auto_create_topics=False)
        self._stack.callback(made.close, timeout=5)
        return made

    def consumer(self, group: str) -> Any:
        made = KafkaConsumer(
            bootstrap_servers=self._address,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            isolation_level="read_committed",
        )
        self._stack.callback(made.close, autocommit=False)
        return made

    def member(self, group: str, topic: str) -> Any:
        """A consumer that has joined."""
        made = self.consumer(group)
        made.subscribe([topic])
        end = time.monotonic() + JOIN_SECONDS
        while not made.assignment():
            assert time.monotonic() < end, "it is assigned nothing"
            made.poll(timeout_ms=100)
        return made


@pytest.fixture(scope="module")
def client(kafka_address: str) -> Iterator[Any]:
    made = KafkaAdminClient(bootstrap_servers=kafka_address)
    yield made
    made.close()


@pytest.fixture
def cluster(kafka_address: str, client: Any) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(kafka_address, client, stack)


@pytest.fixture
def consuming(cluster: Cluster) -> Consuming:
    def consume(records: int) -> tuple[Any, str]:
        topic = cluster.topic()
        producer = cluster.producer()
        for future in [producer.send(topic, value=b"v") for _ in range(records)]:
            future.get(timeout=60)
        return cluster.consumer(f"group of {topic}"), topic

    return consume


@pytest.fixture
def producing(cluster: Cluster) -> Producing:
    return lambda: (cluster.producer(), cluster.topic())


@pytest.fixture
def asking(cluster: Cluster) -> Asking:
    topic = cluster.topic(partitions=3)
    group = f"group of {topic}"
    cluster.member(group, topic)
    return cluster.client, topic, group


class TestConsumer(
    clients.Reading,
    clients.Naming,
    clients.Committing,
    clients.CommittingNotes,
    clients.Ends,
    clients.NoEnds,
    clients.Starts,
):
    pass


class TestProducer(clients.Acknowledging, clients.Refusing):
    pass


class TestAsking(admin.Topics, admin.Offsets, admin.Uncommitted, admin.Members):
    pass


class TestGroups(admin.Groups):
    @pytest.fixture
    def grouped(self, cluster: Cluster) -> Grouped:
        topic = cluster.topic()
        name = f"group of {topic}"
        member = cluster.member(name, topic)
        return cluster.client, name, lambda: member.close(autocommit=False)


class TestDeclaring(admin.Declaring):
    pass
