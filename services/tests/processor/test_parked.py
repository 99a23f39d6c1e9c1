"""The client library's own consumer, with answers of a broker laid into its fetcher."""

from typing import Any

from kafka.record import MemoryRecordsBuilder
from kafka.record.memory_records import MemoryRecords
from kafka.structs import TopicPartition

from millrace.processor.parked import Resuming

PAUSED, OTHER = TopicPartition("stock-data", 0), TopicPartition("stock-data", 1)


def part(fetcher: Any, partition: TopicPartition, count: int) -> Any:
    builder = MemoryRecordsBuilder(magic=2, compression_type=0, batch_size=1 << 20)
    for number in range(count):
        builder.append(number, None, b"%d" % number)
    builder.close()
    return fetcher.PartitionRecords(0, partition, MemoryRecords(bytes(builder.buffer())))


def offsets(fetcher: Any, most: int) -> dict[TopicPartition, list[int]]:
    found, _ = fetcher.fetched_records(max_records=most)
    return {
        partition: [record.offset for record in records] for partition, records in found.items()
    }


def test_what_was_read_before_a_pause_comes_after_it(client: Any) -> None:
    client.assign([PAUSED, OTHER])
    for partition in (PAUSED, OTHER):
        client.seek(partition, 0)
    fetcher = client._fetcher
    assert isinstance(fetcher, Resuming)
    fetcher._next_partition_records = part(fetcher, PAUSED, 4)
    assert offsets(fetcher, 2) == {PAUSED: [0, 1]}
    client.pause(PAUSED)
    assert offsets(fetcher, 2) == {}
    fetcher._next_partition_records = part(fetcher, OTHER, 1)
    assert offsets(fetcher, 2) == {OTHER: [0]}
    client.resume(PAUSED)
    assert offsets(fetcher, 9) == {PAUSED: [2, 3]}
    assert PAUSED in fetcher._fetchable_partitions()
