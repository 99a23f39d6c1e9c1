"""History: equal to keeping everything and looking at the window, in whatever order values come."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.feeds.history import History

START = datetime(2026, 1, 2, tzinfo=UTC)
WINDOW = timedelta(minutes=30)

minutes = st.integers(0, 120)
late_and_repeated = st.lists(st.tuples(minutes, st.floats(1, 100)), max_size=40)
# A long run in order makes the history trim itself, which it does for many values at once.
run = st.integers(0, 300).map(lambda length: [(minute, float(minute)) for minute in range(length)])
additions = st.tuples(run, late_and_repeated, st.integers(0, 300)).map(
    lambda drawn: [*drawn[0], *((minute + drawn[2], value) for minute, value in drawn[1])]
)


class Everything:
    """The model: forgets nothing, and looks at what is in the window when asked."""

    def __init__(self) -> None:
        self.values: dict[datetime, float] = {}

    def add(self, time: datetime, value: float) -> None:
        self.values.setdefault(time, value)

    def newest(self, before: datetime, *, inclusive: bool) -> tuple[datetime, float] | None:
        oldest = max([before, *self.values]) - WINDOW
        seen = [
            time
            for time in self.values
            if time >= oldest and (time < before or (inclusive and time == before))
        ]
        return (max(seen), self.values[max(seen)]) if seen else None


@settings(max_examples=300)
@given(additions, st.lists(st.integers(-5, 500), min_size=1, max_size=10))
def test_it_equals_keeping_everything(values: list[tuple[int, float]], asked: list[int]) -> None:
    history, model = History(WINDOW), Everything()
    for minute, value in values:
        history.add(START + timedelta(minutes=minute), value)
        model.add(START + timedelta(minutes=minute), value)
    for minute in asked:
        time = START + timedelta(minutes=minute)
        assert history.before(time) == model.newest(time, inclusive=False)
        assert history.at_or_before(time) == model.newest(time, inclusive=True)


@given(late_and_repeated, st.integers(0, 40))
def test_asking_in_between_changes_nothing(values: list[tuple[int, float]], asked: int) -> None:
    silent, asking = History(WINDOW), History(WINDOW)
    time = START + timedelta(minutes=asked)
    for minute, value in values:
        silent.add(START + timedelta(minutes=minute), value)
        asking.before(time)
        asking.add(START + timedelta(minutes=minute), value)
    assert silent.before(time) == asking.before(time)


def test_of_two_values_with_one_time_the_first_counts() -> None:
    history = History(WINDOW)
    history.add(START, 1.0)
    history.add(START, 2.0)
    assert history.at_or_before(START) == (START, 1.0)


def test_the_edge_of_the_window_belongs_to_it() -> None:
    history = History(WINDOW)
    history.add(START, 1.0)
    history.add(START + WINDOW, 2.0)
    assert history.before(START + WINDOW) == (START, 1.0)
    history.add(START + WINDOW + timedelta(milliseconds=1), 3.0)
    assert history.at_or_before(START) is None


def test_what_comes_late_counts_if_it_is_at_the_edge_of_the_window() -> None:
    history = History(WINDOW)
    history.add(START + WINDOW, 2.0)
    history.add(START, 1.0)
    assert history.at_or_before(START) == (START, 1.0)


def test_after_a_stop_that_is_longer_than_the_window_there_is_nothing() -> None:
    history = History(WINDOW)
    history.add(START, 1.0)
    for after, expected in ((WINDOW, (START, 1.0)), (WINDOW + timedelta(microseconds=1), None)):
        assert history.before(START + after) == expected
        assert history.at_or_before(START + after) == expected


def test_trimming_keeps_all_of_the_window() -> None:
    history = History(WINDOW)
    for minute in range(300):
        time = START + timedelta(minutes=minute)
        history.add(time, float(minute))
        if time - WINDOW >= START:
            assert history.at_or_before(time - WINDOW) == (time - WINDOW, minute - 30.0)


def test_it_stays_small_however_long_it_runs() -> None:
    history = History(WINDOW)
    for minute in range(10_000):
        history.add(START + timedelta(minutes=minute), 1.0)
    assert len(history) < 200
