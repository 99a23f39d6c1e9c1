"""What holds for every feed, because the processor relies on it."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from services.tests.feeds.events import ONE_OF_EACH, quote

from millrace.feeds import FEEDS, Feed
from millrace.feeds.base import (
    BY_CLAIM,
    BY_POSITION,
    BY_SERIES,
    CLAIMED_FIELD,
    TIME_FIELD,
    as_shown,
    position_index,
    series_index,
)
from millrace.feeds.currencies import currency_of
from millrace.processor.conflicts import between_documents

PROMISED: dict[str, set[tuple[tuple[str, int], ...]]] = {
    "gpu_metrics": {(("ts", 1),), (("host", 1), ("gpu_index", 1))},
    "token_usage": {(("ts", 1),), (("model", 1),)},
}


@pytest.fixture(params=sorted(FEEDS))
def feed(request: pytest.FixtureRequest) -> Feed[Any]:
    return FEEDS[request.param]


def test_a_document_holds_what_the_history_is_rebuilt_from(feed: Feed[Any]) -> None:
    event = ONE_OF_EACH[feed.name]
    document = feed.document(event, feed.derive(event, feed.history(feed.window)))
    assert document[TIME_FIELD] == event.observed_at
    assert feed.value_in({"_id": event.event_id, **document}) == feed.value(event)


def test_the_queries_of_rebuilding_of_the_api_and_of_verifying_have_an_index(
    feed: Feed[Any],
) -> None:
    # And nothing else has, but what a feed promises: every index is written with every insert.
    assert {index.keys for index in feed.indexes} == {
        (("symbol", 1), (TIME_FIELD, -1)),
        BY_SERIES.keys,
        BY_CLAIM.keys,
        ((TIME_FIELD, -1), ("_id", -1)),
        (("kafka.partition", 1), ("kafka.offset", 1)),
        # Of logs that have a name, of which there are none as long as no topic is made again.
        (("kafka.log", 1), *BY_SERIES.keys),
        (("kafka.log", 1), ("kafka.partition", 1), ("kafka.offset", 1)),
        *PROMISED.get(feed.name, set()),
    }


def test_the_number_of_a_quote_is_its_price() -> None:
    feed, event = FEEDS["quotes"], quote(187.5)
    assert feed.number_in(feed.document(event, {})) == 187.5


def test_what_is_of_a_log_with_a_name_is_found_by_that_name() -> None:
    for index, keys in ((series_index, BY_SERIES.keys), (position_index, BY_POSITION.keys)):
        assert index("") == [*keys]
        assert index("e021ad25") == [("kafka.log", 1), *keys]


def test_the_same_event_again_says_nothing_else(feed: Feed[Any]) -> None:
    """Whatever came between, and whether its time was believed."""
    event = ONE_OF_EACH[feed.name]
    history = feed.history(feed.window)
    first = feed.document(event, feed.derive(event, history))
    history.add(event.observed_at, feed.value(event))
    again = feed.document(event, feed.derive(event, history))
    assert between_documents(first, again) is None
    later = event.observed_at + timedelta(hours=1)
    dated = msgspec.structs.replace(event, observed_at=later)
    claimed = feed.document(dated, feed.derive(dated, history))
    claimed[CLAIMED_FIELD] = event.observed_at
    assert between_documents(first, claimed) is None
    assert between_documents(first, feed.document(dated, feed.derive(dated, history)))


def test_a_document_leaves_room_for_id_and_position(feed: Feed[Any]) -> None:
    event = ONE_OF_EACH[feed.name]
    document = feed.document(event, feed.derive(event, feed.history(feed.window)))
    assert not {"_id", "kafka"} & document.keys()


def test_a_document_is_shown_by_its_event_id_and_without_its_place_in_kafka(
    feed: Feed[Any],
) -> None:
    event = ONE_OF_EACH[feed.name]
    document = feed.document(event, {"change_pct": None, "cost_per_token": None})
    stored = {"_id": event.event_id, **document, "kafka": {"partition": 0, "offset": 1}}
    assert as_shown(stored) == {"event_id": event.event_id, **document}


@pytest.mark.parametrize(
    ("symbol", "currency"),
    [
        ("IBM", "USD"),
        ("BRK.B", "USD"),
        ("BRK B", "USD"),
        ("XYZ.L", "XXX"),
        ("LON:XYZ", "XXX"),
        ("XYZ LN", "XXX"),
        ("BRK-B", "USD"),
        ("BRK/B", "USD"),
        ("SHOP-T", "XXX"),
        ("BTC-EUR", "XXX"),
        ("BTC/EUR", "XXX"),
        ("EURUSD", "XXX"),
        ("EUR=", "XXX"),
        ("^GSPC", "XXX"),
        ("7203", "XXX"),
        ("BAC.PRL", "XXX"),
    ],
)
def test_the_currency_of_a_share_is_known_in_the_us(symbol: str, currency: str) -> None:
    assert currency_of(symbol) == currency


def test_feeds_share_no_topic_and_no_collection() -> None:
    assert len({feed.topic for feed in FEEDS.values()}) == len(FEEDS)
    assert len({feed.collection for feed in FEEDS.values()}) == len(FEEDS)


def test_a_symbol_that_follows_from_the_fields_is_that_of_the_event(feed: Feed[Any]) -> None:
    event = ONE_OF_EACH[feed.name]
    if feed.symbol_of:
        assert feed.symbol_of(msgspec.to_builtins(event)) == event.symbol
