"""Makes the client library pass unreadable records without losing readable ones.

The library gives up a partition because of one unreadable record or batch. Here the value of such a
record is `Unreadable`: its unchanged bytes, which are no event, and the reason.
Importing this module applies the repair.
"""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import structlog
from kafka.consumer.fetcher import ConsumerRecord, Fetcher
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.memory_records import MemoryRecords
from kafka.record.util import decode_varint
from kafka.structs import TopicPartition

from millrace.clients.compression import decompress

log = structlog.get_logger(__name__)

FETCHES = 3
"""Number of fetches after which a wrong checksum is not a transmission error."""
NEWEST_MAGIC = 2


class Unreadable(bytes):
    """Bytes of a record, or of the whole batch, that could not be read. They are not JSON."""

    reason: str

    @classmethod
    def because(cls, reason: str, content: Any) -> "Unreadable":
        """Create it from these bytes and the reason."""
        made = cls(content)
        made.reason = reason
        return made


class Name(str):
    """The name of a header that is not UTF-8: shown with escapes, and forwarded unchanged."""

    raw: bytes

    def encode(self, *_: Any) -> bytes:
        """The bytes that the library sends."""
        return self.raw


def place(error: BaseException) -> tuple[TopicPartition, int] | None:
    """The partition and the offset of an error from `poll`, if it has any."""
    found: tuple[TopicPartition, int] | None = getattr(error, "place", None)
    return found


class Batch(DefaultRecordBatch):  # type: ignore[misc]
    """A batch with limited size after decompression."""

    _buffer: bytearray
    _pos: int
    _decompressed: bool

    def _maybe_uncompress(self) -> None:
        if not self._decompressed and self.compression_type:
            content = decompress(self.compression_type, bytes(self._buffer[self._pos :]))
            self._buffer, self._pos = bytearray(content), 0
        self._decompressed = True

    def content(self) -> bytearray:
        """The bytes of the batch's records."""
        self._maybe_uncompress()
        return self._buffer[self._pos :]

    def record(self, buffer: bytearray, pos: int, end: int) -> tuple[int, Any, Any, Any, Any]:
        """Offset, time, key, value and headers of the record in these bytes, unvalidated."""
        pos += 1  # unused attributes
        since, pos = decode_varint(buffer, pos)
        delta, pos = decode_varint(buffer, pos)
        time = self.max_timestamp if self.timestamp_type else self.first_timestamp + since
        key, pos = _bytes(buffer, pos, end)
        value, pos = _bytes(buffer, pos, end)
        count, pos = decode_varint(buffer, pos)
        headers = []
        for _ in range(count):
            name, pos = _bytes(buffer, pos, end)
            content, pos = _bytes(buffer, pos, end)
            headers.append((_name(name), content))
        if pos != end:
            raise ValueError(f"it has {end - pos} bytes too many")
        return self.base_offset + delta, time, key, value, headers


class _Batches:
    """The batches of an answer, one by one; the last one is kept."""

    def __init__(self, records: MemoryRecords) -> None:
        self._records = records
        self.raw: memoryview | None = None

    def next_batch(self) -> Any:
        """See MemoryRecords."""
        raw = self.raw = self._records._next_slice
        if raw is None or raw[MemoryRecords.MAGIC_OFFSET] != NEWEST_MAGIC:
            return self._records.next_batch()
        self._records._cache_next()
        return Batch(raw)

    def next_offset(self) -> int | None:
        """The start of the batch after the last one, if it was received too."""
        following = self._records._next_slice
        return int.from_bytes(following[:8], "big") if following else None


