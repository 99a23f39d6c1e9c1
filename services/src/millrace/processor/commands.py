"""What operators command about partitions that stand still, and when it is carried out."""

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
"""So much later is a partition tried again where commands about it cannot be read."""
Records = Mapping[Partition, Sequence[Record]]


class Commands:
    """Of one consumer thread. What is commanded holds also when it is read again."""

    def __init__(
        self, consumer: Consumer, standing: Standing, read_on: Callable[[str], None]
    ) -> None:
        """`read_on` hears of a topic of which all is to be read, however much is bad."""
        self._consumer = consumer
        self._standing = standing
        self._read_on = read_on
        self._known: dict[Partition, Command] = {}

    def recall(self, partitions: Collection[Partition]) -> None:
        """Know what was commanded of what came. Transient, Unknown."""
        self._known = {**self._consumer.commands(partitions)}

    def skips(self, partition: Partition, offset: int) -> Command | None:
        """The command to skip this record, if there is one."""
        command = self._known.get(partition)
        return command if command is not None and command.skip and command.covers(offset) else None

    def look(self) -> None:
        """Obey what is commanded by now of partitions that stand still. Transient, Unknown."""
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
        """Read on where a partition stands, once it is known what is commanded about it by now.

        Not of the topics that are busy.
        """
        if all(topic in busy for topic, _ in self._standing.due()):
            return
        try:
            self.look()
        except (Transient, Unknown) as error:
            # The other partitions go on.
            self._standing.postpone(LATER_SECONDS)
            log.warning("reads no commands, and tries nothing again", reason=str(error))
        else:
            self._standing.try_again(busy)

    def apart(self, polled: Records) -> tuple[Records, Records]:
        """What is counted, and what is commanded, each up to where the command begins or ends.

        What is behind that is read again, so that not one record more goes uncounted.
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
    """Put records into a batch as dead letters, whatever they hold."""
    for record in records:
        batch.dead.append((record, BadRecord(SKIPPED, f"skipped: {command.reason}")))
    batch.first.setdefault(partition, records[0].offset)
    batch.positions[partition] = records[-1].offset + 1
    batch.consumed += len(records)
