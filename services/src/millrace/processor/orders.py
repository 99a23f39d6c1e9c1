"""What operators have ordered about partitions that stand still, and when it is carried out."""

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec
import structlog

from millrace.clients.letter_headers import SKIPPED
from millrace.orders import Order
from millrace.processor.batch import Batch, Partition, Record
from millrace.processor.errors import BadRecord, Transient, Unknown
from millrace.processor.ports import Consumer
from millrace.processor.standing import Standing

log = structlog.get_logger(__name__)

LATER_SECONDS = 5.0
"""So much later is a partition tried again where orders about it cannot be read."""
Records = Mapping[Partition, Sequence[Record]]


class Orders:
    """Of one consumer thread. What is ordered holds also when it is read again."""

    def __init__(
        self, consumer: Consumer, standing: Standing, read_on: Callable[[str], None]
    ) -> None:
        """`read_on` hears of a topic of which all is to be read, however much is bad."""
        self._consumer = consumer
        self._standing = standing
        self._read_on = read_on
        self._known: dict[Partition, Order] = {}

    def recall(self, partitions: Collection[Partition]) -> None:
        """Know what was ordered of what came. Transient, Unknown."""
        self._known = {**self._consumer.orders(partitions)}

    def skips(self, partition: Partition, offset: int) -> Order | None:
        """The order to skip this record, if there is one."""
        order = self._known.get(partition)
        return order if order is not None and order.skip and order.covers(offset) else None

    def look(self) -> None:
        """Obey what is ordered by now of partitions that stand still. Transient, Unknown."""
        standing = self._standing.places()
        for partition, order in (self._consumer.orders(standing) if standing else {}).items():
            offset, waits = standing[partition]
            known, self._known[partition] = self._known.get(partition), order
            if order != known and order.covers(offset) and (order.skip or waits):
                topic, number = partition
                told = msgspec.to_builtins(order)
                log.warning("carries out an order", topic=topic, partition=number, **told)
                self._standing.carry_out(partition)
                if not order.skip:
                    self._read_on(topic)

    def try_again(self, busy: Collection[str]) -> None:
        """Read on where a partition stands, once it is known what is ordered about it by now.

        Not of the topics that are busy.
        """
        if all(topic in busy for topic, _ in self._standing.due()):
            return
        try:
            self.look()
        except (Transient, Unknown) as error:
            # The other partitions go on.
            self._standing.postpone(LATER_SECONDS)
            log.warning("reads no orders, and tries nothing again", reason=str(error))
        else:
            self._standing.try_again(busy)

    def apart(self, polled: Records) -> tuple[Records, Records]:
        """What is counted, and what is ordered, each up to where the order begins or ends.

        What is behind that is read again, so that not one record more goes uncounted.
        """
        counted: dict[Partition, Sequence[Record]] = {}
        ordered: dict[Partition, Sequence[Record]] = {}
        for partition, records in polled.items():
            order, first = self._known.get(partition), records[0].offset
            taken = records
            if order is not None and first < order.end:
                edge = order.end if order.covers(first) else order.first
                taken = [record for record in records if record.offset < edge]
            if len(taken) < len(records):
                self._consumer.seek({partition: taken[-1].offset + 1})
            is_ordered = order is not None and order.covers(first)
            (ordered if is_ordered else counted)[partition] = taken
        return counted, ordered


def skip(partition: Partition, records: Sequence[Record], batch: Batch, order: Order) -> None:
    """Put records into a batch as dead letters, whatever they hold."""
    for record in records:
        batch.dead.append((record, BadRecord(SKIPPED, f"skipped: {order.reason}")))
    batch.first.setdefault(partition, records[0].offset)
    batch.positions[partition] = records[-1].offset + 1
    batch.consumed += len(records)
