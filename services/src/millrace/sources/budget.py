"""Request budgets that survive restarts: a key's allowance is not renewed by starting again."""

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from millrace.sources.base import Quota
from millrace.state import write_atomically


class _Used(msgspec.Struct):
    """What is kept: requests in the period that ends at `until`, and the time of the last one."""

    until: float = 0.0
    requests: int = 0
    last: float = 0.0


class Budget:
    """So many requests a period, and a shortest distance between two.

    A request is counted, on disk, before it is sent: a crash never makes one free.
    """

    def __init__(
        self,
        path: Path,
        allowance: int | None,
        period_end: Callable[[datetime], datetime],
        spacing: float = 0.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = path
        self._allowance = allowance
        self._period_end = period_end
        self._spacing = spacing
        self._clock = clock
        self._sleep = sleep
        self._used = self._load()

    @property
    def left(self) -> int | None:
        """Requests left in this period; None: as many as you like."""
        if self._allowance is None:
            return None
        requests = self._used.requests if self._clock() < self._used.until else 0
        return max(0, self._allowance - requests)

    def take(self) -> None:
        """Count one request, after the pause that spacing asks for; Quota if none is left."""
        now = self._clock()
        if now >= self._used.until:
            self._used.requests = 0
            self._used.until = math.inf
        # A clock that was set back must not make the period longer, nor renew the allowance.
        self._used.until = min(self._used.until, self._end_after(now))
        if self.left == 0:
            raise Quota("the request budget is used up", self._retry_at())
        pause = min(self._used.last + self._spacing - now, self._spacing)
        if pause > 0:
            self._sleep(pause)
        self._used.requests += 1
        self._used.last = self._clock()
        self._save()

    def exhaust(self) -> datetime:
        """The upstream says that nothing is left: believe it, and say when the period ends."""
        if self._allowance is not None:
            self._used.requests = max(self._used.requests, self._allowance)
            self._save()
        return self._retry_at()

    def _retry_at(self) -> datetime:
        return datetime.fromtimestamp(self._used.until, UTC)

    def _end_after(self, now: float) -> float:
        return self._period_end(datetime.fromtimestamp(now, UTC)).timestamp()

    def _load(self) -> _Used:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Used)
        except FileNotFoundError:
            return _Used()
        except (msgspec.DecodeError, OSError):
            # Unreadable: the careful reading is that this period's requests are all gone.
            return _Used(until=self._end_after(self._clock()), requests=self._allowance or 0)

    def _save(self) -> None:
        write_atomically(self._path, msgspec.json.encode(self._used))
