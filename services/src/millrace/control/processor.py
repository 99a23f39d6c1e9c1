"""`millrace standing`: an operator commands how the processor continues with a standing partition.

The command is stored in Kafka (see `clients/operator_commands.py`), where the partition's processor
reads it while the partition stands. It logs the commands that it executes.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from operator import not_
from typing import Any, NamedTuple

from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata, TopicPartition

from millrace.clients import kafka, lag
from millrace.clients.operator_commands import GROUP, Command, written
from millrace.clients.services import ask
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.feeds import FEEDS
from millrace.runtime.retry import wait_for

MOST = 1000
"""Maximum number of records that one command skips."""
LONGEST_REASON = 200
PATIENCE_SECONDS = 20.0
"""A processor reads commands every 5 s, and waits until the feed has nothing in flight."""
POLL_SECONDS = 1.0


class Refused(MillraceError):
    """The command is not possible."""


class Stand(NamedTuple):
    """The offset of a standing partition, and whether it waits for a command."""

    partition: TopicPartition
    offset: int
    waits: bool

    def __str__(self) -> str:
        return f"{self.partition.topic}/{self.partition.partition}/{self.offset}"


def skip(
    settings: Settings,
    position: str,
    *,
    last: int | None,
    reason: str,
    check: bool,
    fatal: bool = False,
) -> None:
    """Make the record at a position, or all up to `last`, dead letters; the partition goes on.

    The partition must stand there. A `fatal` record ends the processor before it can report it: it
    must be a record that is not stored yet, and the next processor to start executes the command.
    """
    partition, first = _place(settings, position)
    end = (first if last is None else last) + 1
    if not 0 < end - first <= MOST:
        raise Refused(f"--to is an offset from {first} to {first + MOST - 1}")
    if fatal:
        _check_unread(settings, partition, first)
        stand = Stand(partition, first, waits=True)
    else:
        stand = _check_stands(settings, partition, first)
    with _log(settings) as client:
        if end > (ends := kafka.ends(client, [partition])[partition]):
            where = f"{partition.topic}/{partition.partition}"
            raise Refused(f"the last record of {where} is at offset {ends - 1}")
        _give(settings, client, {stand: end}, skip=True, reason=reason, check=check, fatal=fatal)


def _check_stands(settings: Settings, partition: TopicPartition, offset: int) -> Stand:
    found = [stand for stand in _stands(settings) if stand.partition == partition]
    if [stand.offset for stand in found] != [offset]:
        where = f"it stands at {found[0]}" if found else "it does not stand still"
        name = Stand(partition, offset, waits=True)
        raise Refused(f"{name} cannot be skipped: {where} (`millrace status` shows it)")
    return found[0]


def _check_unread(settings: Settings, partition: TopicPartition, offset: int) -> None:
    try:
        with kafka.asking(settings) as client:
            found = lag.read(client, settings.processor_group_id, [partition.topic])
    except KafkaError as error:
        raise Refused(f"Kafka, group {settings.processor_group_id}: {error!r}") from error
    done = {p.partition: p.end - p.lag for p in found}
    if offset < done.get(partition.partition, 0):
        where = f"all before offset {done[partition.partition]} is done"
        raise Refused(f"{Stand(partition, offset, waits=True)} cannot be skipped: {where}")


def resume(settings: Settings, topic: str, *, reason: str, check: bool) -> None:
    """Let a feed that its breaker stopped read all present records, however many are bad."""
    _known(settings, topic)
    found = [s for s in _stands(settings) if s.partition.topic == topic and s.waits]
    if not found:
        raise Refused(f"no partition of {topic} waits for a command (`millrace status` shows it)")
    with _log(settings) as client:
        ends = kafka.ends(client, [stand.partition for stand in found])
        wanted = {stand: ends[stand.partition] for stand in found}
        _give(settings, client, wanted, skip=False, reason=reason, check=check)


def _give(
    settings: Settings,
    client: Any,
    ends: dict[Stand, int],
    *,
    skip: bool,
    reason: str,
    check: bool,
    fatal: bool = False,
) -> None:
    reason = reason.strip()
    if not 0 < len(reason) <= LONGEST_REASON or not reason.isprintable():
        raise Refused(f"--reason is one line of at most {LONGEST_REASON} characters")
    what = "skip" if skip else "read, whatever is bad,"
    lines = [f"{what} from {stand} to before offset {end}" for stand, end in ends.items()]
    if check:
        _say([f"would command: {line}" for line in lines])
        return
    now = datetime.now(UTC)
    commits = {}
    for stand, end in ends.items():
        command = Command(stand.offset, end, skip, reason, settings.kafka_username, now)
        commits[stand.partition] = OffsetAndMetadata(end, written(command), -1)
    client.commit(commits)
    _say([f"commanded: {line} ({reason})" for line in lines])
    if fatal:
        _say(["the next processor that starts carries it out: look at `millrace status`"])
        return
    done = _wait_until_carried_out(settings, {*ends})
    _say(["done" if done else "not carried out yet: look at `millrace status`"])


def _wait_until_carried_out(settings: Settings, commanded: set[Stand]) -> bool:
    """Wait until none of the partitions stands there any more; return whether that is so."""
    return not wait_for(
        lambda: commanded & {*_stands(settings)}, not_, PATIENCE_SECONDS, POLL_SECONDS
    )


def _place(settings: Settings, position: str) -> tuple[TopicPartition, int]:
    topic, _, numbers = position.partition("/")
    number, _, offset = numbers.partition("/")
    if not (number.isdecimal() and offset.isdecimal()):
        raise Refused(f"{position} is no topic/partition/offset, as in stock-data/0/17")
    _known(settings, topic)
    return TopicPartition(topic, int(number)), int(offset)


def _known(settings: Settings, topic: str) -> None:
    topics = [feed.topic for name, feed in FEEDS.items() if name in settings.feeds]
    if topic not in topics:
        raise Refused(f"no feed has a topic {topic} (there are {', '.join(topics)})")


def _stands(settings: Settings) -> Sequence[Stand]:
    """The standing partitions that processors report; producers report none."""
    peers = [ask(settings, host) for host in settings.status_hosts]
    if not any("standing" in peer.says for peer in peers):
        hosts = ", ".join(settings.status_hosts)
        raise Refused(
            f"no processor answers at {hosts}: start it first; a record that ends it each time can"
            " be skipped with --fatal"
        )
    return [
        Stand(
            TopicPartition(one["topic"], one["partition"]), one["offset"], one["waits_for_command"]
        )
        for peer in peers
        for one in peer.says.get("standing", ())
    ]


@contextmanager
def _log(settings: Settings) -> Iterator[Any]:
    """The topics; errors of Kafka are raised as one line."""
    kafka.check_credentials(settings)
    client = kafka.consumer(settings, group_id=GROUP)
    try:
        yield client
    except KafkaError as error:
        raise Refused(f"Kafka, group {GROUP}: {error!r}") from error
    finally:
        client.close(autocommit=False)


def _say(lines: Sequence[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
