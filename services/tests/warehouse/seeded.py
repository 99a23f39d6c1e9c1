"""A seeded day of every feed, with days before it for what looks back, as it arrived."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from operator import itemgetter

import msgspec
from services.tests.feeds.events import START, gpu, metal, quote, stock, tokens
from services.tests.warehouse.world import Arrival, arrived

from millrace.events import Event

DAY = 24 * 60
SECOND = timedelta(seconds=1)
AHEAD = "quote:ahead"
"""An event that was dated a day ahead."""
LAST = ("test:XAU:20", "live:20", "gpu:0:60")
"""Events that come alone, after all others: those after them must be computed again, and one is the
first of its hour."""
AHEAD_AT = START + timedelta(hours=2)


def _priced(random: random.Random, price: float) -> float:
    return round(price * (1 + random.uniform(-0.02, 0.02)), 4)


def metals(random: random.Random) -> Iterator[Event]:
    for symbol, source, price in (("XAU", "test", 2000.0), ("XAG", "other", 50.0)):
        for n in range(100):
            price = _priced(random, price)
            unit = "gram" if symbol == "XAG" and n > 90 else "troy_ounce"
            yield metal(
                price,
                hours=n * 0.75 - 60 + (n > 40) * 4,
                symbol=symbol,
                source=source,
                simulated=source == "other",
                unit=unit,
                event_id=f"{source}:{symbol}:{n}",
            )


def stocks(random: random.Random) -> Iterator[Event]:
    price = 100.0
    for day in range(45):
        if day % 7 in (5, 6):
            continue
        price = 50.0 if day == 20 else _priced(random, price)
        yield stock(
            price,
            minutes=(day - 46) * DAY,
            source="replay",
            open=price - 1,
            high=price + 2,
            low=price - 3,
            volume=random.randrange(10**6),
            event_id=f"replay:{day}",
        )
    for n in range(60):
        symbol, price = random.choice([("IBM", 200.0), ("AAPL", 100.0)])
        now = round(price * random.choice([1, 1.01, 1.03, 1.06, 0.5]), 2)
        yield stock(
            now,
            minutes=n * 7,
            symbol=symbol,
            simulated=True,
            open=price,
            high=round(price * 1.01, 2),
            low=price - 3,
            volume=n * 100,
            currency="EUR" if n == 30 else "USD",
            event_id=f"live:{n}",
        )


def quotes(random: random.Random) -> Iterator[Event]:
    price = 200.0
    for n in range(300):
        price = _priced(random, price)
        yield quote(
            price,
            seconds=n * 13 + (n > 100) * 200 + (n > 200) * 7300 + random.random(),
            symbol=random.choice(["IBM", "AAPL"]),
            bid=random.choice([None, price - 0.5]),
            volume=random.randrange(1000),
            event_id=f"quote:{n}",
        )
    yield quote(1.0, seconds=86_400, symbol="IBM", event_id=AHEAD)


def gpus(random: random.Random) -> Iterator[Event]:
    for index in (0, 1):
        joules = 1000.0
        for n in range(150):
            joules = 10.0 if n == 70 else joules + random.randrange(20_000)
            watts = random.choice([None, 250.0, 281.44])
            yield gpu(
                random.choice([None, *range(0, 101, 20)]),
                seconds=n * 61.0 + (n > 100) * 400,
                index=index,
                power_w=watts,
                energy_j=joules if index == 0 else None,
                mem_used_mb=float(random.randrange(24_576)),
                temp_c=random.choice([None, 50.0, 66.0]),
                event_id=f"gpu:{index}:{n}",
            )


def used(random: random.Random) -> Iterator[Event]:
    for n in range(200):
        index, model = random.choice([(0, "llama"), (1, "llama"), (1, "qwen"), (2, "idle")])
        yield tokens(
            0 if model == "idle" else random.randrange(500),
            0 if model == "idle" else random.randrange(900),
            seconds=n * 53.5,
            model=model,
            symbol=f"gpu-host/{index}/{model}",
            gpu_index=index,
            gpu_name="unknown" if index == 2 and n > 150 else "RTX 3090",
            price_per_hour_usd=random.choice([None, None, 0.9]) if index == 1 else None,
            latency_ms=random.choice([None, 12.5, 80.0]),
            event_id=f"tokens:{n}",
        )


FEEDS = {
    "metals": metals,
    "stocks": stocks,
    "quotes": quotes,
    "gpu_metrics": gpus,
    "token_usage": used,
}


def parts(seed: int = 7) -> list[dict[str, list[Arrival]]]:
    """What arrived of each feed in three parts: the second has repeated and late events, too."""
    first: dict[str, list[Arrival]] = {}
    second: dict[str, list[Arrival]] = {}
    third: dict[str, list[Arrival]] = {}
    for feed, events in FEEDS.items():
        source = random.Random(f"{seed}{feed}")
        made = [*events(source)]
        last = [event for event in made if event.event_id in LAST]
        made = [event for event in made if event not in last]
        late = source.sample(made, 12)
        middle = sorted(event.observed_at for event in made)[len(made) // 2]
        in_time = arrived(event for event in made if event not in late)
        end = max(event.observed_at for event in made)
        early = [arrival for arrival in in_time if arrival[0].observed_at < middle]
        repeated = [event for event, *_ in source.sample(early, 5)]
        first[feed] = _ordered([*early, *_again(repeated[:2], middle)])
        second[feed] = _ordered(
            [
                *(arrival for arrival in in_time if arrival[0].observed_at >= middle),
                *((event, place, end) for event, place, _ in arrived(late)),
                *_again(repeated, end),
            ]
        )
        third[feed] = [(event, place, end + SECOND) for event, place, _ in arrived(last)]
    return [first, second, third]


def _again(events: list[Event], at: datetime) -> list[Arrival]:
    """Events as a producer sends them again, which has another number of partitions by then."""
    again = (msgspec.structs.replace(event, produced_at=at) for event in events)
    return [(event, 2, at + timedelta(seconds=2)) for event in again]


def _ordered(arrivals: list[Arrival]) -> list[Arrival]:
    dated = [
        (event, partition, AHEAD_AT if event.event_id == AHEAD else at)
        for event, partition, at in arrivals
    ]
    return sorted(dated, key=itemgetter(2))
