"""A dead letter: the record as it came, and headers that say where it came from and why it failed.

The header names are those of Kafka Connect (KIP-298), so that its users' tools understand them.
"""

from millrace.processor.batch import Message, Record
from millrace.processor.errors import BadRecord

PREFIX = "__connect.errors."
LONGEST_REASON = 1000


def letter(topic: str, record: Record, error: BadRecord) -> Message:
    """The message for the dead letter topic: key, value and headers byte for byte.

    The client cannot send a header without a value, nor neither key nor value: there the letter
    has an empty one, and a `__connect.errors.null` header says so.
    """
    reasons = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "connector.name": "millrace-processor",
        "task.id": "0",
        "stage": error.stage,
        "class.name": "millrace.processor",
        "exception.class.name": type(error).__name__,
        "exception.message": str(error)[:LONGEST_REASON],
    }
    nulls = [f"header {name}" for name, value in record.headers if value is None]
    key = record.key
    if key is None and record.value is None:
        key = b""
        nulls.append("key")
    added = [
        *((PREFIX + name, text.encode()) for name, text in reasons.items()),
        *((PREFIX + "null", name.encode()) for name in nulls),
    ]
    kept = [(name, b"" if value is None else value) for name, value in record.headers]
    return Message(topic, key, record.value, [*kept, *added])
