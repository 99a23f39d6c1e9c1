"""Who may see the dashboard: one password, sessions in memory, and longer waits after failures."""

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from werkzeug.security import check_password_hash

FREE_FAILURES = 3
"""Failures of an address after which it has to wait before the next attempt."""
LONGEST_WAIT = 60.0
FORGOTTEN_AFTER = 900.0
"""Seconds after which the failures of an address are forgotten."""
SESSION_SECONDS = 12 * 3600.0
MOST_ADDRESSES = 1000
MOST_SESSIONS = 1000
LONGEST_PASSWORD = 1024


class _Failures(NamedTuple):
    times: int
    last_at: float


class Waits(Exception):
    """An address has failed too often: its attempt was not looked at."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"wait {seconds:.0f} s")
        self.seconds = seconds


class Door:
    """Compares passwords. Each comparison takes a tenth of a second of a processor and 32 MB, so
    there is one at a time."""

    def __init__(self, password_hash: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises ValueError if there can be no such hash."""
        check_password_hash(password_hash, "")
        self._hash = password_hash
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def opens(self, password: str, address: str) -> bool:
        """Whether it is the password. Raises Waits after failures from the same address."""
        with self._lock:
            failed = self._failures.get(address, _Failures(0, float("-inf")))
            now = self._clock()
            if now - failed.last_at > FORGOTTEN_AFTER:
                failed = _Failures(0, now)
            left = failed.last_at + wait_after(failed.times) - now
            if left > 0:
                raise Waits(left)
            # The comparison takes the same time wherever they differ.
            if len(password) <= LONGEST_PASSWORD and check_password_hash(self._hash, password):
                self._failures.pop(address, None)
                return True
            self._failures[address] = _Failures(failed.times + 1, self._clock())
            self._failures.move_to_end(address)
            if len(self._failures) > MOST_ADDRESSES:
                self._failures.popitem(last=False)
            return False


def wait_after(failures: int) -> float:
    """Seconds to wait after so many failures: 0, 0, 0, 1, 2, 4 and so on, up to a minute."""
    if failures < FREE_FAILURES:
        return 0.0
    # Not more doublings than a float holds.
    return min(LONGEST_WAIT, 2.0 ** min(failures - FREE_FAILURES, 10))


class Sessions:
    """Who has logged in. Only hashes of the sessions' names are kept; a restart ends them all."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: OrderedDict[str, float] = OrderedDict()

    def begin(self) -> str:
        """A new session; the oldest one ends if there are too many."""
        name = secrets.token_urlsafe(32)
        self._ends[_digest(name)] = self._clock() + SESSION_SECONDS
        if len(self._ends) > MOST_SESSIONS:
            self._ends.popitem(last=False)
        return name

    def knows(self, name: str) -> bool:
        """Whether a session has begun and not ended."""
        return self._ends.get(_digest(name), float("-inf")) > self._clock()

    def end(self, name: str) -> None:
        """End a session, if there is one of this name."""
        self._ends.pop(_digest(name), None)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode(errors="replace")).hexdigest()


def inside(path: str) -> str:
    """Where to go after the login: a path of this site, whatever a link says."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\", "/login", "/logout"))
    return path if plain and path.isprintable() and "\\" not in path else "/"
