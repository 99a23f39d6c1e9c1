"""Builds the warehouse again and again, and remembers what came of it."""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import msgspec
import structlog

from millrace.config import Settings
from millrace.runtime import retry
from millrace.warehouse import child
from millrace.warehouse.contents import Built, Contents
from millrace.warehouse.metrics import Metrics

log = structlog.get_logger(__name__)

NAME = "warehouse"
FIRST_PAUSE_SECONDS = 5.0
"""After a failure; it doubles with each."""
SHOW_SECONDS = 60.0

T = TypeVar("T")


class Run(Protocol):
    """Runs a command, as child.run."""

    def __call__(
        self,
        words: Sequence[str],
        *,
        limit: float,
        stop: threading.Event,
        beat: Callable[[], None],
    ) -> bytes: ...


class Loop:
    """The builds, one after the other. `page` and `problem` may be asked in other threads."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        *,
        beat: Callable[[], None],
        stop: threading.Event,
        run: Run = child.run,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._beat = beat
        self._stop = stop
        self._run = run
        self._contents: Contents | None = None
        self._took: float | None = None
        self._reason: str | None = None
        self._failures = 0
        self._is_building = False

    def run(self) -> None:
        """Build until told to stop."""
        with suppress(child.Stopped):
            self._look()
            while not self._stop.is_set():
                retry.pause(self._build(), self._stop, self._beat)

    def _look(self) -> None:
        """See what is there already. What cannot be read is for the build to say."""
        with suppress(child.ChildFailed):
            self._contents = self._ask(Contents, SHOW_SECONDS, "show")
            self._metrics.show(self._contents)

    def _build(self) -> float:
        """Build, and return the seconds to wait until the next one."""
        interval = self._settings.warehouse_interval_seconds
        self._is_building = True
        try:
            built = self._ask(Built, self._settings.warehouse_limit_seconds, "build")
        except child.ChildFailed as error:
            pause = retry.exponential(self._failures, FIRST_PAUSE_SECONDS, interval)
            self._failures += 1
            self._reason = str(error)
            self._metrics.fail()
            log.warning("not built", reason=self._reason, seconds=pause)
            return pause
        finally:
            self._is_building = False
        self._contents, self._took = built.contents, built.seconds
        self._failures, self._reason = 0, None
        self._metrics.succeed(built)
        log.info(
            "built",
            events=built.contents.new_events,
            is_full=built.contents.is_full,
            seconds=round(built.seconds, 1),
            memory_mb=built.memory_bytes >> 20,
        )
        return interval

    def _ask(self, kind: type[T], limit: float, command: str) -> T:
        """What `millrace warehouse` answers. Raises ChildFailed, Stopped."""
        words = ["warehouse", command, "--json"]
        said = self._run(words, limit=limit, stop=self._stop, beat=self._beat)
        try:
            return msgspec.json.decode(said, type=kind)
        except msgspec.DecodeError as error:
            raise child.ChildFailed(f"its answer cannot be read: {error}") from error

    def problem(self) -> str | None:
        """Why the warehouse is not what it should be, or None. A first build takes its time."""
        return self._reason and f"the last build failed: {self._reason}"

    def _state(self, age: float | None) -> str:
        if age is None:
            return "is building for the first time" if self._is_building else "has built nothing"
        took = f" in {self._took:,.0f} s" if self._took else ""
        return f"built {age:,.0f} s ago{took}"

    def page(self) -> Mapping[str, Any]:
        """The status, for others to show."""
        contents = self._contents
        age = (datetime.now(UTC) - contents.built_at).total_seconds() if contents else None
        return {
            "name": NAME,
            "state": self._state(age),
            "is_building": self._is_building,
            "built_at": contents.built_at if contents else None,
            "age_seconds": age,
            "build_seconds": self._took,
            "failures": self._failures,
            "reason": self._reason,
            "feeds": msgspec.to_builtins(contents.feeds) if contents else {},
        }
