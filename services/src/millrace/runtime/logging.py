"""Logs as JSON, one object per line, on standard output, without secrets."""

import logging
import re
import sys
import threading
import time
from collections.abc import Iterable

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from millrace.runtime import redaction

# Below these levels, libraries log whole URLs, or every request and every retry.
_QUIET = {
    "urllib3": logging.INFO,
    "kafka": logging.WARNING,
    "kafka.cluster": logging.ERROR,
    "kafka.net.selector": logging.ERROR,
    "pymongo": logging.WARNING,
}


LONGEST_LINE = 16_000
"""In characters, each of which is a byte. The engine's log driver splits lines at 16 KiB."""
_SHORTER = (4000, 1000, 200, 40)
"""Lengths to which values are shortened, one after the other, until the line is short enough."""
_TALKATIVE = ("kafka", "pymongo")
REPEATED_SECONDS = 60.0
MOST_SAID = 1000
"""Maximum number of different messages that are remembered."""


class _Renderer:
    """Renders one redacted line of JSON of limited length."""

    def __init__(self) -> None:
        self._render = structlog.processors.JSONRenderer()

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> str:
        line = redaction.scrub(str(self._render(logger, name, event)))
        for limit in _SHORTER:
            if len(line) <= LONGEST_LINE:
                break
            shorter = {key: _shortened(value, limit) for key, value in event.items()}
            line = redaction.scrub(str(self._render(logger, name, shorter)))
        return line


def _shortened(value: object, limit: int) -> object:
    """The beginning and the end of a longer text, because errors have their cause at the end."""
    text = redaction.scrub(str(value))
    left_out = len(text) - limit
    if left_out <= 0:
        return value
    half = limit // 2
    return f"{text[:half]} ... {left_out} characters left out ... {text[-half:]}"


class _OncePerMinute(logging.Filter):
    """Passes a library's message, ignoring numbers in it, once in REPEATED_SECONDS.

    kafka-python logs several times per second that a topic is missing, or a broker unavailable.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in _TALKATIVE:
            return True
        same = record.name, re.sub(r"\d+", "0", record.getMessage())
        at, times = self._said.get(same, (-REPEATED_SECONDS, 0))
        now = time.monotonic()
        if now - at < REPEATED_SECONDS:
            self._said[same] = at, times + 1
            return False
        if len(self._said) >= MOST_SAID:
            self._said.clear()
        self._said[same] = now, 0
        if times:
            record.not_shown = times
        return True


def configure(service: str, level: str, secrets: Iterable[str]) -> None:
    """Log everything of this process, including its libraries, to standard output as JSON."""
    redaction.keep(secrets)

    def name_service(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    shared: list[Processor] = [
        name_service,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(_OncePerMinute())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _Renderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    threading.excepthook = _thread_ended


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    """Log the error that ended a thread, which Python would write unmasked to standard error."""
    name = ended.thread.name if ended.thread else ""
    error = ended.exc_value or ended.exc_type
    structlog.get_logger(__name__).error("thread ended by an error", thread=name, exc_info=error)
