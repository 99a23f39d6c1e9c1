"""workload: one story a seed, readings that hang together, and tokens that follow the load."""

from collections.abc import Callable
from datetime import UTC, datetime
from time import sleep

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.config import Settings
from millrace.errors import ConfigurationError
from millrace.events import Event
from millrace.feeds import FEEDS
from millrace.feeds.gpu_metrics import GpuMetrics
from millrace.feeds.token_usage import TokenUsage
from millrace.invented.gpus import GPUS
from millrace.processor.decode import decoder
from millrace.sources import making
from millrace.sources.workload import Workload

START = datetime(2026, 1, 2, 15, tzinfo=UTC).timestamp()
pauses = st.lists(st.floats(0.01, 9), min_size=1, max_size=12)
feeds = st.sampled_from(["gpu_metrics", "token_usage"])


def test_who_names_no_host_has_the_first(settings: Callable[..., Settings]) -> None:
    """Symbols and ids begin with it: another would make other series."""
    made = making.make(
        settings(
            producer_source="workload", producer_feed="gpu_metrics", producer_interval_seconds=0.01
        )
    )
    sleep(0.03)
    assert {event.symbol for event in made.fetch("workload").events} == {"gpu-1/0", "gpu-1/1"}


class World:
    """A workload, and a time that passes when it is told to."""

    def __init__(self, feed: str, step: float = 1.0, seed: int = 1) -> None:
        self.now = START
        self.source = Workload(feed, step, seed, "gpu-1", clock=lambda: self.now)

    def after(self, *pauses: float) -> list[Event]:
        found: list[Event] = []
        for pause in pauses:
            self.now += pause
            batch = self.source.fetch("workload")
            assert batch.simulated
            found += batch.events
        return found


def story(events: list[Event]) -> list[Event]:
    """Without what depends on when it was polled."""
    return [msgspec.structs.replace(event, produced_at=event.observed_at) for event in events]


@given(pauses, feeds)
def test_a_seed_is_one_story_however_it_is_polled(pauses: list[float], feed: str) -> None:
    polled = story(World(feed).after(*pauses))
    assert polled == story(World(feed).after(*[1.0] * 120))[: len(polled)]
    assert not polled or polled != story(World(feed, seed=2).after(*pauses))
    assert len({event.event_id for event in polled}) == len(polled)


def test_a_restart_goes_on_with_the_same_story() -> None:
    whole = story(World("token_usage").after(*[1.0] * 20))
    late = World("token_usage")
    late.now += 12
    late.source = Workload("token_usage", 1.0, 1, "gpu-1", clock=lambda: late.now)
    again = story(late.after(*[1.0] * 8))
    assert again
    assert again == whole[-len(again) :]


def test_the_story_of_a_seed_stays_what_it_was() -> None:
    """An id that says something else after an upgrade would be a conflict."""
    readings, tokens = World("gpu_metrics").after(0), World("token_usage").after(0)
    assert [
        (one.event_id, one.utilization, one.mem_used_mb, one.power_w, one.temp_c)
        for one in readings
        if isinstance(one, GpuMetrics)
    ] == [
        ("gpu_metrics:workload:gpu-1/0:1767366000000:1", 78, 18762, 279.89, 68),
        ("gpu_metrics:workload:gpu-1/1:1767366000000:1", 67, 33132, 181.48, 55),
    ]
    assert [
        (one.event_id, one.prompt_tokens, one.completion_tokens, one.latency_ms)
        for one in tokens
        if isinstance(one, TokenUsage)
    ] == [
        ("token_usage:workload:3a0195a9116e56a9dafc87991a318fa6", 553, 237, 4030.0),
        ("token_usage:workload:639b8443ae66d5c1cb27d5d1f582fc87", 1399, 599, 10063.3),
    ]


@pytest.mark.parametrize("feed", ["gpu_metrics", "token_usage"])
def test_two_stories_of_one_gpu_contradict_each_other_in_no_event(feed: str) -> None:
    """Somebody runs two producers, or gives one another seed and restarts it."""
    one, other = (World(feed, seed=seed).after(*[1.0] * 20) for seed in (1, 2))
    assert {event.symbol for event in one} == {event.symbol for event in other}
    assert not {event.event_id for event in one} & {event.event_id for event in other}


