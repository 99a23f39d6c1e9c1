"""What the archiver's login may do on Kafka, tried one after the other.

Usage: archiver_rights.py. Prints {what: "done", or the name of the error}.
"""

import json
from collections.abc import Callable

from kafka.errors import KafkaError, NoError, for_code
from kafka.structs import OffsetAndMetadata, TopicPartition

from millrace.clients import kafka
from millrace.config import Settings
from millrace.feeds import FEEDS

settings = Settings()
topic = FEEDS["stocks"].topic
admin = kafka.admin(settings)


def write() -> None:
    client = kafka.producer(settings, enable_idempotence=False)
    try:
        client.send(topic, value=b"{}").get(timeout=10)
    finally:
        client.close(timeout=5)


def read(name: str) -> None:
    # A consumer without the right gets no record, and no error.
    (found,) = admin.describe_topics([name])
    if found["error_code"]:
        raise for_code(found["error_code"])
    client = kafka.consumer(settings)
    try:
        client.assign([TopicPartition(name, 0)])
        client.seek_to_beginning()
        assert client.poll(timeout_ms=5000, max_records=1), "no record"
    finally:
        client.close()


def commit(group: str) -> None:
    # What is committed already: nothing is lost if it is done.
    partition = TopicPartition(topic, 0)
    offset = admin.list_group_offsets({group: [partition]})[group][partition].offset
    done = admin.alter_group_offsets(group, {partition: OffsetAndMetadata(offset, "", -1)})
    if done[partition] is not NoError:
        raise done[partition]


def create() -> None:
    asked = {"rights-test": {"num_partitions": 1, "replication_factor": 1}}
    admin.create_topics(asked, validate_only=True)


TRIED: dict[str, Callable[[], None]] = {
    "read a feed": lambda: read(topic),
    "write to a feed": write,
    "read the dead letters": lambda: read(settings.dead_letters_topic),
    "commit for the processor": lambda: commit(settings.processor_group_id),
    "create a topic": create,
}
found = {}
for what, do in TRIED.items():
    try:
        do()
    except KafkaError as error:
        found[what] = type(error).__name__
    else:
        found[what] = "done"
admin.close()
print(json.dumps(found))
