"""What holds of the database of events: see processor.ports.Store and api.store.Store.

Each class is given documents by `holding`, which puts them there and returns the store.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from services.tests.api.world import document, usage_document

from millrace.api import costs
from millrace.api.costs import CostQuery
from millrace.api.pagination import Query
from millrace.clients import mongodb
from millrace.feeds import FEEDS
from millrace.feeds.base import TIME_FIELD, Series
from millrace.feeds.token_usage import TOKEN_USAGE
from millrace.processor.pace import Pace
from millrace.processor.points import Moment
from millrace.processor.ports import Below, LogPosition

FEED = FEEDS["stocks"]
START = datetime(2026, 1, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LATER = 1 + FEED.window // MINUTE
SECOND, THIRD = "second", "third"
"""Logs of a topic that was made again."""


def worth(offset: int) -> tuple[float, str]:
    """What is kept of the price with that offset: numbers and currencies differ."""
    return float(offset), ("EUR", "USD")[offset % 2]


def price(
    minute: int,
    offset: int,
    symbol: str = "IBM",
    *,
    source: str = "test",
    partition: int = 0,
    log: str = "",
) -> dict[str, Any]:
    """A document of that minute, whose price follows from its offset."""
    number, currency = worth(offset)
    named = {"log": log} if log else {}
    return {
        "_id": f"{source}:{symbol}:{minute}:{partition}:{offset}{log}",
        "feed": FEED.name,
        "source": source,
        "symbol": symbol,
        TIME_FIELD: START + minute * MINUTE,
        "price": {"value": number, "currency": currency},
        "kafka": {"partition": partition, "offset": offset, **named},
    }


# In the order of the log: two of one time, a late one, one a window later, and others.
PRICES = [
    price(1, 1),
    price(3, 2),
    price(3, 3),
    price(2, 4),
    price(LATER, 5),
    price(4, 6, source="another"),
    price(4, 7, partition=1),
    price(9, 8, "GOOG"),
]
Holding = Callable[[Sequence[dict[str, Any]]], Any]


class Unhurried(Pace):
    """Nobody waits."""

    def __init__(self) -> None:
        pass

    def beat(self) -> None:
        pass

    def turn(self) -> None:
        pass


class Past:
    """Of what the processor asks about a series."""

    @pytest.mark.parametrize(
        ("moment", "below", "expected"),
        [
            (None, 9, (LATER, 5)),
            (None, 5, (3, 2)),
            (Moment(START + 3 * MINUTE, inclusive=True), 9, (3, 2)),
            (Moment(START + 3 * MINUTE, inclusive=False), 9, (2, 4)),
            (Moment(START + 3 * MINUTE, inclusive=False), 4, (1, 1)),
            (Moment(START, inclusive=True), 9, None),
            (None, 1, None),
            (None, 0, None),
        ],
    )
    def test_the_newest_below_an_offset_up_to_a_moment(
        self, holding: Holding, moment: Moment | None, below: int, expected: Any
    ) -> None:
        place, pace = Below(0, below), Unhurried()
        found = dict(
            holding(PRICES).newest_of(FEED, "test", ["IBM", "nobody"], moment, place, pace)
        )
        wanted = expected and (START + expected[0] * MINUTE, worth(expected[1]))
        assert found == {"IBM": wanted, "nobody": None}

    def test_the_newest_of_some_at_once(self, holding: Holding) -> None:
        symbols = ["GOOG", "nobody", "IBM"]
        found = holding(PRICES).newest_of(FEED, "test", symbols, None, Below(0, 9), Unhurried())
        assert dict(found) == {
            "GOOG": (START + 9 * MINUTE, worth(8)),
            "nobody": None,
            "IBM": (START + LATER * MINUTE, worth(5)),
        }

    def test_a_window_in_the_order_of_the_log(self, holding: Holding) -> None:
        store, series = holding(PRICES), Series("test", "IBM")
        for newest, below, expected in [
            (3, 9, [1, 2, 3, 4]),
            (2, 4, [1]),
            (LATER, 9, [1, 2, 3, 4, 5]),
            (LATER + 1, 9, [2, 3, 4, 5]),
            (1, 1, []),
        ]:
            at = START + newest * MINUTE
            found = store.window(FEED, series, at, Below(0, below), Unhurried())
            assert [value for _, value in found] == [worth(offset) for offset in expected]

    def test_of_a_log_that_has_a_name_nothing_else_is_seen(self, holding: Holding) -> None:
        own = [price(1, 1, log=SECOND), price(2, 2, log=SECOND)]
        store, pace = holding([*PRICES, *own, price(5, 0, log=THIRD)]), Unhurried()
        for below, expected in [(9, [1, 2]), (2, [1]), (1, [])]:
            place = Below(0, below, SECOND)
            newest = START + 9 * MINUTE
            window = store.window(FEED, Series("test", "IBM"), newest, place, pace)
            assert [value for _, value in window] == [worth(offset) for offset in expected]
            found = dict(store.newest_of(FEED, "test", ["IBM", "GOOG"], None, place, pace))
            last = expected and (START + expected[-1] * MINUTE, worth(expected[-1]))
            assert found == {"IBM": last or None, "GOOG": None}


class Whereabouts:
    """Of what else it asks about what is stored."""

    def test_where_events_are(self, holding: Holding) -> None:
        again = price(1, 3, log=SECOND)
        ids = [PRICES[0]["_id"], PRICES[6]["_id"], again["_id"], "nobody's"]
        assert holding([*PRICES, again]).places(FEED, ids) == {
            ids[0]: LogPosition("", 0, 1),
            ids[1]: LogPosition("", 1, 7),
            ids[2]: LogPosition(SECOND, 0, 3),
        }

    def test_whether_a_symbol_is_in_another_partition(self, holding: Holding) -> None:
        store = holding(PRICES)
        assert store.is_elsewhere(FEED, "test", ["nobody", "IBM"], 0)
        assert store.is_elsewhere(FEED, "test", ["GOOG"], 1)
        assert not store.is_elsewhere(FEED, "test", ["GOOG"], 0)
        assert not store.is_elsewhere(FEED, "another", ["IBM"], 0)

    def test_whether_a_time_was_not_believed(self, holding: Holding) -> None:
        assert not holding(PRICES).has_claims(FEED)
        assert holding([*PRICES, price(5, 9) | {"claimed_at": START}]).has_claims(FEED)


class Writing:
    """Of what is inserted."""

    def test_what_is_stored_first_under_an_id_stays(self, holding: Holding) -> None:
        store = holding([])
        first = store.insert(FEED.collection, PRICES[:2])
        assert (first.stored, first.duplicates) == (2, frozenset())
        other = PRICES[0] | {"symbol": "OTHER"}
        again = store.insert(FEED.collection, [PRICES[2], other, PRICES[1]])
        assert (again.stored, again.duplicates) == (1, frozenset({1, 2}))
        found = store.stored(FEED.collection, [PRICES[0]["_id"], PRICES[2]["_id"], "nobody's"])
        assert found == {one["_id"]: one for one in (PRICES[0], PRICES[2])}

    def test_times_come_back_in_milliseconds_and_with_a_zone(self, holding: Holding) -> None:
        store, exact = holding([]), START + timedelta(microseconds=1_999)
        store.insert(FEED.collection, [PRICES[0] | {TIME_FIELD: exact}])
        (found,) = store.stored(FEED.collection, [PRICES[0]["_id"]]).values()
        assert found[TIME_FIELD] == START + timedelta(milliseconds=1)
        assert found[TIME_FIELD].tzinfo is not None

    def test_the_first_log_of_a_topic_has_no_name_and_a_later_one_that_of_its_id(
        self, holding: Holding
    ) -> None:
        store, topic = holding([]), f"t-{uuid4().hex}"
        assert store.log_name(topic, None) == ""
        names = [store.log_name(topic, log_id) for log_id in (SECOND, SECOND, THIRD, SECOND)]
        assert names == ["", "", THIRD, ""]
        assert store.log_name(f"another-{topic}", THIRD) == ""


EVENTS = [
    document(number, symbol, source=source)
    for number, symbol, source in [
        (0, "A", "test"),
        (1, "B", "test"),
        (1, "A", "other"),
        (4, "A", "test"),
        (3, "A", "test"),
        (2, "C", "other"),
    ]
]
for place, one in enumerate(EVENTS):
    one["kafka"] = one["kafka"] | {"offset": place}
DAY = datetime(2024, 1, 1, tzinfo=UTC)
QUERIES: list[Query] = [
    Query(feed=FEED.name, **options)
    for options in (
        {},
        {"symbol": "A"},
        {"source": "other"},
        {"symbol": "A", "source": "test"},
        {"since": DAY + MINUTE, "until": DAY + 3 * MINUTE},
        {"symbol": "nobody"},
        {"order": "oldest"},
    )
]


class Reading:
    """Of what the API asks."""

    def test_the_newest_of_a_symbol(self, holding: Holding) -> None:
        store = holding(EVENTS)
        assert store.newest(FEED.collection, "A") == EVENTS[3]
        assert store.newest(FEED.collection, "nobody") is None

    def test_a_page_of_symbols(self, holding: Holding) -> None:
        store = holding(EVENTS)
        assert store.latest(FEED.collection, "", 2) == [EVENTS[3], EVENTS[1]]
        assert store.latest(FEED.collection, "B", 2) == [EVENTS[5]]

    @pytest.mark.parametrize("query", QUERIES)
    def test_pages_are_all_events_of_a_query_in_its_order(
        self, holding: Holding, query: Query
    ) -> None:
        store, found, after = holding(EVENTS), [], None
        for _ in range(1 + len(EVENTS)):
            page = store.events(FEED.collection, query, after, 2)
            found += page.events
            after = page.following
            if after is None:
                break
        wanted = [
            one
            for one in EVENTS
            if query.symbol in (None, one["symbol"])
            and query.source in (None, one["source"])
            and (query.since is None or one[TIME_FIELD] >= query.since)
            and (query.until is None or one[TIME_FIELD] < query.until)
        ]
        assert sorted(found, key=identity) == sorted(wanted, key=identity)
        newest_first = query.order == "newest"
        assert found == sorted(found, key=lambda one: one[TIME_FIELD], reverse=newest_first)

    def test_what_came_between_two_offsets(self, holding: Holding) -> None:
        store = holding(EVENTS)
        assert store.between(FEED.collection, "", 0, 1, 4, None) == EVENTS[1:4]
        assert store.between(FEED.collection, "", 0, 1, 4, "A") == EVENTS[2:4]
        assert store.between(FEED.collection, "", 1, 0, 9, None) == []

    def test_what_came_between_two_offsets_of_a_later_log(self, holding: Holding) -> None:
        later = document(9, "A") | {"kafka": EVENTS[2]["kafka"] | {"log": SECOND}}
        store = holding([*EVENTS, later])
        assert store.between(FEED.collection, SECOND, 0, 1, 4, None) == [later]
        assert store.between(FEED.collection, SECOND, 0, 1, 4, "B") == []
        assert store.between(FEED.collection, THIRD, 0, 1, 4, None) == []

    def test_a_topic_of_which_no_log_is_known_has_its_first(self, holding: Holding) -> None:
        assert holding([]).log_name(f"t-{uuid4().hex}", SECOND) == ""

    @pytest.mark.parametrize(
        ("by", "bucket", "expected"),
        [
            (
                "model",
                "hour",
                [
                    ("16:00", "llama", 40, 1, 1, 1, 1, 0.85),
                    ("15:00", "llama", 40, 14, 2, 2, 1, 0.85),
                    ("15:00", "other", 20, 7, 1, 1, 1, 2.5),
                ],
            ),
            (
                "gpu",
                "minute",
                [
                    ("16:06", "gpu-host/0", 40, 1, 1, 1, 1, 0.85),
                    ("15:01", "gpu-host/1", 30, 9, 1, 1, 0, 0),
                    ("15:00", "gpu-host/0", 30, 12, 2, 1, 1, 2.5),
                ],
            ),
            (
                "host",
                "hour",
                [
                    ("16:00", "gpu-host", 40, 1, 1, 1, 1, 0.85),
                    ("15:00", "gpu-host", 60, 21, 3, 2, 1, 2.5),
                ],
            ),
        ],
    )
    def test_costs_are_summed_and_shown_in_pages(
        self, holding: Holding, by: Any, bucket: Any, expected: list[tuple[Any, ...]]
    ) -> None:
        begin, end = 0, 7200
        used = [
            usage_document(10, 5, begin),
            usage_document(20, 7, 2, model="other", price_per_hour_usd=2.5),
            usage_document(30, 9, 61, gpu_index=1, gpu_name="Voodoo 2", symbol="gpu-host/1/llama"),
            usage_document(40, 1, 4000),
            usage_document(99, 99, begin - 0.001),
            usage_document(99, 99, end),
        ]
        store, found, after = holding(used), [], None
        for _ in expected:
            query = CostQuery(
                by=by,
                bucket=bucket,
                since=used[0][TIME_FIELD],
                until=used[-1][TIME_FIELD],
                limit=2,
                after=after,
            )
            page = store.costs(TOKEN_USAGE.collection, query)
            assert len(page) <= query.limit
            found += page
            after = costs.CostPosition(found[-1]["_id"]["start"], found[-1]["_id"]["group"])
        sums = ("prompt_tokens", "completion_tokens", "events", "gpus", "priced", "price")
        assert [
            (f"{one['_id']['start']:%H:%M}", one["_id"]["group"], *(one[name] for name in sums))
            for one in found
        ] == expected
        assert all(one["_id"]["start"].tzinfo is not None for one in found)


class Newest:
    """Of a collection that has what `base.test_mongo.Symbols` makes of these."""

    NAMES = ("S0", "S1", "S2", "S3")

    def test_a_page_has_the_newest_of_each_symbol_after_one(self, collection: Any) -> None:
        found = mongodb.newest_page(collection, 5000, "S0", 2)
        assert [(one["symbol"], one[TIME_FIELD]) for one in found] == [("S1", 3), ("S2", 3)]
        assert [*mongodb.newest_page(collection, 5000, "S3", 2)] == []

    def test_the_newest_of_all_or_some(self, collection: Any) -> None:
        for symbols, expected in ((None, self.NAMES), (["S2", "nobody", "S0"], ("S0", "S2"))):
            found = mongodb.newest(collection, 5000, symbols=symbols)
            assert sorted((one["symbol"], one[TIME_FIELD]) for one in found) == [
                (name, 3) for name in expected
            ]


def identity(one: dict[str, Any]) -> str:
    return str(one["_id"])
