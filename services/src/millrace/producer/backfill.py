"""Publishes a range of past days once, beside the running producer and without its state.

Events have their usual ids, so that stored ones are duplicates, which is success.
"""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import date

import structlog

from millrace import sources
from millrace.config import Settings
from millrace.errors import ConfigurationError, MillraceError
from millrace.events import Event
from millrace.feeds import FEEDS
from millrace.producer import refusals
from millrace.producer.connection import Connection
from millrace.producer.publisher import Publisher
from millrace.runtime import logging, signals
from millrace.sources import making
from millrace.sources.base import Historical

log = structlog.get_logger(__name__)

CHUNK = 1000
"""Number of events between two readings of the clock."""
PROGRESS_SECONDS = 5.0


class Interrupted(MillraceError):
    """The range was not published completely."""


def run(settings: Settings, first: date | None, end: date | None) -> None:
    """Publish the source's events of the days from `first` up to `end`, exclusive."""
    if first is None or end is None:
        raise ConfigurationError("a range of past days needs both --from and --to")
    if first >= end:
        raise ConfigurationError(f"no day is in the range: --to {end} is not after --from {first}")
    source = making.make(settings)
    if not isinstance(source, Historical):
        raise ConfigurationError(
            f"source {settings.producer_source} does not know the past"
            f" ({', '.join(sources.WITH_HISTORY)} does)"
        )
    logging.configure(settings.producer_name, settings.log_level, settings.secrets())
    stop = signals.ends()
    known = source.between(first, end)
    refusals.tell(known.rejected)
    publish(settings, known.events, FEEDS[source.feed].topic, stop)
    refused = f", {len(known.rejected)} rows refused" if known.rejected else ""
    sys.stdout.write(f"published {len(known.events)} events from {first} up to {end}{refused}\n")


def publish(settings: Settings, events: Sequence[Event], topic: str, stop: threading.Event) -> None:
    """Return when all are acknowledged; raise Interrupted if told to stop before that."""
    connection = Connection(settings, stop, lambda: None)
    client = connection.open()
    if client is None:
        raise Interrupted("stopped before anything was published")
    publisher = Publisher(
        client,
        connection.open,
        topic,
        stop,
        beat=lambda: None,
        on_failure=connection.failed,
        stop_seconds=settings.producer_stop_seconds,
    )
    try:
        in_parts(events, publisher.publish, stop)
    finally:
        publisher.close()


def in_parts(
    events: Sequence[Event],
    send: Callable[[Sequence[Event]], None],
    stop: threading.Event,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Send the events in order, and report progress every few seconds."""
    said = clock()
    for begin in range(0, len(events), CHUNK):
        if stop.is_set():
            raise Interrupted(f"stopped after {begin} of {len(events)} events")
        send(events[begin : begin + CHUNK])
        if clock() - said >= PROGRESS_SECONDS:
            said = clock()
            log.info("publishing the past", published=begin + CHUNK, of=len(events))
