"""The processor's member of its group with a broker whose topic is deleted and made again."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from millrace.clients import kafka
from millrace.config import Settings
from millrace.processor.breaker import Tally
from millrace.processor.errors import Transient
from millrace.processor.group import Group

NOTICED_SECONDS = 90
"""Its group, its topic's metadata and a deletion, each on a busy machine."""


class Topic:
    """One topic of a broker, which has several logs in its time."""

    def __init__(self, address: str, admin: Any) -> None:
        self.name = f"t-{uuid.uuid4().hex}"
        self._address = address
        self._admin = admin

    def make(self, values: range) -> None:
        options = {"num_partitions": 1, "replication_factor": 1, "configs": {}}
        self._admin.create_topics({self.name: options}, raise_errors=True)
        self._admin.wait_for_topics([self.name])
        producer = KafkaProducer(bootstrap_servers=self._address, allow_auto_create_topics=False)
        sent = [producer.send(self.name, value=str(value).encode()) for value in values]
        for future in sent:
            future.get(timeout=60)
        producer.close()

    def delete(self) -> None:
        self._admin.delete_topics([self.name], raise_errors=True)
        end = time.monotonic() + NOTICED_SECONDS
        while self.name in self._admin.list_topics():
            assert time.monotonic() < end, "it is still there"
            time.sleep(0.2)


@pytest.fixture
def topic(kafka_address: str) -> Iterator[Topic]:
    admin = KafkaAdminClient(bootstrap_servers=kafka_address)
    yield Topic(kafka_address, admin)
    admin.close()


@pytest.fixture
def member(
    kafka_address: str, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[list[None]], Group]]:
    # The pipeline's brokers let nobody in without TLS and a password; this one has neither.
    plain = {"bootstrap_servers": [kafka_address]}
    monkeypatch.setattr(kafka, "_connection", lambda _settings: plain)
    with ExitStack() as stack:

        def join(found: list[None]) -> Group:
            settings = Settings(processor_group_id=f"group of {topic.name}")
            made = Group(settings, [topic.name], partial(found.append, None))
            stack.callback(made.close)
            return made

        yield join


def read(group: Group, topic: str, log: range) -> None:
    """Return when a whole log has come, in one go; all that came is committed."""
    wanted = list(enumerate(log))
    found: list[tuple[int, int]] = []
    end = time.monotonic() + NOTICED_SECONDS
    while found[-len(wanted) :] != wanted:
        assert time.monotonic() < end, f"has {found[-5:]}"
        try:
            polled = group.poll(0.2)
        except Transient:
            continue  # while it joins, or the topic is away
        for record in polled.get((topic, 0), ()):
            assert record.value is not None
            found.append((record.offset, int(record.value)))
    group.commit({(topic, 0): len(wanted)}, {topic: Tally()})


@pytest.mark.parametrize("runs", [True, False], ids=["it runs", "it starts later"])
def test_a_topic_that_was_made_again_is_read_from_its_start(
    topic: Topic, member: Callable[[list[None]], Group], *, runs: bool
) -> None:
    found_new: list[None] = []
    topic.make(range(30))
    group = member(found_new)
    read(group, topic.name, range(30))
    former = group.log_id(topic.name)
    if not runs:
        group.close()
    topic.delete()
    # Longer than the one before: the position that it has is one in this log, too.
    topic.make(range(100, 150))
    if not runs:
        group = member(found_new)
    read(group, topic.name, range(100, 150))
    assert None not in (former, group.log_id(topic.name))
    assert group.log_id(topic.name) != former
    assert len(found_new) == runs
