"""The producer: polls a source and publishes its events."""

import threading

import structlog

from millrace.config import Settings
from millrace.feeds import FEEDS
from millrace.producer import timing
from millrace.producer.connection import Connection
from millrace.producer.poller import Poller
from millrace.producer.publisher import Publisher
from millrace.producer.status import Status, registry
from millrace.runtime import logging, signals, state_files
from millrace.runtime.probes import Probes
from millrace.runtime.watchdog import Watchdog
from millrace.sources import making
from millrace.sources.base import Source

log = structlog.get_logger(__name__)

HUNG_SECONDS = 180.0


def run(settings: Settings) -> None:
    """Poll and publish until SIGTERM, with a lock on the state against a second process."""
    timing.from_settings(settings)
    source = making.make(settings)
    logging.configure(settings.producer_name, settings.log_level, settings.secrets())
    stop = signals.ends()
    with state_files.locked(settings.producer_state_dir / "lock"):
        produce(settings, source, stop)


def produce(settings: Settings, source: Source, stop: threading.Event) -> None:
    """Poll this source until told to stop, and serve the probes meanwhile."""
    status = Status(
        name=settings.producer_name,
        source=settings.producer_source,
        feed=source.feed,
        simulated=source.simulated,
        symbols=settings.producer_symbols,
        quota_left=source.budget_left,
    )
    watchdog = Watchdog(HUNG_SECONDS)
    watchdog.watch()
    connection = Connection(settings, stop, watchdog.beat)
    probes = Probes(
        settings.http_port,
        live=watchdog.late,
        ready=lambda: connection.problem() or status.refusal(),
        status=status.page,
        registry=registry(status),
    )
    try:
        _poll(settings, source, stop, status, watchdog, connection)
    finally:
        probes.close()
        watchdog.rest()
        log.info("stopped", published=status.published)


def _poll(
    settings: Settings,
    source: Source,
    stop: threading.Event,
    status: Status,
    watchdog: Watchdog,
    connection: Connection,
) -> None:
    client = connection.open()
    if client is None:
        return

    def on_failure(problem: str) -> None:
        status.delivery_failures += 1
        connection.failed(problem)

    publisher = Publisher(
        client,
        connection.open,
        FEEDS[source.feed].topic,
        stop,
        beat=watchdog.beat,
        on_failure=on_failure,
        stop_seconds=settings.producer_stop_seconds,
        on_skew=lambda seconds: setattr(status, "clock_ahead_seconds", seconds),
    )
    poller = Poller(
        source,
        publisher.publish,
        status,
        stop,
        timing=timing.from_settings(settings),
        rate=settings.producer_rate_per_second,
        state_dir=settings.producer_state_dir,
        beat=watchdog.beat,
    )
    try:
        poller.run()
    finally:
        publisher.close()
