"""Request budgets that survive restarts: a restart does not renew a key's allowance.

Counts belong to one key: another key has its own allowance, and the first one's count is kept for
when it is used again. If the clock is set back to an earlier period, requests that were counted in
a later one count in the earlier one too, because it is not known which time was right.
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
"""Minimum waits after the first, second and later refusal in a row: an upstream may ask to retry at
once until the allowance is used up."""
LONGEST_REST = 25 * 3600.0
"""Seconds: the longest day of a provider."""
MOST = 16
"""Maximum number of other periods, and of other keys, that are kept: the latest ones."""


class _Used(msgspec.Struct):
    """The stored state: requests in the period until `until`, and the time of the last one."""

    until: float = 0.0
    requests: int = 0
    last: float = 0.0
    rest_until: float = 0.0
    refusals: int = 0
    key: str = ""
    """A digest of the key of these requests; empty: unknown, so they count for any key."""
    periods: list[tuple[float, int]] = []
    """Other periods: their ends, and the requests in each."""
    others: list["_Used"] = []
    """The states of other keys."""


class Budget:
    """A number of requests per period, and a minimum spacing between two.

    A request is counted on disk before it is sent, so that a crash does not lose the count.
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
        """Requests left in this period; None: unlimited."""
        if self._allowance is None:
            return None
        return max(0, self._allowance - self.requests)

    @property
    def requests(self) -> int:
        """Requests in this period."""
        return self._counted(self._period(self._clock()))

    def take(self) -> None:
        """Count one request, after waiting for the spacing.

        Raises Quota if none is left, or if the upstream has asked to wait.
        """
        now = self._clock()
        # A clock that was set back must not prolong the wait.
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
        """Record a refusal: no requests before `until`, and longer waits after refusals in a row.

        Returns when to ask again.
        """
        now = datetime.fromtimestamp(self._clock(), UTC)
        pause = AGAIN[min(self._used.refusals, len(AGAIN) - 1)]
        until = max(until, min(now + pause, self._period_end(now)))
        self._used.refusals += 1
        self._used.rest_until = until.timestamp()
        self._save()
        return until

    def served(self) -> None:
        """Record an answer that is no refusal."""
        if self._used.refusals:
            self._used.refusals = 0
            self._save()

    def _period(self, now: float) -> float:
        """The end of the current period."""
        end = self._end_after(now)
        return self._used.until if now < self._used.until <= end else end

    def _counted(self, end: float) -> int:
        """Requests that count in the period with this end."""
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
        # If the file is damaged, assume that all requests of this period are used.
        until = self._end_after(self._clock())
        used = load_state(self._path, _Used, self._forgotten(until))
        if used is None and not is_new:
            used = _Used(until=until, requests=self._allowance or 0, key=self._key)
            # Otherwise the same assumption would apply to another period after the next start.
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
