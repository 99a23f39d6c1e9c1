"""The replayed history: every row of its file equals its stored document."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any

import bson
from pymongo.database import Database

from millrace.clients.mongodb import AS_STORED
from millrace.clients.services import ask
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.feeds.base import BY_SERIES
from millrace.feeds.stocks import STOCKS, StockPrice
from millrace.runtime.retry import wait_for
from millrace.sources import replay
from millrace.verify.data.compare import Tally

NAME = "history file"
SOURCE = "replay"
INDEX = list(BY_SERIES.keys)
"""It starts with the source, so that documents of other sources are not read."""
LIMIT_MILLISECONDS = 25_000
BATCH = 1000
POLL_SECONDS = 0.5
FINISHED = "finished"

# Fields that do not follow from the file: the time of replay, and what came before in the log.
_NOT_IN_THE_FILE = ("produced_at", "meta", "kafka")


def wait(settings: Settings, seconds: float) -> list[str] | None:
    """Wait until the replaying producers have published everything.

    Returns their configured symbols, empty for all; None if no producer replays.
    """
    deadline = time.monotonic() + seconds
    told: list[list[str]] = []
    for host in settings.status_hosts:
        says = ask(settings, host).says
        if says.get("source") != SOURCE:
            continue
        told.append(says.get("symbols", []))
        state = wait_for(
            partial(_state, settings, host),
            lambda state: state == FINISHED,
            deadline - time.monotonic(),
            POLL_SECONDS,
        )
        if state != FINISHED:
            raise MillraceError(f"{host} has not finished within {seconds:.0f} s: {state}")
    if not told:
        return None
    return [] if [] in told else [symbol for symbols in told for symbol in symbols]


def _state(settings: Settings, host: str) -> str | None:
    return ask(settings, host).says.get("state")


def is_replayed(database: Database[dict[str, Any]]) -> bool:
    """Whether replayed history is stored; its producer may be gone."""
    found = database[STOCKS.collection].find_one(
        {"source": SOURCE}, {"_id": 1}, hint=INDEX, max_time_ms=LIMIT_MILLISECONDS
    )
    return found is not None


def compare(
    database: Database[dict[str, Any]], settings: Settings, declared: Sequence[str] | None
) -> Tally:
    """Compare each row with its document, and the number of rows with that of documents.

    Rows are those of the `declared` symbols, as `wait` returns them, and of stored ones, because
    the configuration may have changed.
    """
    tally = Tally()
    collection = database[STOCKS.collection]
    limit = LIMIT_MILLISECONDS
    there = collection.distinct("symbol", {"source": SOURCE}, maxTimeMS=limit)
    symbols = {*(declared or ()), *there}
    rows = (
        event
        for event in replay.read(settings.replay_file, datetime.now(UTC))
        if declared == [] or event.symbol in symbols
    )
    while batch := list(islice(rows, BATCH)):
        ids = [event.event_id for event in batch]
        found = collection.find({"_id": {"$in": ids}}, max_time_ms=limit)
        compare_rows(batch, {document["_id"]: document for document in found}, tally)
    count = collection.count_documents({"source": SOURCE}, hint=INDEX, maxTimeMS=limit)
    if count != tally.records:
        tally.differs(f"{count:,} documents are stored of {tally.records:,} rows of the file")
    return tally


def compare_rows(
    rows: Sequence[StockPrice], documents: Mapping[str, Mapping[str, Any]], tally: Tally
) -> None:
    """Compare rows with their documents."""
    for event in rows:
        tally.records += 1
        found = documents.get(event.event_id)
        if found is None:
            tally.differs(f"{event.event_id} is in the file and is not stored")
            continue
        made = {"_id": event.event_id, **STOCKS.document(event, {})}
        expected = bson.decode(bson.encode(made), codec_options=AS_STORED)
        if _comparable(expected) != _comparable(found):
            tally.differs(f"{event.event_id} is not stored as it is in the file")
        else:
            tally.stored += 1


def _comparable(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in _NOT_IN_THE_FILE}
