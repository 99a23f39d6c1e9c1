"""A dead letter: the record as it came, and headers that say where it came from and why it failed.

The header names are those of Kafka Connect (KIP-298), so that its users' tools understand them.
"""

from millrace.processor.batch import Message, Record
from millrace.processor.errors import BadRecord

PREFIX = "__connect.errors."
LONGEST_REASON = 1000


def letter(topic: str, record: Record, error: BadRecord) -> Message:
    """The message for the dead letter topic: key, value and headers byte for byte."""
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
    added = [(PREFIX + name, text.encode()) for name, text in reasons.items()]
    return Message(topic, record.key, record.value, [*record.headers, *added])
