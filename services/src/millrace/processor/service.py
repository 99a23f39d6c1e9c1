"""The process around the loop: settings, threads, probes and signals."""

import gc
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import structlog

from millrace.clients import kafka, mongodb
from millrace.clients.progress import Progress
from millrace.config import Settings
from millrace.feeds import FEEDS
from millrace.feeds.base import Feed
from millrace.processor import backoff
from millrace.processor.cache_writer import CacheWriter
from millrace.processor.errors import Transient, Unknown
from millrace.processor.group import Group
from millrace.processor.loop import LOOK_SECONDS, Loop
from millrace.processor.metrics import Metrics
from millrace.processor.sinks.mongodb import MongoStore
from millrace.processor.sinks.redis import RedisCache
from millrace.processor.sinks.topics import TopicPublisher
from millrace.processor.standing import Standing
from millrace.processor.writer import Writer
from millrace.runtime import logging, signals
from millrace.runtime.exit_codes import Exit
from millrace.runtime.probes import Probes
from millrace.runtime.watchdog import Watchdog

log = structlog.get_logger(__name__)

WRITER = "writer"
GARBAGE_THRESHOLDS = (300_000, 20, 50)
"""Batches are large, short-lived and without cycles, so frequent collections are a waste."""
SILENCE_SECONDS = 3 * LOOK_SECONDS


def run(settings: Settings) -> None:
    """Process until SIGTERM."""
    logging.configure(settings.processor_name, settings.log_level, settings.secrets())
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    stop = signals.ends()
    # The writer retries itself: documents that had been stored are then duplicates, which is
    # success.
    with mongodb.client(settings, retryWrites=False) as client:
        process(settings, MongoStore(client, settings.mongodb_database), stop)
    if any(thread.name.startswith(WRITER) for thread in threading.enumerate()):
        # The interpreter would wait for an answer longer than the time for stopping allows.
        os._exit(Exit.OK)


def process(settings: Settings, store: MongoStore, stop: threading.Event) -> None:
    """Process with this store until told to stop, and serve the probes meanwhile."""
    feeds: dict[str, Feed[Any]] = {
        feed.topic: feed for name, feed in FEEDS.items() if name in settings.feeds
    }
    metrics, progress, standing = Metrics(), Progress(), Standing()
    progress.standing = standing.problem
    cache_writer = _cache_writer(settings, feeds, store, metrics)
    watchdog = Watchdog(settings.processor_watchdog_seconds)
    probes = Probes(
        settings.http_port,
        live=watchdog.late,
        ready=lambda: _problem(store, progress, settings.processor_watchdog_seconds),
        status=lambda: {
            "name": settings.processor_name,
            "feeds": settings.feeds,
            "standing": standing.shown(),
            **({"cache": cache_writer.state} if cache_writer else {}),
        },
        registry=metrics.registry,
    )
    publisher = TopicPublisher(settings)
    give_up = threading.Event()
    try:
        _until_there(lambda: kafka.check_credentials(settings), settings, stop, watchdog.beat)
        # One by one: building indexes of existing collections may take long.
        for feed in feeds.values():
            _until_there(partial(store.prepare, [feed]), settings, stop, watchdog.beat)
        if stop.is_set():
            return
        writer = Writer(
            store,
            publisher,
            metrics,
            dead_letters_topic=settings.dead_letters_topic,
            give_up=give_up,
            longest_wait=settings.processor_retry_seconds,
            **({"stored": cache_writer.offer} if cache_writer else {}),
        )
        if cache_writer:
            cache_writer.start()
        watchdog.watch()
        group = Group(settings, sorted(feeds), metrics.new_logs.inc)
        # A feed whose writes do not complete leaves enough threads to all others.
        others = settings.processor_max_in_flight * (len(feeds) - 1)
        threads = settings.processor_writers + others
        executor = ThreadPoolExecutor(threads, thread_name_prefix=WRITER)
        loop = Loop(
            settings,
            feeds,
            group,
            store,
            writer.complete,
            executor,
            metrics=metrics,
            progress=progress,
            standing=standing,
            beat=lambda: _beat(watchdog, progress, writer, settings.processor_watchdog_seconds),
            stop=stop,
        )
        try:
            _until_there(group.learn_topics, settings, stop, watchdog.beat)
            loop.run()
        finally:
            give_up.set()
            executor.shutdown(wait=False, cancel_futures=True)
            group.close()
    finally:
        if cache_writer:
            cache_writer.close()
        publisher.close()
        probes.close()
        watchdog.rest()
        log.info("stopped")


def _cache_writer(
    settings: Settings, feeds: Mapping[str, Feed[Any]], store: MongoStore, metrics: Metrics
) -> CacheWriter | None:
    """The writer of the latest values, if Redis is deployed and a feed is cached."""
    cached = [feed for feed in feeds.values() if feed.is_cached]
    if not (settings.redis_host and cached):
        return None
    return CacheWriter(
        RedisCache(settings), store.newest, cached, metrics, settings.processor_retry_seconds
    )


def _beat(watchdog: Watchdog, progress: Progress, writer: Writer, limit: float) -> None:
    """A turn of the loop counts as progress only if Kafka answers and batches advance too.

    Errors count as progress: the process is waiting for MongoDB to return.
    """
    moves = min(progress.stuck(), writer.silent(), progress.unheard()) < limit
    if moves and progress.silent() < limit:
        watchdog.beat()


def _problem(store: MongoStore, progress: Progress, limit: float) -> str | None:
    """Why the processor is not ready, or None."""
    if progress.silent() > SILENCE_SECONDS:
        return f"Kafka has not answered for {progress.silent():.0f} s"
    try:
        store.ping()
    except (Transient, Unknown) as error:
        return str(error)
    return progress.problem(limit / 2)


def _until_there(
    step: Callable[[], None], settings: Settings, stop: threading.Event, beat: Callable[[], None]
) -> None:
    """Wait for a server that is not up yet; a refusal is an error that a person has to correct."""
    attempt = 0
    while not stop.is_set():
        beat()
        try:
            step()
        except (Transient, Unknown, kafka.BrokerUnreachable) as error:
            pause = backoff.seconds(attempt, settings.processor_retry_seconds)
            log.warning("waiting", reason=str(error), seconds=round(pause, 1))
            attempt += 1
            stop.wait(pause)
        else:
            return
