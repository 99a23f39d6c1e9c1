"""The tests' clients of Kafka answer as kafka-python's do: tests/real asks those the same."""

from typing import Any

import pytest
from kafka.structs import TopicPartition
from services.tests.admin import fake_kafka, test_rewind
from services.tests.api import test_log as test_api_log
from services.tests.archive import world as archive
from services.tests.clients import test_lag
from services.tests.contracts import kafka_admin as admin
from services.tests.contracts import kafka_clients as clients
from services.tests.contracts.kafka_admin import Asking, Grouped
from services.tests.contracts.kafka_clients import Consuming, Producing
from services.tests.control import test_processor
from services.tests.dead_letters import fakes
from services.tests.processor import test_group
from services.tests.processor.sinks import test_topics
from services.tests.producer import test_publisher, test_service
from services.tests.verify import test_log

from millrace.config import Settings


def letters(records: int) -> tuple[Any, str]:
    kafka = fakes.Kafka()
    for _ in range(records):
        kafka.add(b"v", [])
    return kafka.consumer(Settings(), group_id="operator"), fakes.TOPIC


def log(records: int) -> tuple[Any, str]:
    return test_log.FakeConsumer(0, records), "t"


def archived(records: int) -> tuple[Any, str]:
    made = archive.Log()
    made.make("quotes", 1)
    made.add("quotes", 0, *[b"v"] * records)
    return archive.Consumer(made), "quotes"


def member(_records: int) -> tuple[Any, str]:
    made = test_group.Client()
    made.deleted = {TopicPartition("stock-data", 9)}
    made.ids = {"stock-data": test_group.FIRST}
    return made, "stock-data"


class TestReading(clients.Reading):
    @pytest.fixture(params=[archived, letters, log])
    def consuming(self, request: pytest.FixtureRequest) -> Consuming:
        return request.param  # type: ignore[no-any-return]


class TestNaming(clients.Naming):
    @pytest.fixture(params=[archived, member, log])
    def consuming(self, request: pytest.FixtureRequest) -> Consuming:
        return request.param  # type: ignore[no-any-return]


def standing(_records: int) -> tuple[Any, str]:
    made = test_processor.Pipeline()
    made.without_leader = {TopicPartition("stock-data", 9)}
    return made, "stock-data"


class TestCommitting(clients.Committing):
    @pytest.fixture(params=[letters, standing])
    def consuming(self, request: pytest.FixtureRequest) -> Consuming:
        return request.param  # type: ignore[no-any-return]


class TestCommittingNotes(clients.CommittingNotes):
    @pytest.fixture(params=[member])
    def consuming(self, request: pytest.FixtureRequest) -> Consuming:
        return request.param  # type: ignore[no-any-return]


class TestEnds(clients.Ends):
    @pytest.fixture(params=[archived, member, letters, log, standing])
    def consuming(self, request: pytest.FixtureRequest) -> Consuming:
        return request.param  # type: ignore[no-any-return]


class TestNoEnds(clients.NoEnds):
    @pytest.fixture(params=[archived, letters, log, standing])
    def consuming(self, request: pytest.FixtureRequest) -> Consuming:
        return request.param  # type: ignore[no-any-return]


class TestStarts(clients.Starts):
    @pytest.fixture(params=[archived, letters, log])
    def consuming(self, request: pytest.FixtureRequest) -> Consuming:
        return request.param  # type: ignore[no-any-return]


PRODUCERS = [
    (lambda: test_publisher.Broker(), "metal-prices"),
    (lambda: test_service.Client(), "quotes"),
    (lambda: test_api_log.Client(), "metal-prices"),
    (lambda: test_topics.Client([]), "dead-letters"),
    (lambda: fakes.Producer(fakes.Kafka()), "dead-letters"),
]


class TestAcknowledging(clients.Acknowledging):
    @pytest.fixture(params=PRODUCERS[:2])
    def producing(self, request: pytest.FixtureRequest) -> Producing:
        make, topic = request.param
        return lambda: (make(), topic)


class TestRefusing(clients.Refusing):
    @pytest.fixture(params=PRODUCERS)
    def producing(self, request: pytest.FixtureRequest) -> Producing:
        make, topic = request.param
        return lambda: (make(), topic)


class TestTopics(admin.Topics, admin.Members):
    @pytest.fixture(params=[(test_lag.FakeAdmin, "t"), (test_group.Admin, "stock-data")])
    def asking(self, request: pytest.FixtureRequest) -> Asking:
        make, topic = request.param
        return make(), topic, "processor"


class TestUncommitted(admin.Uncommitted):
    @pytest.fixture(params=[(test_lag.FakeAdmin, "t"), (test_group.Admin, "stock-data")])
    def asking(self, request: pytest.FixtureRequest) -> Asking:
        make, topic = request.param
        return make(), topic, "operator-orders"


class TestOffsets(admin.Offsets):
    @pytest.fixture
    def asking(self) -> Asking:
        return test_lag.FakeAdmin(), "t", "g"


class TestGroups(admin.Groups):
    @pytest.fixture
    def grouped(self) -> Grouped:
        client = test_rewind.FakeClient(9)
        return client, "g", lambda: setattr(client, "members", 0)


class TestDeclaring(admin.Declaring):
    @pytest.fixture
    def client(self) -> Any:
        return fake_kafka.FakeClient()
