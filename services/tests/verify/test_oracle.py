"""The oracle, against the definition of a share's move looked up in the whole log."""

from datetime import timedelta
from itertools import count, pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from services.tests.feeds.events import metal, stock, tokens
from services.tests.verify.remembered import Remembered

from millrace.feeds.metals import METALS
from millrace.feeds.stocks import STOCKS, WINDOW, StockPrice
from millrace.feeds.token_usage import TOKEN_USAGE
from millrace.verify.data.oracle import DeadLetter, Outcome, Record, Repeated, Stored, outcomes

THRESHOLD = 0.2
DAY = 24 * 60

prices = st.builds(
    stock,
    st.sampled_from([80.0, 100.0, 130.0]),
    minutes=st.integers(0, 20).map(lambda day: day * DAY),
    symbol=st.sampled_from(["AAPL", "IBM"]),
)
entries = st.tuples(st.integers(0, 1), st.one_of(prices, st.just(None)))


def log(entries_: list[tuple[int, StockPrice | None]]) -> list[Record]:
    offsets = {0: count(), 1: count()}
    return [
        Record(
            partition, next(offsets[partition]), None, msgspec.json.encode(event) if event else None
        )
        for partition, event in entries_
    ]


def by_definition(event: StockPrice, before: list[StockPrice]) -> float | None:
    """The move since the newest earlier price in the window before the newest of all, it too."""
    series = [e for e in before if (e.source, e.symbol) == (event.source, event.symbol)]
    newest = max([event.observed_at, *(e.observed_at for e in series)])
    earlier = [e for e in series if newest - WINDOW <= e.observed_at < event.observed_at]
    if not earlier:
        return None
    last = max(e.observed_at for e in earlier)
    price = next(e.price for e in earlier if e.observed_at == last)
    return 100 * (event.price / price - 1)


@given(st.lists(entries, max_size=30))
def test_it_equals_the_definition(entries_: list[tuple[int, StockPrice | None]]) -> None:
    before: dict[int, list[StockPrice]] = {0: [], 1: []}
    seen: set[str] = set()
    contents: set[bytes] = set()
    records = log(entries_)
    results = outcomes(STOCKS, records, THRESHOLD)
    for record, (partition, event), outcome in zip(records, entries_, results, strict=True):
        if event is None:
            assert isinstance(outcome, DeadLetter)
            assert outcome.record == record
        elif event.event_id in seen:
            is_new = record.value not in contents
            assert outcome == Repeated(record, event.event_id, is_new)
        else:
            seen.add(event.event_id)
            move = by_definition(event, before[partition])
            check(outcome, event, record, move)
            before[partition].append(event)
        contents.add(record.value or b"")


def check(outcome: Outcome, event: StockPrice, record: Record, move: float | None) -> None:
    assert isinstance(outcome, Stored)
    assert outcome.document["_id"] == event.event_id
    assert outcome.document["meta"] == {"change_pct": move}
    assert outcome.document["timestamp_utc"] == event.observed_at
    position = {"topic": "stock-data", "partition": record.partition, "offset": record.offset}
    assert outcome.document["kafka"] == position
    large = move is not None and abs(move) >= 100 * THRESHOLD
    assert (outcome.alert.cause if outcome.alert else None) == (event.event_id if large else None)


def test_a_document_is_as_mongodb_gives_it_back() -> None:
    event = stock(1.0, produced_at=stock(1.0).produced_at + timedelta(microseconds=123_456))
    (outcome,) = outcomes(STOCKS, log([(0, event)]), THRESHOLD)
    assert isinstance(outcome, Stored)
    assert outcome.document["produced_at"].microsecond == 123_000


def test_a_feed_without_alerts_raises_none() -> None:
    values = [msgspec.json.encode(metal(price, hours=hour)) for hour, price in ((0, 1), (30, 9))]
    records = [Record(0, offset, None, value) for offset, value in enumerate(values)]
    found = [o for o in outcomes(METALS, records, THRESHOLD) if isinstance(o, Stored)]
    assert [o.document["meta"]["change_pct_24h"] for o in found] == [None, 800.0]
    assert not any(o.alert for o in found)


def test_what_is_stored_stands_in_for_records_that_are_gone() -> None:
    """Tokens of a server that nobody polled for a while: what they say depends on the past."""
    times = [0.0, 15, 30, 630, 645, 650, 660, 765, 780]
    events = [
        tokens(round(1000 * (now - before)), seconds=now, span_s=now - before)
        for before, now in pairwise(times)
    ]
    records = [Record(0, n, None, msgspec.json.encode(event)) for n, event in enumerate(events)]
    whole = [o for o in outcomes(TOKEN_USAGE, records, THRESHOLD) if isinstance(o, Stored)]
    assert {o.document["meta"]["tokens_per_second"] for o in whole} == {1000.0}
    for gone in range(len(records)):
        past = Remembered([o.document for o in whole[:gone]])
        assert [*outcomes(TOKEN_USAGE, records[gone:], THRESHOLD, past)] == whole[gone:]
