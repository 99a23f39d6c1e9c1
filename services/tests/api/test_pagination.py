"""Pages of events: complete, without repetition, whatever arrives between them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from services.tests.api.database import Collection
from services.tests.api.world import AUTHORIZED, World, document
from services.tests.mongo import matches

from millrace.api import search
from millrace.api.pagination import Position, Query, decode, encode, mongo_filter
from millrace.api.problems import Problem
from millrace.feeds.base import BY_SERIES

times = st.datetimes(timezones=st.just(UTC))
queries = st.builds(
    Query,
    feed=st.text(),
    order=st.sampled_from(["newest", "oldest"]),
    symbol=st.none() | st.text(),
    source=st.none() | st.text(),
    since=st.none() | times,
    until=st.none() | times,
)
positions = st.builds(Position, time=times, event_id=st.none() | st.text())


@given(query=queries, position=positions)
def test_a_cursor_leads_back_to_its_position(query: Query, position: Position) -> None:
    text = encode(query, position)
    assert decode(query, text, Position) == position
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(one=queries, other=queries, position=positions)
def test_a_cursor_of_another_query_is_a_problem(
    one: Query, other: Query, position: Position
) -> None:
    if one != other:
        with pytest.raises(Problem, match="other parameters"):
            decode(other, encode(one, position), Position)


@given(text=st.text())
def test_no_text_is_more_than_a_problem(text: str) -> None:
    with pytest.raises(Problem, match="not one that this API has made"):
        decode(Query(feed="stocks"), text, Position)


# Few minutes and symbols: many events have the same time.
stored = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from("AB"), st.sampled_from(["one", "two"])),
    unique=True,
    max_size=15,
)


def made(minute: int, symbol: str, source: str) -> dict[str, Any]:
    one = document(minute, symbol, source=source)
    return {**one, "_id": f"{source}:{symbol}:{minute}"}


@given(
    at_first=stored,
    later=stored,
    limit=st.integers(1, 4),
    order=st.sampled_from(["newest", "oldest"]),
    symbol=st.none() | st.just("A"),
    source=st.none() | st.just("one"),
    few=st.integers(1, 4),
    seconds=st.sampled_from([0.0, 1e9]),
)
@settings(deadline=None)
def test_pages_show_everything_once_whatever_arrives_meanwhile(
    at_first: list[Any],
    later: list[Any],
    limit: int,
    order: str,
    symbol: str | None,
    source: str | None,
    few: int,
    seconds: float,
) -> None:
    """However few events are looked through at a time, and however soon a search ends."""
    world = World(*(made(*one) for one in at_first))
    client = world.app().test_client()
    arriving = [made(*one) for one in later if one not in at_first]
    filters = {"symbol": symbol, "source": source}
    query = {"limit": limit, "order": order, **{k: v for k, v in filters.items() if v}}
    shown: list[str] = []
    cursor: dict[str, str] | None = {}
    with (
        patch.object(search, "LOOKED_THROUGH", few),
        patch.object(search, "SEARCH_SECONDS", seconds),
    ):
        while cursor is not None:
            answer = client.get(
                "/v1/stocks/events", query_string=query | cursor, headers=AUTHORIZED
            )
            page = answer.get_json()
            assert len(page["events"]) <= limit
            if page["next"] and (source is None or seconds):
                assert len(page["events"]) == limit
            shown += [event["event_id"] for event in page["events"]]
            cursor = {"cursor": page["next"]} if page["next"] else None
            if arriving:
                world.memory.documents.append(arriving.pop())
    assert len(shown) == len(set(shown))
    wanted = [
        made(*one)["_id"]
        for one in at_first
        if symbol in (None, one[1]) and source in (None, one[2])
    ]
    assert {*wanted} <= set(shown)
    places = [(int(name.rsplit(":", 1)[1]), name) for name in shown]
    assert places == sorted(places, reverse=order == "newest")
    assert all(name.startswith(source or "") for name in shown)


ids = st.sampled_from(["a", "b", "c"])
moments = st.integers(0, 2).map(lambda minute: datetime(2024, 1, 1, 0, minute, tzinfo=UTC))
places = st.builds(Position, time=moments, event_id=st.none() | ids)


@given(order=st.sampled_from(["newest", "oldest"]), one=places, other=places)
def test_the_filter_between_two_positions_is_what_lies_between(
    order: Any, one: Position, other: Position
) -> None:
    def place(position: Position) -> tuple[datetime, str]:
        behind = "" if order == "newest" else "~"
        return position.time, position.event_id or behind

    after, last = sorted((one, other), key=place, reverse=order == "newest")
    if place(after) == place(last) or (after.time == last.time and after.event_id is None):
        return
    found = mongo_filter(Query(feed="stocks", order=order), after, last)
    for minute in range(3):
        for event_id in "abc":
            time = datetime(2024, 1, 1, 0, minute, tzinfo=UTC)
            if order == "newest":
                between = place(last) <= (time, event_id) < place(after)
            else:
                between = place(after) < (time, event_id) <= place(last)
            assert matches({"timestamp_utc": time, "_id": event_id}, found) is between


def test_a_source_is_looked_for_in_limited_time_and_its_pages_lead_on() -> None:
    documents = [made(n, "A", "one" if n == 7 else "two") for n in range(100)]
    documents += [made(n, "B", "one") for n in range(100, 120)]
    port: Any = Collection(documents)
    now = iter(range(1000))
    query = Query(feed="stocks", symbol="A", source="one")
    with (
        patch.object(search, "LOOKED_THROUGH", 10),
        patch.object(search, "_is_rare", lambda *_: False),
    ):
        first = search.search(port, query, None, 5, 1000, lambda: float(next(now)))
        assert (first.events, first.following) == (
            [],
            Position(documents[89]["timestamp_utc"], None),
        )
        assert len(port.examined) == 2
        rest = search.search(port, query, first.following, 5, 1000, lambda: 0.0)
    assert [d["_id"] for d in rest.events] == ["one:A:7"]
    assert rest.following is None


def test_a_source_with_few_events_is_found_at_once() -> None:
    documents = [made(n, "A", "one" if n == 7 else "two") for n in range(100)]
    port: Any = Collection(documents)
    with patch.object(search, "LOOKED_THROUGH", 10):
        page = search.search(port, Query(feed="stocks", source="one"), None, 5, 1000)
    assert [d["_id"] for d in page.events] == ["one:A:7"]
    assert port.indexes == [BY_SERIES.keys, BY_SERIES.keys]


def test_no_more_is_looked_at_and_sent_than_a_page_needs() -> None:
    """And one more, which tells whether there is a next page; also where all have one time."""
    port: Any = Collection([made(0, f"S{n}", "two") for n in range(100)])
    page = search.search(port, Query(feed="stocks"), None, 5, 1000)
    assert [len(found) for found in (page.events, *port.answers)] == [5, 1, 6]
    assert port.examined == [100, 6]


def test_what_was_found_is_not_asked_for_again() -> None:
    port: Any = Collection([made(n, "A", "two" if 90 <= n < 98 else "one") for n in range(100)])
    with patch.object(search, "LOOKED_THROUGH", 10):
        page = search.search(port, Query(feed="stocks", source="one"), None, 5, 1000)
    assert [d["_id"] for d in page.events] == [f"one:A:{n}" for n in (99, 98, 89, 88, 87)]
    # After each look at where a part ends, what is in it: when the first had three, three of the
    # six were missing.
    assert [len(found) for found in port.answers] == [1, 1, 3, 1, 3]


def test_equal_times_are_told_apart_by_identity() -> None:
    query = Query(feed="stocks", order="oldest")
    position = Position(datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=1), "stocks:test:A:1")
    world = World(document(1, "A"), document(1, "B"), document(0, "C"))
    found = world.store().events("stock_data", query, position, 10).events
    assert [d["symbol"] for d in found] == ["B"]
