"""Dead letters: the unchanged record, with headers for its position and the reason."""

from collections.abc import Iterable

from millrace.clients.letter_headers import PARTIAL, PREFIX
from millrace.clients.records import Unreadable
from millrace.clients.topic_ids import FIRST
from millrace.processor.batch import Message, Record
from millrace.processor.errors import BadRecord
from millrace.runtime.redaction import shown

LONGEST_REASON = 1000
WHOLE_BYTES = 768 * 1024
"""Every broker accepts a letter of this size; larger ones are truncated to parts of these sizes."""
LONGEST_VALUE, LONGEST_KEY, LONGEST_HEADERS = 512 * 1024, 64 * 1024, 128 * 1024


def letter(topic: str, record: Record, error: BadRecord, log: str = FIRST) -> Message:
    """The message for the dead letter topic: key, value and headers byte for byte.

    `log` is the name of the log that the record is from.

    The client cannot send a header without a value, nor a record with neither key nor value: then
    the letter has an empty one, and a `__connect.errors.null` header.
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
        "exception.message": shown(error, LONGEST_REASON),
        **({"log": log} if log else {}),
    }
    nulls = [f"header {name}" for name, value in record.headers if value is None]
    key, value = record.key, record.value
    partial = []
    if isinstance(value, Unreadable):
        partial.append((PARTIAL, b"bytes of the log that could not be read"))
        value = bytes(value)
    if key is None and value is None:
        key = b""
        nulls.append("key")
    added = [
        *((PREFIX + name, text.encode()) for name, text in reasons.items()),
        *((PREFIX + "null", name.encode()) for name in nulls),
        *partial,
    ]
    kept = [(name, b"" if value is None else value) for name, value in record.headers]
    return Message(topic, key, value, [*kept, *added])


def shortened(message: Message) -> Message:
    """The message, truncated to what every broker accepts if it is larger, with a header about it.

    The whole record is still in its topic, at the position in the letter.
    """
    if _size(message) <= WHOLE_BYTES:
        return message
    key, value = message.key, message.value
    said = []
    if value is not None and len(value) > LONGEST_VALUE:
        said.append(f"the first {LONGEST_VALUE} of the value's {len(value)} bytes")
        value = value[:LONGEST_VALUE]
    if key is not None and len(key) > LONGEST_KEY:
        said.append(f"the first {LONGEST_KEY} of the key's {len(key)} bytes")
        key = key[:LONGEST_KEY]
    headers = list(message.headers)
    if _length(headers) > LONGEST_HEADERS:
        said.append("none of the record's headers")
        headers = [header for header in headers if header[0].startswith(PREFIX)]
    partial = (PARTIAL, f"only {', '.join(said)}".encode())
    return Message(message.topic, key, value, [*headers, partial])


def _size(message: Message) -> int:
    return len(message.key or b"") + len(message.value or b"") + _length(message.headers)


def _length(headers: Iterable[tuple[str, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in headers)
