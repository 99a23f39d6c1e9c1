"""The process around the loop: settings, probes and signals."""

import threading

import structlog

from millrace.config import Settings
from millrace.runtime import logging, signals
from millrace.runtime.probes import Probes
from millrace.runtime.watchdog import Watchdog
from millrace.warehouse.loop import NAME, Loop
from millrace.warehouse.metrics import Metrics

log = structlog.get_logger(__name__)

HUNG_SECONDS = 120.0


def run(settings: Settings) -> None:
    """Build until SIGTERM."""
    logging.configure(NAME, settings.log_level, settings.secrets())
    keep_building(settings, signals.ends())


def keep_building(settings: Settings, stop: threading.Event) -> None:
    """Build until told to stop, and serve the probes meanwhile."""
    metrics, watchdog = Metrics(), Watchdog(HUNG_SECONDS)
    loop = Loop(settings, metrics, beat=watchdog.beat, stop=stop)
    probes = Probes(
        settings.http_port,
        live=watchdog.late,
        ready=loop.problem,
        status=loop.page,
        registry=metrics.registry,
    )
    watchdog.watch()
    try:
        loop.run()
    finally:
        probes.close()
        watchdog.rest()
        log.info("stopped")
