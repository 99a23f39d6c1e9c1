"""The process around the loop: settings, probes and signals."""

import threading
from collections.abc import Callable
from typing import TypeVar

import msgspec
import pyarrow as pa
import structlog

from millrace.archive import catalog, listing
from millrace.archive.loop import Loop
from millrace.archive.metrics import Metrics
from millrace.archive.reading import Reader
from millrace.archive.stream import Stream
from millrace.clients import kafka
from millrace.clients.progress import Progress
from millrace.config import Settings
from millrace.feeds import FEEDS
from millrace.processor import backoff
from millrace.processor.errors import Transient, Unknown
from millrace.runtime import logging, signals
from millrace.runtime.probes import Probes
from millrace.runtime.watchdog import Watchdog

log = structlog.get_logger(__name__)

NAME = "archiver"
T = TypeVar("T")


def run(settings: Settings) -> None:
    """Archive until SIGTERM."""
    # Arrow's own pool keeps a seventh more of the memory that it had.
    pa.set_memory_pool(pa.system_memory_pool())
    logging.configure(NAME, settings.log_level, settings.secrets())
    stop = signals.ends()
    archive(settings, stop)


def archive(settings: Settings, stop: threading.Event) -> None:
    """Archive until told to stop, and serve the probes meanwhile."""
    metrics, progress = Metrics(), Progress()
    streams: dict[str, Stream] = {}
    watchdog = Watchdog(settings.archive_watchdog_seconds)
    probes = Probes(
        settings.http_port,
        live=watchdog.late,
        ready=lambda: _problem(progress, streams, settings),
        status=lambda: {
            "name": NAME,
            "feeds": settings.feeds,
            "archived": {one.feed.name: one.table.offsets.next for one in streams.values()},
            "tables": [
                msgspec.to_builtins(listing.listed(one.table.table, one.feed))
                for one in streams.values()
            ],
            "trouble": [one.trouble for one in streams.values() if one.trouble],
        },
        registry=metrics.registry,
    )
    try:
        waiting = _Waiting(settings, stop, watchdog.beat, progress)
        waiting.until_there(lambda: kafka.check_credentials(settings))
        found = waiting.until_there(lambda: _streams(settings, metrics))
        if found is None:
            return
        streams |= found
        watchdog.watch()
        lost = metrics.lost
        reader = Reader(
            settings,
            lambda topic: streams[topic].next,
            lambda topic, count: lost.labels(streams[topic].feed.name).inc(count),
        )
        try:
            Loop(
                settings,
                streams,
                reader,
                metrics=metrics,
                progress=progress,
                beat=watchdog.beat,
                stop=stop,
            ).run()
        finally:
            reader.close()
    finally:
        probes.close()
        watchdog.rest()
        log.info("stopped")


def _streams(settings: Settings, metrics: Metrics) -> dict[str, Stream]:
    """A stream of each feed, by topic."""
    tables = catalog.opened(settings)
    feeds = [FEEDS[name] for name in settings.feeds]
    return {feed.topic: Stream(settings, tables, feed, metrics) for feed in feeds}


def _problem(progress: Progress, streams: dict[str, Stream], settings: Settings) -> str | None:
    """Why the archiver is not ready, or None."""
    if not streams:
        return progress.trouble or "it has not opened its tables yet"
    limit = settings.archive_watchdog_seconds / 2  # it does not ask Kafka while it writes
    if progress.silent() > limit:
        return f"Kafka has not answered for {progress.silent():.0f} s"
    trouble = [stream.trouble for stream in streams.values() if stream.trouble]
    return "; ".join(trouble) or progress.problem(limit)


class _Waiting:
    """Waits for a server that is not up yet; a refusal is for a person to correct."""

    def __init__(
        self,
        settings: Settings,
        stop: threading.Event,
        beat: Callable[[], None],
        progress: Progress,
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._beat = beat
        self._progress = progress

    def until_there(self, step: Callable[[], T]) -> T | None:
        """What the step returns once it succeeds; None if told to stop."""
        attempt = 0
        while not self._stop.is_set():
            self._beat()
            try:
                return step()
            except (Transient, Unknown, kafka.BrokerUnreachable) as error:
                pause = backoff.seconds(attempt, self._settings.archive_retry_seconds)
                log.warning("waiting", reason=str(error), seconds=round(pause, 1))
                self._progress.trouble = str(error)
                attempt += 1
                self._stop.wait(pause)
        return None
