"""Operators' commands about standing partitions, and their execution."""

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec
import structlog

from millrace.clients.letter_headers import SKIPPED
from millrace.clients.operator_commands import Command
from millrace.processor.batch import Batch, Partition, Record
from millrace.processor.errors import BadRecord, Transient, Unknown
from millrace.processor.ports import Consumer
from millrace.processor.standing import Standing

log = structlog.get_logger(__name__)

LATER_SECONDS = 5.0
"""Delay of a retry if the commands about a partition cannot be read."""
Records = Mapping[Partition, Sequence[Record]]


class Commands:
    """The commands of one consumer thread. They also apply when records are read again."""

    def __init__(
        self, consumer: Consumer, standing: Standing, read_on: Callable[[str], None]
    ) -> None:
        """`read_on` is called with a topic that is to be read on, however many records are bad."""
        self._consumer = consumer
        self._standing = standing
        self._read_on = read_on
        self._known: dict[Partition, Command] = {}

    def recall(self, partitions: Collection[Partition]) -> None:
        """Read the commands about new partitions. Raises Transient, Unknown."""
        self._known = {**self._consumer.commands(partitions)}

    def skips(self, partition: Partition, offset: int) -> Command | None:
        """The command to skip this record, if any."""
        command = self._known.get(partition)
        return command if command is not None and command.skip and command.covers(offset) else None

    def look(self) -> None:
        """Execute new commands about standing partitions. Raises Transient, Unknown."""
        standing = self._standing.places()
        for partition, command in (self._consumer.commands(standing) if standing else {}).items():
            offset, waits = standing[partition]
            known, self._known[partition] = self._known.get(partition), command
            if command != known and command.covers(offset) and (command.skip or waits):
                topic, number = partition
                told = msgspec.to_builtins(command)
                log.warning("carries out a command", topic=topic, partition=number, **told)
                self._standing.carry_out(partition)
                if not command.skip:
                    self._read_on(topic)

    def try_again(self, busy: Collection[str]) -> None:
        """Retry standing partitions that are due, after reading the commands about them.

        Busy topics are left out.
        """
        if all(topic in busy for topic, _ in self._standing.due()):
            return
        try:
            self.look()
        except (Transient, Unknown) as error:
            # Other partitions are not affected.
            self._standing.postpone(LATER_SECONDS)
            log.warning("reads no commands, and tries nothing again", reason=str(error))
        else:
            self._standing.try_again(busy)

    def apart(self, polled: Records) -> tuple[Records, Records]:
        """Split the records into counted ones and ones to skip, up to where a command starts or
        ends.

        Later records are read again, so that no other record is left uncounted.
        """
        counted: dict[Partition, Sequence[Record]] = {}
        commanded: dict[Partition, Sequence[Record]] = {}
        for partition, records in polled.items():
            command, first = self._known.get(partition), records[0].offset
            taken = records
            if command is not None and first < command.end:
                edge = command.end if command.covers(first) else command.first
                taken = [record for record in records if record.offset < edge]
            if len(taken) < len(records):
                self._consumer.seek({partition: taken[-1].offset + 1})
            is_commanded = command is not None and command.covers(first)
            (commanded if is_commanded else counted)[partition] = taken
        return counted, commanded


def skip(partition: Partition, records: Sequence[Record], batch: Batch, command: Command) -> None:
    """Add records to a batch as dead letters, whatever their content."""
    for record in records:
        batch.dead.append((record, BadRecord(SKIPPED, f"skipped: {command.reason}")))
    batch.first.setdefault(partition, records[0].offset)
    batch.positions[partition] = records[-1].offset + 1
    batch.consumed += len(records)
