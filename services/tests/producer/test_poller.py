"""The poller: when it polls again after success, errors and restarts."""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from structlog.testing import capture_logs

from millrace.config import LONGEST_SECONDS
from millrace.events import Event
from millrace.producer import overrides, poller, refusals
from millrace.producer.overrides import Overrides
from millrace.producer.poller import PERMANENT_SECONDS, REFUSED_SECONDS, Poller
from millrace.producer.publisher import Undelivered
from millrace.producer.refusals import LONGEST_REASON
from millrace.producer.status import Status, registry
from millrace.producer.timing import Interval, Schedule, Timing
from millrace.runtime import redaction
from millrace.runtime.redaction import Redactor
from millrace.runtime.state_files import StateUnusable
from millrace.sources import metals_api
from millrace.sources.base import (
    Auth,
    Batch,
    Permanent,
    Quota,
    Rejected,
    SourceError,
    Transient,
)
from millrace.sources.generator import Generator

START = datetime(2026, 1, 2, 12, tzinfo=UTC).timestamp()
Answer = Batch | SourceError


def event(number: int, symbol: str = "XAU") -> Event:
    now = datetime.fromtimestamp(START, UTC)
    return Event(
        event_id=f"{symbol}:{number}",
        schema_version=1,
        feed="metals",
        source="fake",
        simulated=True,
        symbol=symbol,
        observed_at=now,
        produced_at=now,
    )


class World:
    """A source with prepared answers, and a time that passes only by waiting for it."""

    feed = "metals"
    simulated = True
    budget_left: int | None = 7

    def __init__(self, state: Path, *, endless: bool = True, shortest: float = 0.0) -> None:
        self.units: tuple[str, ...] = ("all",)
        self.shortest_interval = shortest
        self.endless = endless
        self.now = START
        self.set_back = 0.0
        self.answers: list[Answer] = []
        self.polls: list[tuple[str, float]] = []
        self.published: list[Event] = []
        self.status = Status(name="test", source="fake", feed="metals", simulated=True)
        self.directory = state
        self.state = state / "state.json"
        self.interrupt: Callable[[], None] = lambda: None
        self.commands: dict[float, Callable[[Overrides], Overrides]] = {}
        self.stop = Stop(self)

    def fetch(self, unit: str) -> Batch:
        self.polls.append((unit, self.now - START))
        answer = self.answers.pop(0)
        if not self.answers:
            self.stop.set()
        if isinstance(answer, SourceError):
            raise answer
        return answer

    def publish(self, events: Sequence[Event]) -> None:
        self.interrupt()
        self.published.extend(events)

    def tell(self, after: float, **values: object) -> None:
        """An operator commands this so many seconds after the start."""
        self.commands[after] = lambda before: msgspec.structs.replace(before, **values)

    def run(
        self, *answers: Answer, interval: float = 60.0, timing: Timing | None = None
    ) -> list[float]:
        """Poll until the answers are used up; the seconds at which polls happened."""
        self.answers = list(answers)
        self.stop.clear()
        self.polls = []
        Poller(
            self,
            self.publish,
            self.status,
            self.stop,
            timing=timing or Interval(interval),
            rate=20.0,
            state_dir=self.directory,
            beat=lambda: None,
            clock=lambda: self.now - self.set_back,
            monotonic=lambda: self.now,
        ).run()
        return [when for _, when in self.polls]