def test_after_an_outage_it_goes_on_with_what_is_recent() -> None:
    world = World("gpu_metrics")
    events = world.after(3600)
    assert len(events) == 11 * len(GPUS)
    assert min(event.observed_at.timestamp() for event in events) >= world.now - 10


@given(st.lists(st.tuples(st.sampled_from([0.3, 1.0, 4.0]), st.floats(0.01, 20)), max_size=6))
def test_another_rate_holds_from_the_next_event_on(turns: list[tuple[float, float]]) -> None:
    world = World("token_usage")
    world.after(0.0)
    told, ids = START, []
    for rate, pause in turns:
        world.source.pace(50.0, 60)
        assert world.source.pace(rate, 60) == pytest.approx(rate)
        events = world.after(pause)
        times = sorted({event.observed_at.timestamp() for event in events})
        assert abs(len(times) - (world.now - told) * rate / len(GPUS)) <= 1.01
        assert all(told - 0.001 <= time <= world.now for time in times)
        told = max([told, *times])
        ids += [event.event_id for event in events]
    assert len(ids) == len({*ids})


def test_another_rate_before_the_first_poll_brings_nothing_from_before_the_start() -> None:
    world = World("token_usage", step=100.0)
    world.source.pace(len(GPUS) * 1.0, 60)
    assert all(event.observed_at.timestamp() > START - 100 for event in world.after(0.0))


def test_an_interval_that_is_commanded_loses_nothing() -> None:
    tokens = World("token_usage")
    tokens.after(0.0)
    assert tokens.source.pace(4.0, 60) == 4
    assert len(tokens.after(*[60] * 5)) == 5 * 240
    metrics = World("gpu_metrics", step=5)
    metrics.after(0.0)
    assert metrics.source.pace(4.0, 60) == pytest.approx(2 / 60)
    assert len(metrics.after(*[60] * 5)) == 5 * len(GPUS)


def test_a_clock_that_is_set_back_brings_nothing_twice() -> None:
    ids = [event.event_id for event in World("gpu_metrics").after(5, -3, 1, 4)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("feed", ["gpu_metrics", "token_usage"])
def test_a_clock_that_is_set_back_silences_nothing(feed: str) -> None:
    """Each second that passes has its events, although its time was told before."""
    world = World(feed)
    before = world.after(*[1.0] * 60)
    after = world.after(-30, *[1.0] * 40)
    assert len(after) >= 40 * len(GPUS)
    assert all(event.observed_at <= event.produced_at for event in after)
    assert len({event.event_id for event in [*before, *after]}) == len(before) + len(after)


def test_what_is_told_of_a_gpu_is_how_busy_it_is() -> None:
    world = World("gpu_metrics", step=2.5)
    events = world.after(5)
    assert len(events) == 3 * len(GPUS)
    for event in events:
        assert isinstance(event, GpuMetrics)
        assert event.observed_at.timestamp() % 2.5 == 0
        gpu, at = GPUS[event.gpu_index], event.observed_at.timestamp()
        invented = world.source.invented
        load, power = invented.load(gpu, at), invented.power(gpu, at)
        assert (event.host, event.name, event.source) == ("gpu-1", gpu.name, "workload")
        assert event.utilization == round(load)
        assert event.power_w == pytest.approx(power, abs=0.005)
        assert event.power_w != round(power)
        assert event.temp_c == round(invented.temperature(gpu, at))
        assert event.mem_used_mb == gpu.model_memory + round(20 * load)
        assert event.mem_total_mb == gpu.memory
        assert event.price_per_hour_usd


@given(pauses, feeds)
def test_the_processor_takes_every_event(pauses: list[float], feed: str) -> None:
    decode = decoder(FEEDS[feed])
    for event in World(feed, step=0.1).after(*pauses):
        assert decode(msgspec.json.encode(event)) == event


def test_it_gives_the_feed_that_is_asked_for(settings: Callable[..., Settings]) -> None:
    for feed, kind in (("gpu_metrics", GpuMetrics), ("token_usage", TokenUsage)):
        made = settings(
            producer_source="workload", producer_feed=feed, producer_interval_seconds=0.001
        )
        source = making.make(made)
        assert source.feed == feed
        assert {type(event) for event in source.fetch(source.units[0]).events} <= {kind}
    with pytest.raises(
        ConfigurationError, match=r"^MILLRACE_PRODUCER_FEED: .* or token_usage, not stocks"
    ):
        making.make(settings(producer_source="workload", producer_feed="stocks"))
