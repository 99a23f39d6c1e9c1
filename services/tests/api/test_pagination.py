"""Pages of events: complete, without repetition, whatever arrives between them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from services.tests.api.world import AUTHORIZED, World, document

from millrace.api.pagination import Position, Query, decode, encode
from millrace.api.problems import Problem

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
positions = st.builds(Position, time=times, event_id=st.text())


@given(query=queries, position=positions)
def test_a_cursor_leads_back_to_its_position(query: Query, position: Position) -> None:
    text = encode(query, position)
    assert decode(query, text) == position
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(one=queries, other=queries, position=positions)
def test_a_cursor_of_another_query_is_a_problem(
    one: Query, other: Query, position: Position
) -> None:
    if one != other:
        with pytest.raises(Problem, match="other parameters"):
            decode(other, encode(one, position))


@given(text=st.text())
def test_no_text_is_more_than_a_problem(text: str) -> None:
    with pytest.raises(Problem, match="not one that this API has made"):
        decode(Query(feed="stocks"), text)


# Few minutes and symbols: many events have the same time.
stored = st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ABC")), unique=True, max_size=15)


@given(
    at_first=stored,
    later=stored,
    limit=st.integers(1, 4),
    order=st.sampled_from(["newest", "oldest"]),
)
def test_pages_show_everything_once_whatever_arrives_meanwhile(
    at_first: list[Any], later: list[Any], limit: int, order: str
) -> None:
    world = World(*(document(minute, symbol) for minute, symbol in at_first))
    client = world.app().test_client()
    arriving = [document(m, s) for m, s in later if (m, s) not in at_first]
    path = f"/v1/stocks/events?limit={limit}&order={order}"
    shown: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client.get(path + cursor, headers=AUTHORIZED).get_json()
        assert len(page["events"]) <= limit
        shown += [event["event_id"] for event in page["events"]]
        cursor = f"&cursor={page['next']}" if page["next"] else None
        if arriving:
            world.memory.documents.append(arriving.pop())
    assert len(shown) == len(set(shown))
    assert {document(m, s)["_id"] for m, s in at_first} <= set(shown)
    minutes = [int(name.rsplit(":", 1)[1]) for name in shown]
    assert minutes == sorted(minutes, reverse=order == "newest")


def test_equal_times_are_told_apart_by_identity() -> None:
    query = Query(feed="stocks", order="oldest")
    position = Position(datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=1), "stocks:test:A:1")
    world = World(document(1, "A"), document(1, "B"), document(0, "C"))
    found = world.memory.events("stock_data", query, position, 10)
    assert [d["symbol"] for d in found] == ["B"]