class Records(Fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of a partition, including unreadable ones."""

    wrong: ClassVar[dict[TopicPartition, tuple[int, int]]] = {}
    """The last offset of each partition with a wrong checksum, and the number of times."""

    def _unpack_records(
        self, tp: TopicPartition, records: MemoryRecords, *deserializers: Any
    ) -> Iterator[Any]:
        batches = _Batches(records)
        while True:
            try:
                yield from super()._unpack_records(tp, batches, *deserializers)
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                try:
                    batch = Batch(batches.raw)
                    intact = batch.validate_crc()
                    last = self._last(batch, batches.next_offset(), intact=intact)
                except Exception as unknown:
                    self.drain()
                    error.place = tp, self._start  # type: ignore[attr-defined]
                    raise error from unknown
                if not intact and self._fetch_again(batch.base_offset):
                    self.drain()
                    return
                yield from self._salvaged(batch, last, reason, intact=intact)
            else:
                return

    @property
    def _start(self) -> int:
        return int(max(self.next_fetch_offset, self.fetch_offset))

    def _last(self, batch: Batch, following: int | None, *, intact: bool) -> int:
        """The batch's last offset. Raises ValueError if it is unknown."""
        sound = intact or batch.last_offset_delta == batch.records_count - 1 >= 0
        inside = following is None or batch.last_offset < following
        if batch.magic == NEWEST_MAGIC and sound and inside:
            return int(batch.last_offset)
        if following is None or following <= self._start:
            raise ValueError("it does not say where the batch ends")
        return following - 1

    def _fetch_again(self, offset: int) -> bool:
        """Whether to fetch the batch again, because it was not fetched often enough."""
        partition = self.topic_partition
        known, times = self.wrong.get(partition, (offset, 0))
        times = times + 1 if known == offset else 1
        self.wrong[partition] = offset, times
        return times < FETCHES

    def _salvaged(self, batch: Batch, last: int, reason: str, *, intact: bool) -> Iterator[Any]:
        """The records of a damaged batch, or one for all that cannot be separated."""
        first = self._start
        if first <= last and not (intact and batch.is_control_batch):
            try:
                if not intact:
                    raise ValueError(reason)
                content = batch.content()
            except Exception as error:
                said = f"the batch of offsets {first} to {last}: {error}"
                yield self._one(batch, last, Unreadable.because(said, batch._buffer))
            else:
                yield from self._each(batch, content, last)
        self.next_fetch_offset = last + 1

    def _each(self, batch: Batch, content: bytearray, last: int) -> Iterator[Any]:
        pos, next_offset = 0, int(batch.base_offset)
        for _ in range(batch.records_count):
            try:
                length, start = decode_varint(content, pos)
                if not 0 < length <= len(content) - start:
                    raise ValueError(f"a record of {length} bytes")
            except (IndexError, ValueError) as error:
                said = f"offsets {max(next_offset, self._start)} to {last}: {error}"
                yield self._one(batch, last, Unreadable.because(said, content[pos:]))
                return
            pos = start + length
            try:
                offset, time, key, value, headers = batch.record(content, start, pos)
                if not next_offset <= offset <= last:
                    raise ValueError(f"it says that it is at offset {offset}")
            except (IndexError, ValueError) as error:
                offset, time, key, headers = next_offset, batch.max_timestamp, None, []
                value = Unreadable.because(f"the record's bytes: {error}", content[start:pos])
            next_offset = offset + 1
            if offset >= self._start:
                yield self._one(batch, offset, value, time=time, key=key, headers=headers)

    def _one(
        self,
        batch: Batch,
        offset: int,
        value: bytes | None,
        *,
        time: int | None = None,
        key: bytes | None = None,
        headers: Any = (),
    ) -> Any:
        self.next_fetch_offset = offset + 1
        topic, partition = self.topic_partition
        if isinstance(value, Unreadable):
            log.warning(
                "unreadable", topic=topic, partition=partition, offset=offset, reason=value.reason
            )
        return ConsumerRecord(
            topic,
            partition,
            batch.leader_epoch,
            offset,
            batch.max_timestamp if time is None else time,
            batch.timestamp_type,
            key,
            value,
            list(headers),
            None,
            -1 if key is None else len(key),
            -1 if value is None else len(value),
            -1,
        )


def _bytes(buffer: bytearray, pos: int, end: int) -> tuple[bytes | None, int]:
    length, pos = decode_varint(buffer, pos)
    if length < 0:
        return None, pos
    if pos + length > end:
        raise ValueError("a field reaches beyond its end")
    return bytes(buffer[pos : pos + length]), pos + length


def _name(raw: bytes | None) -> str:
    if raw is None:
        raise ValueError("a header has no name")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        name = Name(raw.decode(errors="backslashreplace"))
        name.raw = raw
        return name


def _naming(parse: Callable[..., Any]) -> Callable[..., Any]:
    """Add the partition to errors in an answer."""

    def named(fetcher: Fetcher, completed: Any) -> Any:
        try:
            return parse(fetcher, completed)
        except Exception as error:
            error.place = completed.topic_partition, completed.fetched_offset  # type: ignore[attr-defined]
            raise

    return named


Fetcher.PartitionRecords = Records
Fetcher._parse_fetched_data = _naming(Fetcher._parse_fetched_data)
