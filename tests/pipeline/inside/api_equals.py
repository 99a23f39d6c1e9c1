"""What the API says of every feed, event by event, beside what MongoDB and Redis hold.

Nothing needs to stand still for it: what was stored before the API was asked has to be there, and
whatever it shows has to be stored as it shows it.

Usage: api_equals.py. Prints {"events": {feed: count}, "latest": {feed: count}, "quotes": count,
"different": [texts]}.
"""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import msgspec
import requests

from millrace.clients import mongodb, redis
from millrace.config import Settings
from millrace.feeds import FEEDS
from millrace.feeds.base import TIME_FIELD, Feed, as_shown
from millrace.feeds.quotes import QUOTES

PAGE, PAGES = 200, 3
LONGEST = 20
"""So many pages may be short because a source is looked for."""
SYMBOLS = 3
"""So many symbols are on a page: there is more than one."""
MOMENTS = 50
"""How often a symbol is looked at whose value changes all the time."""

settings = Settings()
session = requests.Session()
session.headers["Authorization"] = f"Bearer {settings.api_token.get_secret_value()}"
session.verify = str(settings.mongodb_ca_file)
different: list[str] = []


def ask(path: str, **parameters: Any) -> Any:
    answer = session.get(settings.api_url + path, params=parameters, timeout=10)
    answer.raise_for_status()
    return answer.json()


def shown(document: Mapping[str, Any]) -> Any:
    """A document as the API shows it."""
    return json.loads(msgspec.json.encode(as_shown(document)))


def place(event: Mapping[str, Any]) -> tuple[datetime, str]:
    """Where an event is in the order of time."""
    return datetime.fromisoformat(event[TIME_FIELD]), event["event_id"]


def compare(name: str, collection: Any, events: Sequence[Mapping[str, Any]]) -> None:
    """Each event that was shown is stored, and nothing differs."""
    ids = [event["event_id"] for event in events]
    if len({*ids}) < len(ids):
        different.append(f"{name}: an event is shown twice")
    stored = {d["_id"]: shown(d) for d in collection.find({"_id": {"$in": ids}})}
    different.extend(
        f"{name}: {event} is stored as {stored.get(event['event_id'])}"
        for event in events
        if event != stored.get(event["event_id"])
    )


def filters(collection: Any) -> list[dict[str, str]]:
    """No filter, and those for the symbol and the source that came first, and last."""
    found: list[dict[str, str]] = [{}]
    for direction in (1, -1):
        one = collection.find_one({}, sort=[(TIME_FIELD, direction)])
        both = {"symbol": one["symbol"], "source": one["source"]}
        found += [both, {"symbol": both["symbol"]}, {"source": both["source"]}]
    return found


def pages(feed: Feed[Any], collection: Any, wanted: Mapping[str, str]) -> int:
    """The newest events until now, some pages of them, in their order and without a gap."""
    until = datetime.now(UTC)
    newest = [(TIME_FIELD, -1), ("_id", -1)]
    condition = {**wanted, TIME_FIELD: {"$lt": until}}
    before = collection.find(condition, sort=newest, limit=PAGE * PAGES)
    due = {(document[TIME_FIELD], document["_id"]) for document in before}
    events: list[dict[str, Any]] = []
    following: dict[str, str] = {}
    for _ in range(LONGEST):
        query = {**wanted, "to": until.isoformat(), "limit": PAGE, **following}
        page = ask(f"/v1/{feed.name}/events", **query)
        events += page["events"]
        following = {"cursor": page["next"]} if page["next"] else {}
        if not following or len(events) > PAGE * (PAGES - 1):
            break
    compare(f"{feed.name}/events", collection, events)
    places = [place(event) for event in events]
    if places != sorted(places, reverse=True):
        different.append(f"{feed.name}/events: not from the newest to the oldest")
    if following and places:
        # What came meanwhile has pushed old ones off the last page.
        due = {one for one in due if one >= places[-1]}
    different.extend(
        f"{feed.name}/events: {event_id} is not shown" for _, event_id in due - {*places}
    )
    return len(events)


def latest(feed: Feed[Any], collection: Any) -> int:
    """The newest event of each symbol: none that is older than what was stored before."""
    before = {d["symbol"]: d[TIME_FIELD] for d in mongodb.newest(collection, 10_000)}
    question = {"pipeline": mongodb.page_pipeline("", SYMBOLS), "cursor": {}}
    plan = collection.database.command("explain", {"aggregate": collection.name, **question})
    if "DISTINCT_SCAN" not in str(plan):
        different.append(f"{feed.name}/latest: more is read than the newest of each symbol")
    events: list[dict[str, Any]] = []
    following: dict[str, str] | None = {}
    while following is not None:
        page = ask(f"/v1/{feed.name}/latest", limit=SYMBOLS, **following)
        events += page["events"]
        following = {"cursor": page["next"]} if page["next"] else None
    compare(f"{feed.name}/latest", collection, events)
    found = {event["symbol"]: place(event)[0] for event in events}
    different.extend(
        f"{feed.name}/latest: {symbol} is {found.get(symbol)}, not {moment}"
        for symbol, moment in before.items()
        if symbol not in found or found[symbol] < moment
    )
    return len(events)


def quotes(collection: Any, connection: Any) -> int:
    """The latest price and quote of each symbol are those of Redis, and of a document."""
    symbols = [d["symbol"] for d in mongodb.newest(collection, 10_000)]
    for symbol in symbols:
        for _ in range(MOMENTS):
            before = redis.value(connection, symbol)
            price = ask(f"/market_data/last_price/{symbol}")
            quote = ask(f"/market_data/last_quote/{symbol}")
            if before is not None and before == redis.value(connection, symbol):
                break
            time.sleep(0.05)
        else:
            different.append(f"{symbol} has no value that stays for a moment")
            continue
        said = json.loads(before.quote)
        compare("last_quote", collection, [quote["quote"]])
        if quote["quote"] != said or (quote["from"], price["from"]) != ("cache", "cache"):
            different.append(f"{symbol}: {quote} is not {said} of Redis")
        now = (price["price"], datetime.fromisoformat(price["timestamp"]))
        if now != (float(before.price), before.time) or price["price"] != said["price"]["value"]:
            different.append(f"{symbol}: {price} is not {before} of Redis")
    return len(symbols)


with mongodb.client(settings) as client, closing(redis.client(settings)) as redis_client:
    database = client[settings.mongodb_database]
    feeds = [FEEDS[name] for name in settings.feeds]
    found = {
        "events": {
            feed.name: sum(
                pages(feed, database[feed.collection], wanted)
                for wanted in filters(database[feed.collection])
            )
            for feed in feeds
        },
        "latest": {feed.name: latest(feed, database[feed.collection]) for feed in feeds},
        "quotes": quotes(database[QUOTES.collection], redis_client),
    }
print(json.dumps({**found, "different": different[:20]}))
