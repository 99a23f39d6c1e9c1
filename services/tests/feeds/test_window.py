"""Window: equal to keeping everything and summing what the definition says."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from weakref import WeakSet

from hypothesis import example, given, settings
from hypothesis import strategies as st

from millrace.feeds.window import Use, Window

START = datetime(2026, 1, 2, tzinfo=UTC)
WIDTH, LATENESS = timedelta(seconds=30), timedelta(seconds=10)
KEPT = 2 * WIDTH + LATENESS


class Used(NamedTuple):
    """A use at a second. The id says the second, as an event's does, and which of several."""

    second: int
    which: int
    amount: int
    span: float | None = None

    @property
    def time(self) -> datetime:
        return START + timedelta(seconds=self.second)

    @property
    def value(self) -> Use:
        return f"{self.second}/{self.which}", self.amount, 3 * self.amount, self.span


scattered = st.lists(
    st.builds(
        Used,
        st.integers(0, 200),
        st.integers(0, 2),
        st.integers(0, 9),
        st.none() | st.sampled_from([0.5, 15.0, 600.0]),
    ),
    max_size=40,
)
# A long run in order makes the window trim itself, which it does for many uses at once.
runs = st.integers(0, 400).map(lambda length: [Used(n, 0, n % 7) for n in range(length)])
logs = st.tuples(runs, scattered, st.integers(0, 400)).map(
    lambda drawn: [*drawn[0], *(used._replace(second=used.second + drawn[2]) for used in drawn[1])]
)


class Everything:
    """The model: forgets nothing, and looks for what counts when asked."""

    def __init__(self) -> None:
        self.all: dict[str, Used] = {}

    def is_late(self, time: datetime) -> bool:
        newest = max((used.time for used in self.all.values()), default=time)
        return time < newest - LATENESS

    def add(self, used: Used) -> None:
        if not self.is_late(used.time):
            self.all.setdefault(used.value[0], used)

    def sums(self, asked: Used) -> tuple[int, int, float]:
        now = asked.time
        inside = [used for used in self.all.values() if now - WIDTH < used.time <= now]
        before = [u.time for u in self.all.values() if now - 2 * WIDTH <= u.time <= now - WIDTH]
        if before:
            seconds = (now - max(before)).total_seconds()
        else:
            # Of those of one time, the one that came first.
            oldest = min(inside, key=lambda used: used.time, default=asked)
            seconds = (now - oldest.time).total_seconds() + (oldest.span or 0)
            seconds = max(seconds, asked.span or 0)
        return (
            asked.amount + sum(used.amount for used in inside),
            3 * asked.amount + sum(3 * used.amount for used in inside),
            seconds,
        )


def filled(log: list[Used]) -> Window:
    window = Window(WIDTH, LATENESS)
    for used in log:
        window.add(used.time, used.value)
    return window


# When it trims itself, the last that is not late still reaches back by two windows.
trimmed = [*(Used(n, 0, 1) for n in range(70)), *(Used(127, n, 1) for n in range(58))]


@settings(max_examples=100)
@given(logs)
@example([*trimmed, Used(117, 0, 1)])
def test_it_equals_keeping_everything(log: list[Used]) -> None:
    window, model = Window(WIDTH, LATENESS), Everything()
    for used in log:
        assert window.is_late(used.time) == model.is_late(used.time)
        if not window.is_late(used.time):
            assert window.sums(used.time, *used.value[1:]) == model.sums(used)
        window.add(used.time, used.value)
        model.add(used)


@settings(max_examples=300)
@given(logs, st.integers(0, 100), st.integers(0, 80))
def test_it_is_rebuilt_from_the_first_of_each_event_in_what_is_kept(
    log: list[Used], percent: int, ahead: int
) -> None:
    """As the database gives them: late ones too, in the order of the log, without repetitions."""
    past = log[: len(log) * percent // 100]
    first: dict[str, Used] = {}
    for used in past:
        first.setdefault(used.value[0], used)
    stored = list(first.values())
    newest = max((used.time for used in stored), default=START)
    rebuilt = filled([used for used in stored if used.time >= newest - KEPT])
    original = filled(past)
    rest = [*log[len(past) :], Used(ahead, 5, 1)]
    for used in rest:
        assert rebuilt.is_late(used.time) == original.is_late(used.time)
        if not original.is_late(used.time):
            asked = (used.time, *used.value[1:])
            assert rebuilt.sums(*asked) == original.sums(*asked)
        rebuilt.add(used.time, used.value)
        original.add(used.time, used.value)


class Id(str):
    """Of which is known whether anything holds it."""


def test_it_stays_small_however_long_it_runs() -> None:
    window, held = Window(WIDTH, LATENESS), WeakSet[Id]()
    for second in range(10_000):
        held.add(name := Id(second))
        window.add(START + timedelta(seconds=second), (name, 1, 3, None))
    assert len(window) < 200
    assert len(held) < 200
