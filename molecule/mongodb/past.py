"""Ask a collection what the processor asks of the past; say how much the server reads for it."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

from pymongo import MongoClient
from pymongo.monitoring import CommandListener

from millrace.clients.progress import Progress
from millrace.feeds.base import Series
from millrace.feeds.stocks import STOCKS
from millrace.processor.pace import Pace
from millrace.processor.points import Moment
from millrace.processor.ports import Below
from millrace.processor.sinks.mongodb import MongoStore

START = datetime(2026, 1, 2, tzinfo=UTC)
FEED = replace(STOCKS, collection="written", window=timedelta(minutes=10))
PACE = Pace(Progress(), lambda: None, Event())
PRICES, SYMBOLS = 20_000, 300
END = 10**9
LATER = "later"
"""The log of a topic that was made again."""
SESSION = ("lsid", "$db", "$clusterTime", "$readPreference")


class Asked(CommandListener):
    """The questions, as the client sends them."""

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []

    def started(self, event: Any) -> None:
        if event.command_name in ("find", "aggregate"):
            self.commands.append({n: v for n, v in event.command.items() if n not in SESSION})

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


def price(source: str, symbol: str, number: int, offset: int, log: str = "") -> dict[str, Any]:
    return {
        "_id": f"{source}:{symbol}:{number}{log}",
        "source": source,
        "symbol": symbol,
        "timestamp_utc": START + timedelta(seconds=number),
        "price": {"value": float(number), "currency": "USD"},
        "kafka": {"topic": FEED.topic, "partition": 0, "offset": offset, **within(log)},
    }


def within(log: str) -> dict[str, str]:
    return {"log": log} if log else {}


def read(plan: Any, name: str) -> int:
    """A number of what was examined, wherever the plan has it."""
    if isinstance(plan, dict):
        return plan[name] if name in plan else sum(read(part, name) for part in plan.values())
    return sum(read(part, name) for part in plan) if isinstance(plan, list) else 0


def measure(client: Any, asked: Asked, question: Callable[[], Any]) -> str:
    asked.commands.clear()
    found = [one for one in question() if one[1] is not None]
    (command,) = asked.commands
    plan = client.millrace.command("explain", command, verbosity="executionStats")
    examined = {n: read(plan, f"total{n}Examined") for n in ("Keys", "Docs")}
    few = examined["Keys"] <= 2 * len(found) + 2
    keys = "few keys" if few else f"{examined['Keys']} keys"
    return f"{len(found)} found, {examined['Docs']} documents and {keys} read"


def run(client: Any, asked: Asked) -> dict[str, str]:
    store = MongoStore(client, "millrace")
    store.prepare([FEED])
    symbols = [f"S{number}" for number in range(SYMBOLS)]
    documents = [price("old", "OLD", number, number) for number in range(PRICES)]
    documents += [price("old", s, 0, PRICES + number) for number, s in enumerate(symbols)]
    client.millrace.written.insert_many(documents)
    later = [price("old", s, 1, number, LATER) for number, s in enumerate(symbols)]
    client.millrace.written.insert_many(later)
    middle = Moment(START + timedelta(seconds=PRICES // 2), inclusive=False)

    def newest(
        source: str,
        of: list[str],
        moment: Moment | None = None,
        place: tuple[int, int] | tuple[int, int, str] = (0, END),
    ) -> Callable[[], Any]:
        return lambda: list(store.newest_of(FEED, source, of, moment, Below(*place), PACE))

    def window() -> Any:
        series = Series("old", "OLD")
        return store.window(FEED, series, middle.time, Below(0, END), PACE)

    return {
        name: measure(client, asked, question)
        for name, question in {
            "the newest": newest("old", ["OLD"]),
            "the newest of many symbols": newest("old", symbols),
            "a time in the middle": newest("old", ["OLD"], middle),
            "a new source of an old symbol": newest("new", ["OLD"]),
            "an old symbol in another partition": newest("old", ["OLD"], place=(1, END)),
            "many symbols in a log that has a name": newest("old", symbols, place=(0, END, LATER)),
            "another log that has a name": newest("old", ["OLD"], place=(0, END, "none")),
            "a window": window,
            "times that were not believed": lambda: [(0, store.has_claims(FEED) or None)],
            "where events are": lambda: [*store.places(FEED, ["old:OLD:7", "no"]).items()],
        }.items()
    }


if __name__ == "__main__":
    listener = Asked()
    login = {"username": "writer", "password": json.load(sys.stdin)["writer"]}
    connection: Any = MongoClient(
        "mongodb:27017",
        replicaSet="rs0",
        tls=True,
        tlsCAFile="/run/secrets/ca.pem",
        authSource="millrace",
        tz_aware=True,
        event_listeners=[listener],
        **login,
    )
    sys.stdout.write(json.dumps(run(connection, listener)))
