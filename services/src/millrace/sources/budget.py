"""Request budgets that survive restarts: a key's allowance is not renewed by starting again.

What is counted belongs to one key: another one has an allowance of its own, and who takes the first
again finds what it had used. Of a clock that was wrong for a while, what it counted in a later
period counts in the one to which it is set back, too: which of both was right is not known.
"""

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from millrace.runtime.state_files import load_state, write_atomically
from millrace.sources.base import Quota

AGAIN = (timedelta(0), timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
"""How long to wait at least after the first refusal in a row, the second, and so on: an upstream
that says to come again at once may say so until the allowance is gone."""
LONGEST_REST = 25 * 3600.0
"""Seconds: the longest day of a provider."""
MOST = 16
"""So many other periods, and other keys, are known: the latest."""


class _Used(msgspec.Struct):
    """What is kept: requests in the period that ends at `until`, and the time of the last one."""

    until: float = 0.0
    requests: int = 0
    last: float = 0.0
    rest_until: float = 0.0
    refusals: int = 0
    key: str = ""
    """A digest of whose requests these are; empty: not known, so of whoever asks."""
    periods: list[tuple[float, int]] = []
    """The ends of other periods, and the requests in each."""
    others: list["_Used"] = []
    """The same of other keys."""


class Budget:
    """So many requests a period, and a shortest distance between two.

    A request is counted, on disk, before it is sent: a crash never makes one free.
    """

    def __init__(
        self,
        path: Path,
        key: str,
        allowance: int | None,
        period_end: Callable[[datetime], datetime],
        spacing: float = 0.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = path
        self._key = hashlib.sha256(key.encode()).hexdigest()[:16]
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
        return max(0, self._allowance - self.requests)

    @property
    def requests(self) -> int:
        """Requests in this period."""
        return self._counted(self._period(self._clock()))

    def take(self) -> None:
        """Count one request, after the pause that spacing asks for.

        Quota if none is left, or if the upstream has said to wait.
        """
        now = self._clock()
        # A clock that was set back must not make the rest longer.
        self._used.rest_until = min(self._used.rest_until, now + LONGEST_REST)
        if now < self._used.rest_until:
            rest = datetime.fromtimestamp(self._used.rest_until, UTC)
            raise Quota("the upstream has said to wait", rest)
        self._turn_to(self._period(now))
        if self.left == 0:
            until = datetime.fromtimestamp(self._used.until, UTC)
            raise Quota("the request budget is used up", until)
        pause = min(self._used.last + self._spacing - now, self._spacing)
        if pause > 0:
            self._sleep(pause)
        self._used.requests += 1
        self._used.last = self._clock()
        self._save()

    def rest(self, until: datetime) -> datetime:
        """The upstream refuses: ask nothing before that, and later after each refusal in a row.

        The answer is when to ask again.
        """
        now = datetime.fromtimestamp(self._clock(), UTC)
        pause = AGAIN[min(self._used.refusals, len(AGAIN) - 1)]
        until = max(until, min(now + pause, self._period_end(now)))
        self._used.refusals += 1
        self._used.rest_until = until.timestamp()
        self._save()
        return until

    def served(self) -> None:
        """The upstream does not refuse."""
        if self._used.refusals:
            self._used.refusals = 0
            self._save()

    def _period(self, now: float) -> float:
        """When the period ends that it is."""
        end = self._end_after(now)
        return self._used.until if now < self._used.until <= end else end

    def _counted(self, end: float) -> int:
        """Requests that count in the period that ends then."""
        used = self._used
        if end == used.until:
            return used.requests
        known = dict(used.periods) | {used.until: used.requests}
        is_set_back = end < used.until
        return known.get(end, 0) + sum(
            count for until, count in known.items() if is_set_back and until > end
        )

    def _turn_to(self, end: float) -> None:
        used, requests = self._used, self._counted(end)
        if end != used.until:
            before = [*used.periods, (used.until, used.requests)]
            used.periods = [(until, n) for until, n in before if n and until != end][-MOST:]
            used.until, used.requests = end, requests

    def _end_after(self, now: float) -> float:
        return self._period_end(datetime.fromtimestamp(now, UTC)).timestamp()

    def _load(self) -> _Used:
        is_new = not self._path.exists()
        # The careful reading of what is damaged is that this period's requests are all made.
        until = self._end_after(self._clock())
        used = load_state(self._path, _Used, self._forgotten(until))
        if used is None and not is_new:
            used = _Used(until=until, requests=self._allowance or 0, key=self._key)
            # Read so again after the next start, it would be those of another period.
            write_atomically(self._path, msgspec.json.encode(used))
        if used is None:
            return _Used(key=self._key)
        if used.key in ("", self._key):
            used.key = self._key
            return used
        known, used.others = [*used.others, used], []
        own = next((one for one in known if one.key == self._key), _Used(key=self._key))
        own.others = [one for one in known if one is not own][-MOST:]
        return own

    def _forgotten(self, until: float) -> str:
        if self._allowance is None:
            return "when the last request was made"
        return (
            "how many requests were made; all count as made, so nothing is asked before"
            f" {datetime.fromtimestamp(until, UTC):%Y-%m-%dT%H:%M:%SZ}: if the key has some left,"
            " remove the file and restart the producer"
        )

    def _save(self) -> None:
        write_atomically(self._path, msgspec.json.encode(self._used))