class Stop(threading.Event):
    """Waiting for the stop is what makes time pass."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self.on_wait: Callable[[], object] = lambda: None

    def wait(self, timeout: float | None = None) -> bool:
        self.on_wait()
        self._world.now += timeout or 0
        for when in [when for when in self._world.commands if START + when <= self._world.now]:
            overrides.change(self._world.directory, self._world.commands.pop(when), check=False)
        if not self._world.answers:
            self.set()
        return self.is_set()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def batch(*numbers: int) -> Batch:
    return Batch([event(number) for number in numbers], simulated=True)


def test_polls_keep_the_interval(world: World) -> None:
    assert world.run(batch(1), batch(2), batch(3)) == [0, 60, 120]
    assert [e.event_id for e in world.published] == ["XAU:1", "XAU:2", "XAU:3"]


def test_what_is_there_already_does_not_wait_for_the_interval(world: World) -> None:
    more = Batch([event(1)], simulated=True, has_more=True)
    assert world.run(more, more, Batch([event(2)], simulated=True), Batch([], True)) == [
        0,
        0,
        0,
        60,
    ]


def test_an_observation_that_is_polled_again_is_not_sent_again(world: World) -> None:
    world.run(batch(1), batch(1), batch(2))
    assert [e.event_id for e in world.published] == ["XAU:1", "XAU:2"]
    assert world.status.unchanged == 1
    assert world.status.published == 2


def gold(price: float, asked: float) -> Batch:
    """What Metals-API says of gold at the same time, asked so many seconds after it."""
    body = {"timestamp": int(START), "base": "USD", "rates": {"XAU": 1 / price}}
    now = datetime.fromtimestamp(START + asked, UTC)
    return metals_api.normalise(body, ["XAU"], now, simulated=False)


def test_what_is_said_anew_under_an_id_is_sent_and_what_is_merely_asked_again_is_not(
    world: World,
) -> None:
    world.run(gold(4200, 1), gold(4200, 2), gold(4300, 3), gold(4300, 4))
    first, second = world.published
    assert first.event_id == second.event_id
    assert [round(e.price) for e in world.published] == [4200, 4300]  # type: ignore[attr-defined]
    assert (world.status.published, world.status.unchanged) == (2, 2)


def test_of_names_without_end_the_latest_are_known(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "MOST_KNOWN", 2)
    polls = [Batch([event(1, symbol)], simulated=True) for symbol in "abbacabca"]
    world.run(*polls)
    assert "".join(e.symbol for e in world.published) == "abcabca"


def test_the_budget_makes_the_interval_longer(tmp_path: Path) -> None:
    world = World(tmp_path, shortest=3600)
    assert world.run(batch(1), batch(2)) == [0, 3600]


def test_a_transient_error_is_tried_again_soon_and_ever_later(world: World) -> None:
    error = Transient("unwell")
    first, *later = world.run(*[error] * 12, batch(1))
    gaps = [b - a for a, b in zip([first, *later], later, strict=False)]
    assert 1 <= gaps[0] <= 2
    assert all(gap <= 300 for gap in gaps)
    assert gaps[-1] >= 150
    assert world.status.polls["transient"] == 12
    assert world.status.last_error is None


def test_the_backoff_of_a_small_budget_is_long_from_the_start(tmp_path: Path) -> None:
    world = World(tmp_path, shortest=86_400)
    first, second = world.run(Transient("unwell"), batch(1))
    assert second - first >= 86_400 / 60


def test_a_quota_is_waited_for_by_all_units(world: World) -> None:
    world.units = ("a", "b")
    retry_at = datetime.fromtimestamp(START, UTC) + timedelta(hours=5)
    world.run(Quota("used up", retry_at), batch(1), batch(2))
    assert sorted(world.polls) == [("a", 0), ("a", 18_000), ("b", 18_000)]


def test_a_permanent_error_is_tried_again_slowly_and_alone(world: World) -> None:
    world.units = ("good", "bad")
    world.run(batch(1), Permanent("no such symbol"), *[batch(n) for n in range(2, 20)])
    bad = [when for unit, when in world.polls if unit == "bad"]
    good = [when for unit, when in world.polls if unit == "good"]
    assert bad[:2] == [0, PERMANENT_SECONDS]
    assert good[:3] == [0, 60, 120]


def test_a_refused_key_is_tried_again_every_hour(world: World) -> None:
    world.units = ("a", "b")
    world.run(Auth("error 101"), Auth("error 101"), batch(1), batch(2))
    hours = [0, REFUSED_SECONDS, 2 * REFUSED_SECONDS, 2 * REFUSED_SECONDS]
    assert [when for _, when in world.polls] == hours
    assert world.status.polls["auth"] == 2
    assert world.status.refusal() is None


def test_a_refused_key_makes_it_not_ready(world: World) -> None:
    world.run(Auth("error 101"))
    assert world.status.page()["state"] == "key refused"
    assert world.status.refusal() == "the API key is not accepted: error 101"


def test_a_restart_tries_a_refused_key_at_once(tmp_path: Path) -> None:
    world = World(tmp_path, shortest=3600)
    world.run(Auth("error 101"))
    world.now += 10
    assert world.run(batch(1)) == [10]


def test_a_restart_asks_at_once_after_a_quota_too(tmp_path: Path) -> None:
    # The source keeps what its key may: another key need not wait.
    world = World(tmp_path, shortest=3600)
    world.run(Quota("used up", datetime.fromtimestamp(START + 18_000, UTC)))
    world.now = START + 10
    assert world.run(batch(1)) == [10]


def test_a_person_may_have_it_asked_in_spite_of_a_quota(world: World) -> None:
    world.tell(50, runs=1)
    _, second = world.run(Quota("used up", datetime.fromtimestamp(START + 18_000, UTC)), batch(1))
    assert 50 <= second <= 51


def dying(world: World) -> None:
    """The process ends in the midst of a poll."""
    fetch = world.fetch

    def die(unit: str) -> Batch:
        fetch(unit)
        raise KeyboardInterrupt

    world.fetch = die  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.run(batch(1))
    world.fetch = fetch  # type: ignore[method-assign]


def test_polls_that_end_their_process_use_the_budget_no_faster_than_it_bears(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, shortest=3600)
    begun = []
    for _ in range(12):
        dying(world)
        begun += [when for _, when in world.polls]
    gaps = [later - before for before, later in pairwise(begun)]
    assert gaps[0] >= 60
    assert all(after > 1.2 * before for before, after in pairwise(gaps[:4:2]))
    assert min(gaps[7:]) >= 1800


def test_after_a_poll_that_ended_its_process_all_is_as_ever(tmp_path: Path) -> None:
    world = World(tmp_path, shortest=3600)
    dying(world)
    first, *later = world.run(batch(1), batch(2), Transient("unwell"), batch(3))
    assert first <= 120
    assert later[0] == first + 3600
    assert later[2] - later[1] <= 120


def test_without_a_budget_a_restart_polls_at_once(world: World) -> None:
    world.budget_left = None
    dying(world)
    world.now = START + 0.5
    assert world.run(batch(1)) == [0.5]


def test_a_restart_goes_on_with_the_waits_of_an_upstream_that_is_unwell(world: World) -> None:
    world.run(*[Transient("unwell")] * 8)
    first, second = world.run(Transient("unwell"), batch(1))
    assert second - first >= 100


def test_an_error_that_nobody_knows_may_pass(world: World) -> None:
    def fail(unit: str) -> Batch:
        world.fetch = fetch  # type: ignore[method-assign]
        world.polls.append((unit, world.now - START))
        int("9" * 5000 + " k3y")
        raise AssertionError

    fetch = world.fetch
    world.fetch = fail  # type: ignore[method-assign]
    shown = []
    world.stop.on_wait = lambda: shown.append(str(world.status.last_error))
    world.run(batch(1))
    assert len(world.published) == 1
    assert shown[0].startswith("ValueError at test_poller.py:")
    assert "k3y" not in shown[0]
    assert world.status.polls["transient"] == 1


def test_an_error_that_a_person_has_to_put_right_ends_it(world: World) -> None:
    def fail(unit: str) -> Batch:
        world.stop.set()
        raise StateUnusable(f"no room for {unit}")

    world.fetch = fail  # type: ignore[method-assign]
    with pytest.raises(StateUnusable):
        world.run(batch(1))


def test_what_is_not_believed_is_counted(world: World) -> None:
    world.run(Batch([event(1)], simulated=True, rejected=[Rejected("XAG", "zero")]))
    assert world.status.rejected == 1
    assert world.status.published == 1


def test_what_is_not_believed_is_told_when_the_rest_is_published(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is started again before that fetches it again."""
    told: list[Sequence[Rejected]] = []
    monkeypatch.setattr(refusals, "tell", told.append)
    unwell = Batch([event(1)], simulated=True, rejected=[Rejected("XAG", "zero")])

    def undelivered() -> None:
        raise Undelivered("stopped")

    world.interrupt = undelivered
    with pytest.raises(Undelivered):
        world.run(unwell)
    assert (told, world.status.rejected) == ([], 0)
    world.interrupt = lambda: None
    world.run(unwell)
    assert (told, world.status.rejected) == ([unwell.rejected], 1)


