"""Steps of single situations."""

from typing import Any

import msgspec
from services.tests.feeds.events import stock
from services.tests.processor.process import Processor
from services.tests.processor.world import World

from millrace.config import Settings
from millrace.processor.errors import Permanent, Transient, Unknown

FIRST = ("stock-data", 0)
DAY = 24 * 60


def start(world: World, **settings: Any) -> Processor:
    """A processor that has noticed that both partitions are its own."""
    processor = Processor(world, Settings(**settings), lambda: None)
    world.processors.append(processor)
    world.rebalance(dict.fromkeys(world.log, processor))
    processor.step()
    return processor


def produce(world: World, day: int, price: float, *, partition: int = 0, **fields: Any) -> str:
    """Append a share's price of a day; its event id."""
    event = stock(price, minutes=day * DAY, **fields)
    world.produce(partition, msgspec.json.encode(event))
    return event.event_id


def change(world: World, event_id: str) -> Any:
    """The stored move of an event, in per cent."""
    return world.documents[event_id]["meta"]["change_pct"]


def metric(processor: Processor, name: str, **labels: str) -> float | None:
    """A metric of the processor."""
    return processor.metrics.registry.get_sample_value(f"millrace_processor_{name}", labels)


def fail_with(error: Transient | Permanent | Unknown) -> Any:
    """A port's method that fails."""

    def fail(*_: Any) -> Any:
        raise error

    return fail
