"""Passwords, waits after failures, sessions, and where a login leads."""

import pytest
from werkzeug.security import generate_password_hash

from millrace.dashboard import login
from millrace.dashboard.login import Door, Sessions, Waits, inside, wait_after

# Few rounds: the tests are of what is around them.
HASH = generate_password_hash("open sesame", method="scrypt:1024:8:1")
HERE, THERE = "192.0.2.1", "192.0.2.2"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_only_the_password_opens() -> None:
    door = Door(HASH)
    assert door.opens("open sesame", HERE)
    for wrong in ("", "open sesam", "open sesame ", "Open Sesame", "x" * 2000):
        assert not Door(HASH).opens(wrong, HERE)


def test_what_is_no_hash_opens_for_nobody() -> None:
    assert not Door("open sesame").opens("open sesame", HERE)


def test_an_address_that_fails_waits_longer_each_time_and_others_do_not() -> None:
    clock = Clock()
    door = Door(HASH, clock)
    for _ in range(3):
        assert not door.opens("wrong", HERE)
    with pytest.raises(Waits) as waits:
        door.opens("open sesame", HERE)
    assert waits.value.seconds == 1
    assert door.opens("open sesame", THERE)
    clock.now += 1
    assert not door.opens("wrong", HERE)
    clock.now += 1
    with pytest.raises(Waits):
        door.opens("open sesame", HERE)
    clock.now += 1
    assert door.opens("open sesame", HERE)
    # A success forgets them.
    assert not door.opens("wrong", HERE)
    assert door.opens("open sesame", HERE)


def test_waits_end() -> None:
    assert [wait_after(n) for n in (0, 2, 3, 4, 5, 8, 9, 5000)] == [0, 0, 1, 2, 4, 32, 60, 60]
    clock = Clock()
    door = Door(HASH, clock)
    for _ in range(3):
        door.opens("wrong", HERE)
    clock.now += login.FORGOTTEN_AFTER + 1
    assert not door.opens("wrong", HERE)
    assert door.opens("open sesame", HERE)


def test_as_many_addresses_are_remembered_as_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(login, "MOST_ADDRESSES", 2)
    door = Door(HASH, Clock())
    for address in (HERE, HERE, HERE, THERE, "192.0.2.3"):
        door.opens("wrong", address)
    assert door.opens("open sesame", HERE)


def test_a_session_lasts_until_it_ends() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    one, other = sessions.begin(), sessions.begin()
    assert one != other
    assert sessions.knows(one)
    assert not sessions.knows("")
    sessions.end(one)
    assert not sessions.knows(one)
    assert sessions.knows(other)
    clock.now += login.SESSION_SECONDS
    assert not sessions.knows(other)


def test_the_oldest_session_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "MOST_SESSIONS", 2)
    sessions = Sessions(Clock())
    names = [sessions.begin() for _ in range(3)]
    assert [sessions.knows(name) for name in names] == [False, True, True]


@pytest.mark.parametrize(
    ("given", "goes"),
    [
        ("/market?symbols=IBM&tz=UTC", "/market?symbols=IBM&tz=UTC"),
        ("/", "/"),
        ("", "/"),
        ("https://example.org/", "/"),
        ("//example.org/", "/"),
        ("/\\example.org", "/"),
        ("/a\\b", "/"),
        ("/a\r\nSet-Cookie: b", "/"),
        ("/login?next=/login", "/"),
        ("/logout", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_a_login_leads_to_this_site(given: str, goes: str) -> None:
    assert inside(given) == goes
