"""Whether work moves, and what follows for watchdog and readiness."""

from collections.abc import Callable
from typing import Any

import pytest

from millrace.clients.progress import Progress
from millrace.processor import service
from millrace.processor.errors import Transient

PARTITION = ("stock-data", 0)
LIMIT = 90.0


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Answering:
    """Stands for the writer and for the store."""

    def __init__(self, silent: float = 0.0, problem: str | None = None) -> None:
        self._silent = silent
        self._problem = problem

    def silent(self) -> float:
        return self._silent

    def ping(self) -> None:
        if self._problem:
            raise Transient(self._problem)


class Beats:
    count = 0

    def beat(self) -> None:
        self.count += 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def looked(clock: Clock) -> Callable[..., Progress]:
    """Progress after looks at (position, end), each at its time."""

    def after(*looks: tuple[float, int, int]) -> Progress:
        progress = Progress(clock)
        for clock.now, position, end in looks:
            progress.look({PARTITION: (position, end)})
        return progress

    return after


def beats(progress: Progress, *, writer_silent: float = 0.0) -> bool:
    heart: Any = Beats()
    writer: Any = Answering(writer_silent)
    service._beat(heart, progress, writer, LIMIT)
    return bool(heart.count)


def problem(progress: Progress, store: str | None = None) -> str | None:
    answering: Any = Answering(problem=store)
    return service._problem(answering, progress, LIMIT)


def test_a_partition_that_moves_is_not_stuck(looked: Callable[..., Progress]) -> None:
    assert looked((0, 0, 9), (50, 3, 9), (100, 6, 9)).stuck() == 0


def test_a_partition_without_lag_is_not_stuck(looked: Callable[..., Progress]) -> None:
    assert looked((0, 9, 9), (1000, 9, 9)).stuck() == 0


def test_a_partition_with_lag_that_stands_still_is(looked: Callable[..., Progress]) -> None:
    assert looked((0, 9, 9), (10, 9, 12), (50, 9, 20), (100, 9, 30)).stuck() == 90


def test_moving_again_ends_it(looked: Callable[..., Progress]) -> None:
    assert looked((0, 0, 9), (100, 0, 9), (101, 1, 9)).stuck() == 0


def test_a_partition_that_went_elsewhere_is_nobody_s_concern(
    looked: Callable[..., Progress],
) -> None:
    progress = looked((0, 0, 9), (100, 0, 9))
    progress.look({})
    assert progress.stuck() == 0


def test_while_work_moves_the_heart_beats(looked: Callable[..., Progress]) -> None:
    assert beats(looked((0, 0, 9), (100, 5, 9)), writer_silent=1000)


def test_a_hang_stops_the_heart(looked: Callable[..., Progress]) -> None:
    assert not beats(looked((0, 0, 9), (LIMIT, 0, 9)), writer_silent=LIMIT)


def test_an_outage_of_mongodb_does_not(looked: Callable[..., Progress]) -> None:
    assert beats(looked((0, 0, 9), (1000, 0, 9)), writer_silent=10)


def test_asking_the_database_for_what_came_before_does_not_either(
    looked: Callable[..., Progress],
) -> None:
    progress = looked((0, 0, 9), (1000, 0, 9))
    progress.hear()
    assert beats(progress, writer_silent=1000)


def test_kafka_s_silence_does(looked: Callable[..., Progress], clock: Clock) -> None:
    progress = looked((0, 9, 9))
    clock.now = LIMIT
    assert not beats(progress)


def test_ready_means_joined_and_moving_and_both_servers_answer(
    looked: Callable[..., Progress], clock: Clock
) -> None:
    assert problem(looked((0, 0, 9), (10, 5, 9))) is None
    assert problem(looked((0, 0, 9)), store="MongoDB is away") == "MongoDB is away"
    stuck = looked((0, 0, 9), (60, 0, 9))
    assert problem(stuck) == "stock-data/0 stood still for 60 s with 9 records to store"
    outside = looked()
    assert "consumer group" in str(problem(outside))
    outside.look({PARTITION: (9, 9)}, joined=False)
    assert "consumer group" in str(problem(outside))
    outside.look({PARTITION: (9, 9)})
    clock.now += service.SILENCE_SECONDS
    assert problem(outside) is None
    clock.now += 1
    assert problem(outside) == f"Kafka has not answered for {service.SILENCE_SECONDS + 1:.0f} s"


def test_a_partition_may_stand_still_for_half_the_time_that_ends_the_process(
    looked: Callable[..., Progress],
) -> None:
    assert problem(looked((0, 0, 9), (LIMIT / 2, 0, 9))) is None
    assert problem(looked((0, 0, 9), (LIMIT / 2 + 1, 0, 9)))


def test_a_partition_that_nobody_reads_is_not_ready_and_named(clock: Clock) -> None:
    progress = Progress(clock)
    progress.look({PARTITION: (9, 9)}, [("quotes", 0), ("quotes", 1)])
    assert problem(progress) == "nobody reads quotes/0, quotes/1"
    progress.look({PARTITION: (9, 9)}, [("quotes", number) for number in range(12)])
    assert problem(progress) == "nobody reads quotes/0, quotes/1, quotes/2 and 9 more"
    progress.look({PARTITION: (9, 9)})
    assert problem(progress) is None


def test_who_has_no_partition_while_others_read_all_is_ready_to_take_over(clock: Clock) -> None:
    progress = Progress(clock)
    progress.look({})
    assert problem(progress) is None


def test_lag_that_grows_while_nothing_is_stored_is_not_ready(
    looked: Callable[..., Progress],
) -> None:
    growing = looked(*((second, 3, 9 + second) for second in range(0, 60, 5)))
    assert problem(growing) == "stock-data/0 stood still for 55 s with 61 records to store"