def test_of_very_many_that_are_not_believed_the_first_are_shown_and_all_are_counted() -> None:
    many = [Rejected(f"row {n}", f"bad\nBearer {'s3cret' * 10} {'x' * 500}") for n in range(1000)]
    with capture_logs() as said:
        refusals.tell(many)
    assert [one["symbol"] for one in said[:-1]] == [f"row {n}" for n in range(refusals.MOST)]
    assert said[-1]["count"] == 1000 - refusals.MOST
    assert all(len(one["reason"]) <= 300 and "\n" not in one["reason"] for one in said[:-1])
    assert "s3cret" not in str(said)


@pytest.mark.parametrize("kind", [Transient, Permanent, Auth])
def test_what_a_source_says_is_masked_then_cut_before_it_is_shown(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    key = 10 * "k3y"
    monkeypatch.setattr(redaction, "_process", Redactor([key]))
    for before in (0, LONGEST_REASON - 40):
        world.run(kind(f"{before * 'x'}\n{key}{1000 * 'y'}"))
        said = str(world.status.last_error)
        assert "k3y" not in said
        assert "\n" not in said
        assert len(said) <= LONGEST_REASON


def test_the_status_says_what_happened(world: World) -> None:
    world.run(batch(1), Quota("used up", datetime.fromtimestamp(START + 600, UTC)))
    page = world.status.page()
    assert page["simulated"] is True
    assert page["quota_left"] == 7
    assert page["last_error"] == "used up"
    assert page["polls"]["quota"] == 1
    assert page["last_success"] == "2026-01-02T12:00:00Z"


def test_a_source_that_ends_is_published_once_and_then_at_rest(tmp_path: Path) -> None:
    world = World(tmp_path, endless=False)
    assert world.run(batch(1)) == [0]
    assert world.status.state == "finished"
    world.published.clear()
    assert world.run() == []
    assert not world.published


def test_a_source_that_ends_is_not_finished_before_all_is_acknowledged(tmp_path: Path) -> None:
    world = World(tmp_path, endless=False)
    world.interrupt = lambda: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        world.run(batch(1))
    world.interrupt = lambda: None
    world.run(batch(1))
    assert len(world.published) == 1


def test_a_state_without_attempts_is_one_in_which_none_failed(world: World) -> None:
    """As a version before this one has kept it."""
    world.state.write_text(f'{{"due":{{"all":{START + 20}}},"finished":[],"schedule":"","runs":0}}')
    assert world.run(batch(1)) == [20]


def test_a_restart_does_not_poll_before_its_time(world: World) -> None:
    world.run(batch(1))
    world.now = START + 20
    assert world.run(batch(2)) == [60]


def test_a_restart_with_a_shorter_interval_does_not_wait_for_the_longer(world: World) -> None:
    world.run(batch(1), interval=86_400)
    world.now = START
    assert world.run(batch(2), interval=60) == [60]


def test_an_unreadable_state_is_no_state(world: World) -> None:
    world.state.write_text("{")
    assert world.run(batch(1)) == [0]


def test_a_schedule_begins_with_its_next_time(world: World) -> None:
    assert world.run(batch(1), batch(2), timing=Schedule("30 * * * *")) == [1800, 5400]


def test_an_error_at_a_scheduled_time_is_tried_again_before_the_next(world: World) -> None:
    polls = world.run(Transient("unwell"), batch(1), batch(2), timing=Schedule("30 * * * *"))
    assert 1800 < polls[1] <= 1802
    assert polls[2] == 5400


def test_a_pause_begins_and_ends_within_a_second(world: World) -> None:
    world.tell(61, paused=True)
    world.tell(500, paused=False)
    first, second, third = world.run(batch(1), batch(2), batch(3))
    assert (first, second) == (0, 60)
    assert 500 <= third <= 501
    assert not world.status.paused


def test_a_pause_survives_a_restart(world: World) -> None:
    world.tell(1, paused=True)
    world.tell(1000, paused=False)
    world.run(batch(1))
    overrides.change(world.directory, world.commands.pop(1), check=False)
    first = world.run(batch(2))[0]
    assert 1000 <= first <= 1001


def test_a_paused_producer_says_so_and_is_ready(world: World) -> None:
    world.tell(1, paused=True)
    world.tell(10, paused=False)
    shown = []
    world.stop.on_wait = lambda: shown.append(world.status.page()["state"])
    world.run(Auth("error 101"), batch(1))
    assert "paused" in shown
    assert shown[-1] == "key refused"
    world.status.paused = True
    assert world.status.refusal() is None


@pytest.mark.parametrize(("missed", "polled"), [("run", 7200), ("skip", 9000)])
def test_what_a_pause_missed_is_run_or_skipped(
    world: World, missed: Literal["run", "skip"], polled: float
) -> None:
    world.tell(10, paused=True)
    world.tell(7200, paused=False)
    first = world.run(batch(1), timing=Schedule("30 * * * *", missed=missed))[0]
    assert polled <= first <= polled + 1


def test_another_interval_holds_at_once(world: World) -> None:
    world.tell(10, interval_seconds=5.0)
    world.tell(20, interval_seconds=None)
    first, *later = world.run(*[batch(n) for n in range(6)], interval=1000)
    assert first == 0
    assert [b - a for a, b in pairwise(later)][:1] == [5]
    assert later[0] <= 16


def test_the_budget_bounds_an_interval_that_is_commanded(tmp_path: Path) -> None:
    world = World(tmp_path, shortest=3600)
    overrides.change(tmp_path, lambda c: Overrides(interval_seconds=1.0), check=False)
    assert world.run(batch(1), batch(2)) == [0, 3600]
    assert world.status.timing == "every 3600 s"


def test_an_order_beyond_what_is_taken_does_not_end_a_producer(world: World) -> None:
    """It was kept before there was a bound: each start ended with a date that does not exist."""
    overrides.change(world.directory, lambda c: Overrides(interval_seconds=1e12), check=False)
    assert world.run(batch(1)) == [0]
    assert world.status.timing == f"every {LONGEST_SECONDS:g} s"


def test_an_order_of_an_interval_does_not_touch_a_schedule(world: World) -> None:
    overrides.change(world.directory, lambda c: Overrides(interval_seconds=1.0), check=False)
    assert world.run(batch(1), timing=Schedule("30 * * * *")) == [1800]


def test_a_poll_out_of_turn_happens_once_and_the_schedule_stays(world: World) -> None:
    world.tell(100, runs=1)
    first, *later = world.run(batch(1), batch(2), batch(3), timing=Schedule("30 * * * *"))
    assert 100 <= first <= 101
    assert later == [1800, 5400]
    assert world.run(batch(4), timing=Schedule("30 * * * *")) == [9000]


def test_a_poll_out_of_turn_is_not_lost_by_a_restart(world: World) -> None:
    world.run(batch(1), timing=Schedule("30 * * * *"))
    overrides.change(world.directory, lambda c: Overrides(runs=1), check=False)
    world.now = START + 2000
    assert world.run(batch(2), timing=Schedule("30 * * * *")) == [2000]


def test_a_refused_key_is_tried_at_once_if_a_person_asks(world: World) -> None:
    world.tell(50, runs=1)
    _, second = world.run(Auth("error 101"), batch(1))
    assert 50 <= second <= 51


def test_orders_that_cannot_be_read_leave_those_in_force(world: World) -> None:
    file = world.directory / overrides.FILE
    world.stop.on_wait = lambda: file.write_text("{") and None
    assert world.run(batch(1), batch(2)) == [0, 60]
    assert world.status.paused is False


def test_the_status_says_when_the_next_poll_is_and_what_was_heeded(world: World) -> None:
    world.tell(5, paused=True)
    world.tell(9, paused=False)
    world.run(Transient("unwell"), batch(1), batch(2))
    page = world.status.page()
    assert world.status.next_poll == datetime.fromtimestamp(world.polls[-1][1] + START + 60, UTC)
    assert (page["commands"], page["timing"], page["errors"]) == (2, "every 60 s", 1)
    metrics = registry(world.status)
    value = metrics.get_sample_value
    assert value("millrace_producer_paused") == 0
    assert value("millrace_producer_quota_left") == 7
    assert value("millrace_producer_next_poll_timestamp_seconds") == (
        world.status.next_poll.timestamp()
    )
    assert value("millrace_producer_polls_total", {"outcome": "transient"}) == 1


def test_a_source_that_is_paced_has_the_rate_that_is_commanded(world: World) -> None:
    paces: list[tuple[float, float]] = []

    def pace(rate: float, interval: float) -> float:
        paces.append((rate, interval))
        return rate

    world.pace = pace  # type: ignore[attr-defined]
    world.tell(10, rate_per_second=50.0)
    world.tell(20, rate_per_second=None)
    world.run(batch(1), batch(2))
    assert paces == [(20, 60), (50, 60), (20, 60)]
    assert world.status.rate_per_second == 20


def test_a_schedule_paces_its_source_too(world: World) -> None:
    paces: list[float] = []

    def pace(_rate: float, interval: float) -> float:
        paces.append(interval)
        return 7.0

    world.pace = pace  # type: ignore[attr-defined]
    world.run(batch(1), timing=Schedule("*/10 * * * *"))
    assert paces == [600]
    assert world.status.rate_per_second == 7


def test_a_schedule_brings_all_that_a_generator_makes(world: World) -> None:
    """12,000 quotes in ten minutes, whatever the timing."""
    source = Generator((), 20.0, 1, clock=lambda: world.now)
    world.fetch, world.pace = Fetch(world, source), source.pace  # type: ignore[method-assign, attr-defined]
    world.run(*[batch()] * 11, timing=Schedule("* * * * *"))
    assert len(world.published) >= 12_000


HOURS = [Interval(60.0), Schedule("* * * * *")]


@pytest.mark.parametrize("timing", HOURS, ids=lambda timing: timing.text)
def test_a_clock_that_is_set_back_makes_no_wait_longer(world: World, timing: Timing) -> None:
    def an_hour_back() -> None:
        if world.now > START + 90:
            world.set_back = 3600.0

    world.stop.on_wait = an_hour_back
    polls = world.run(*[batch(n) for n in range(5)], timing=timing)
    assert all(later - earlier <= 121 for earlier, later in pairwise(polls))


def test_a_clock_that_is_set_back_during_a_poll_makes_no_wait_longer(world: World) -> None:
    world.interrupt = lambda: setattr(world, "set_back", 3600.0)
    assert world.run(batch(1), batch(2), batch(3)) == [0, 60, 120]


@pytest.mark.parametrize(
    "error", [Auth("101"), Quota("used up", datetime.fromtimestamp(START + 3600, UTC))]
)
def test_a_clock_that_is_set_back_makes_no_rest_longer(world: World, error: SourceError) -> None:
    world.stop.on_wait = lambda: setattr(world, "set_back", 1800.0)
    first, second = world.run(error, batch(1))
    assert first == 0
    assert 3598 <= second <= 3602


class Fetch:
    """Polls a real source; the world counts its prepared answers."""

    def __init__(self, world: World, source: Generator) -> None:
        self._count, self._source = world.fetch, source

    def __call__(self, unit: str) -> Batch:
        self._count(unit)
        return self._source.fetch(unit)
