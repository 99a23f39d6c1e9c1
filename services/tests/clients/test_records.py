"""Reading what others wrote: with the library's own classes, as its consumer calls them."""

import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kafka import codec
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder
from kafka.record.util import calc_crc32c
from kafka.structs import TopicPartition

from millrace.clients import compression, records
from millrace.clients.compression import Incompressible, decompress
from millrace.clients.records import FETCHES, Name, Records, Unreadable

PLACE = TopicPartition("stock-data", 0)
CRC, ATTRIBUTES, LAST_OFFSET_DELTA = 17, 21, 23
CODECS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "gzip": (1, codec.gzip_encode),
    "snappy as Java sends it": (2, codec.snappy_encode),
    "snappy as C sends it": (2, lambda data: codec.snappy_encode(data, xerial_compatible=False)),
    "lz4": (3, codec.lz4_encode),
    "zstd": (4, codec.zstd_encode),
}


@pytest.fixture(autouse=True)
def _nothing_was_wrong() -> Iterator[None]:
    yield
    Records.wrong.clear()


def batch(first: int, *values: bytes, headers: Any = ()) -> bytearray:
    """A batch whose records have these values; headers of the second one."""
    builder = MemoryRecordsBuilder(2, 0, 1 << 24)
    for number, value in enumerate(values):
        own = list(headers) if number == 1 else []
        builder.append(1_800_000_000_000 + number, b"key%d" % number, value, headers=own)
    builder.close()
    return bytearray(struct.pack(">q", first) + builder.buffer()[8:])  # as the broker does


def sealed(wire: bytearray) -> bytearray:
    """The same with its checksum right, and its length."""
    wire[8:12] = struct.pack(">i", len(wire) - 12)
    wire[CRC:ATTRIBUTES] = struct.pack(">I", calc_crc32c(memoryview(wire)[ATTRIBUTES:]))
    return wire


def compressed(wire: bytearray, kind: int, content: bytes) -> bytearray:
    header = DefaultRecordBatchBuilder.HEADER_STRUCT.size
    changed = wire[:header] + content
    changed[ATTRIBUTES:LAST_OFFSET_DELTA] = struct.pack(">h", kind)
    return sealed(changed)


def content(wire: bytearray) -> bytes:
    return bytes(wire[DefaultRecordBatchBuilder.HEADER_STRUCT.size :])


def read(wire: bytearray, position: int = 0) -> tuple[list[Any], int]:
    """What a consumer gets from that position on, and its position then."""
    part = Fetcher.PartitionRecords(position, PLACE, MemoryRecords(bytes(wire)))
    found = part.take(1000)
    while part and (more := part.take(1000)):
        found += more
    return found, part.next_fetch_offset


def shown(found: list[Any]) -> list[tuple[int, bytes | None]]:
    return [(record.offset, record.value) for record in found]


class Latin(str):
    """A header's name as a client sends it that has no UTF-8."""

    def encode(self, *_: Any) -> bytes:
        return b"tenant-\xe9"


@pytest.mark.parametrize(("kind", "encode"), CODECS.values(), ids=CODECS)
@pytest.mark.parametrize("size", [1, 3_000_000])
def test_every_codec_of_kafka_is_read(
    kind: int, encode: Callable[[bytes], bytes], size: int
) -> None:
    wire = batch(7, b"a" * size, b"b")
    found, position = read(compressed(wire, kind, encode(content(wire))), 7)
    assert shown(found) == [(7, b"a" * size), (8, b"b")]
    assert position == 9


@pytest.mark.parametrize(("kind", "encode"), CODECS.values(), ids=CODECS)
def test_a_batch_that_would_fill_the_memory_is_one_unreadable_record(
    kind: int, encode: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "LARGEST_BYTES", 2_000_000)
    wire = batch(0, b"a" * 3_000_000, b"b")
    small = compressed(wire, kind, encode(content(wire)))
    (record, _), position = read(small + batch(2, b"c"))
    assert (record.offset, position) == (1, 3)
    assert isinstance(record.value, Unreadable)
    assert record.value.reason == (
        "the batch of offsets 0 to 1: the batch becomes larger than 2,000,000 bytes"
    )
    assert bytes(record.value) == bytes(small)


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 7])
def test_what_is_not_compressed_as_it_says_is_unreadable_and_what_follows_is_read(
    kind: int,
) -> None:
    broken = compressed(batch(0, b"a", b"b"), kind, b"\x01garbage")
    found, position = read(broken + batch(2, b"c", b"d"))
    assert shown(found) == [(1, bytes(broken)), (2, b"c"), (3, b"d")]
    assert "offsets 0 to 1" in found[0].value.reason
    assert position == 4


