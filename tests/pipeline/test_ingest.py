"""Events through the API: what is accepted is stored once, also when Kafka is killed meanwhile."""

import base64
import json
import threading
import time
from typing import Any

import pytest

from .pipeline import Pipeline, Result, wait_until

pytestmark = pytest.mark.usefixtures("verified")

SOURCE = "ingest:ingest"
LONGEST_SECONDS = 300


def post(pipeline: Pipeline, path: str, body: Any) -> Any:
    return pipeline.script("operator", "post.py", path, json.dumps(body)).json


def stored(pipeline: Pipeline, collection: str) -> dict[str, int]:
    return dict(pipeline.script("operator", "stored.py", SOURCE, collection).json)


def stock(run: str, **changes: Any) -> dict[str, Any]:
    prices = dict.fromkeys(("open", "high", "low", "price"), 12.5)
    plain = {"symbol": f"ONE.{run}", "observed_at": "2026-01-02T15:00:00Z", **prices}
    return {**plain, "volume": 1, "currency": "USD", **changes}


def test_a_quote_that_is_sent_twice_is_stored_once(pipeline: Pipeline, run: str) -> None:
    quote = {"symbol": run, "price": 187.5, "volume": 3, "timestamp": "2026-01-02T15:00:00Z"}
    answers = [post(pipeline, "/ingest/quote", quote) for _ in range(2)]
    assert [answer["status"] for answer in answers] == [202, 202]
    first, second = (answer["body"]["event_id"] for answer in answers)
    assert first == second

    # What follows the repetition in its partition shows that it has been processed.
    last = post(pipeline, "/ingest/quote", {**quote, "price": 188.0})["body"]["event_id"]
    wait_until(
        "the quotes are stored",
        lambda: last in stored(pipeline, "historical_quotes"),
        timeout=60,
    )
    assert stored(pipeline, "historical_quotes")[first] == 1


def test_a_bad_item_is_rejected_alone(pipeline: Pipeline, run: str) -> None:
    items = [stock(run), stock(run, price="12,5"), stock(run, symbol=f"TWO.{run}")]
    answer = post(pipeline, "/v1/ingest/stocks", {"events": items})
    assert answer["status"] == 207
    good, bad, other = answer["body"]["results"]
    assert (good["status"], bad["status"], other["status"]) == ("accepted", "rejected", "accepted")
    assert "`price`" in bad["reason"]
    accepted = {good["event_id"], other["event_id"]}
    wait_until(
        "the good ones are stored",
        lambda: accepted <= stored(pipeline, "stock_data").keys(),
        timeout=60,
    )


def test_other_content_under_an_id_is_accepted_and_becomes_a_dead_letter(
    pipeline: Pipeline, run: str
) -> None:
    items = [stock(run, event_id=run, volume=volume) for volume in (1, 2)]
    answer = post(pipeline, "/v1/ingest/stocks", {"events": items})
    assert answer["status"] == 202
    first, second = answer["body"]["results"]
    assert first["event_id"] == second["event_id"]

    symbol = base64.b64encode(items[1]["symbol"].encode()).decode()

    def dead() -> list[tuple[str, dict[str, str]]]:
        letters = pipeline.script("operator", "dead_letters.py").json
        return [(value, headers) for key, value, headers in letters if key == symbol]

    wait_until("the second is a dead letter", lambda: bool(dead()), timeout=60)
    ((value, headers),) = dead()
    event = json.loads(base64.b64decode(value))
    assert (event["event_id"], event["volume"]) == (first["event_id"], 2)
    stage, reason = (
        base64.b64decode(headers[f"__connect.errors.{name}"])
        for name in ("stage", "exception.message")
    )
    assert stage == b"CONFLICT"
    assert reason.endswith(b"with another volume")
    assert stored(pipeline, "stock_data")[first["event_id"]] == 1


def test_kafka_is_killed_and_nothing_that_was_accepted_is_lost(
    pipeline: Pipeline, run: str
) -> None:
    results: list[Result] = []

    def work() -> None:
        arguments = (run, str(LONGEST_SECONDS))
        results.append(pipeline.script("operator", "ingest.py", *arguments, timeout=600))

    def sent() -> dict[str, int]:
        found = stored(pipeline, "stock_data")
        return {event_id: count for event_id, count in found.items() if f":{run}-" in event_id}

    def answer() -> Any:
        return post(pipeline, "/v1/ingest/stocks", {"events": [stock(run)]})

    thread = threading.Thread(target=work)
    thread.start()
    try:
        wait_until("events are flowing", lambda: len(sent()) > 0, timeout=60)
        pipeline.container("kafka-1").kill()
        try:
            wait_until("the API says so", lambda: answer()["status"] == 503, timeout=60)
            assert answer()["retry_after"]
        finally:
            pipeline.container("kafka-1").start()
        seconds = wait_until(
            "events are accepted again", lambda: answer()["status"] == 202, timeout=120
        )
        print(f"\n  accepted again {seconds:.1f} s after the start of Kafka")
        time.sleep(2)
    finally:
        pipeline.run("operator", "touch", f"/tmp/stop-{run}")
        thread.join(timeout=LONGEST_SECONDS + 120)
    assert results[0].status == 0, results[0].stderr[-2000:]
    ledger = [json.loads(line) for line in results[0].stdout.splitlines()]
    statuses = [entry["status"] for entry in ledger]
    assert 503 in statuses
    assert statuses[0] == statuses[-1] == 202
    accepted = {event_id for entry in ledger for event_id in entry["accepted"]}
    wait_until("every accepted event is stored", lambda: accepted <= sent().keys(), timeout=120)
    assert all(count == 1 for count in sent().values())


def test_a_stream_that_is_taken_up_again_has_no_gap_and_repeats_nothing(
    pipeline: Pipeline, run: str
) -> None:
    found = pipeline.script("operator", "stream.py", run).json
    assert len(found["sent"]) == 100
    assert sorted(event_id for event_id, _, _ in found["seen"]) == sorted(found["sent"])
    # A symbol is in one partition, whose order is kept.
    for symbol in {symbol for _, symbol, _ in found["seen"]}:
        numbers = [number for _, name, number in found["seen"] if name == symbol]
        assert numbers == sorted(numbers)