def test_a_frame_that_ends_early_is_an_error_and_no_endless_loop() -> None:
    with pytest.raises(Incompressible):
        decompress(compression.LZ4, codec.lz4_encode(b"abc" * 1000)[:-10])


def test_a_header_name_that_is_not_utf_8_is_no_reason_not_to_read_its_record() -> None:
    wire = batch(0, b"a", b"b", b"c", headers=[(Latin("x"), b"v"), ("y", None)])
    found, position = read(wire)
    assert shown(found) == [(0, b"a"), (1, b"b"), (2, b"c")]
    assert position == 3
    assert found[1].headers == [("tenant-\\xe9", b"v"), ("y", None)]
    assert isinstance(found[1].headers[0][0], Name)
    assert found[1].headers[0][0].encode("utf-8") == b"tenant-\xe9"
    assert (found[1].key, found[1].timestamp) == (b"key1", 1_800_000_000_001)


def test_a_record_that_cannot_be_read_is_one_of_its_batch() -> None:
    wire = batch(0, b"a", b"needle", b"c")
    at = wire.index(b"needle")
    wire[at - 1] = 2 * 60  # its value claims to be longer than the record
    found, position = read(sealed(wire))
    assert [record.offset for record in found] == [0, 1, 2]
    assert (found[0].value, found[2].value, position) == (b"a", b"c", 3)
    assert isinstance(found[1].value, Unreadable)
    assert b"needle" in bytes(found[1].value)
    assert "beyond its end" in found[1].value.reason


def test_reading_again_from_behind_an_unreadable_record_does_not_bring_it_again() -> None:
    wire = batch(0, b"a", b"needle", b"c")
    wire[wire.index(b"needle") - 1] = 2 * 60
    assert [record.offset for record in read(sealed(wire), 2)[0]] == [2]


def test_when_lengths_are_nonsense_the_rest_of_the_batch_is_one_unreadable_record() -> None:
    wire = batch(0, b"a", b"needle", b"c")
    start = wire.index(b"key1") - 5
    wire[start] = 0x7F  # no length of a record
    found, position = read(sealed(wire) + batch(3, b"d"))
    assert [record.offset for record in found] == [0, 2, 3]
    assert found[1].value.reason.startswith("offsets 1 to 2: ")
    assert position == 4


def test_a_wrong_checksum_is_fetched_again_before_its_batch_is_given_up() -> None:
    wire = batch(0, b"a", b"b")
    wire[-1] ^= 1
    wire += batch(2, b"c")
    for _ in range(FETCHES - 1):
        assert read(wire) == ([], 0)
    found, position = read(wire)
    assert [record.offset for record in found] == [1, 2]
    assert "offsets 0 to 1" in found[0].value.reason
    assert "crc" in found[0].value.reason
    assert position == 3


def test_a_checksum_that_was_wrong_once_costs_nothing() -> None:
    wire = batch(0, b"a", b"b")
    broken = bytearray(wire)
    broken[-1] ^= 1
    assert read(broken) == ([], 0)
    assert shown(read(wire)[0]) == [(0, b"a"), (1, b"b")]


def test_the_end_of_a_spoilt_batch_is_not_believed_but_taken_from_the_next() -> None:
    wire = batch(0, b"a", b"b")
    wire[LAST_OFFSET_DELTA : LAST_OFFSET_DELTA + 4] = struct.pack(">i", 1_000_000)
    wire += batch(2, b"c")
    for _ in range(FETCHES - 1):
        assert read(wire) == ([], 0)
    assert [record.offset for record in read(wire)[0]] == [1, 2]


def test_where_nothing_says_how_far_to_go_the_error_names_the_place() -> None:
    wire = batch(5, b"a", b"b")
    wire[LAST_OFFSET_DELTA : LAST_OFFSET_DELTA + 4] = struct.pack(">i", 1_000_000)
    with pytest.raises(CorruptRecordError) as caught:
        read(wire, 5)
    assert records.place(caught.value) == (PLACE, 5)


def test_readable_batches_are_read_by_the_library_itself() -> None:
    """What the library counts, it counts: this is what we hook into, and must still be there."""
    part = Fetcher.PartitionRecords(1, PLACE, MemoryRecords(bytes(batch(0, b"a", b"b", b"c"))))
    assert shown(part.take(1)) == [(1, b"b")]
    assert shown(part.take(10)) == [(2, b"c")]
    assert not part
    assert part.records_read == 3


def test_an_error_in_a_partitions_answer_says_which_partition_it_is() -> None:
    class Completed:
        topic_partition, fetched_offset = PLACE, 9

    with pytest.raises(AttributeError) as caught:
        Fetcher._parse_fetched_data(object(), Completed())
    assert records.place(caught.value) == (PLACE, 9)
