"""The latest values: Redis may be lost or killed, and nothing but itself is the worse for it."""

import time
from datetime import datetime
from typing import Any

import pytest
from docker.models.containers import Container

from .pipeline import Pipeline, wait_until
from .test_faults import runs_again
from .test_ingest import stored

pytestmark = pytest.mark.usefixtures("verified")

BACK_SECONDS = 60
"""Within this Redis is up, the processor has noticed, and every value is there again."""


def look(pipeline: Pipeline) -> dict[str, Any]:
    return dict(pipeline.script("operator", "latest_values.py").json)


def wait_for_values(pipeline: Pipeline) -> float:
    def equal() -> bool:
        found = look(pipeline)
        return bool(found["symbols"]) and found["different"] == []

    return wait_until("Redis holds what MongoDB holds", equal, timeout=BACK_SECONDS)


def assert_prices(found: dict[str, Any], origin: str) -> None:
    assert found["prices"]
    for symbol, (status, body, stored_then) in found["prices"].items():
        assert status == 200, body
        assert (body["symbol"], body["from"]) == (symbol, origin)
        assert body["price"] in stored_then


@pytest.fixture
def redis(pipeline: Pipeline) -> Container:
    """Redis, with every value in it."""
    wait_for_values(pipeline)
    return pipeline.container("redis")


def empty(pipeline: Pipeline, redis: Container) -> None:
    """Remove all that it has on its disk."""
    (volume,) = (m["Name"] for m in redis.attrs["Mounts"] if m["Destination"] == "/data")
    pipeline.docker.containers.run(
        redis.attrs["Config"]["Image"],
        entrypoint=["sh", "-c", "rm -r /data/*"],
        user=redis.attrs["Config"]["User"],
        volumes={volume: {"bind": "/data", "mode": "rw"}},
        network_mode="none",
        labels={"io.millrace.instance": pipeline.instance},
        remove=True,
    )


def test_a_late_value_does_not_replace_a_newer_one(pipeline: Pipeline, run: str) -> None:
    found = pipeline.script("processor", "guard.py", f"GUARD.{run}").json
    assert found == ["ABSENT", "WRITTEN", "NOT_NEWER", "NOT_NEWER", "WRITTEN"]


@pytest.mark.usefixtures("redis")
def test_every_value_expires_some_day(pipeline: Pipeline) -> None:
    found = look(pipeline)
    assert len(found["lives"]) >= 2 * 5
    assert all(0 < left <= found["ttl_ms"] for left in found["lives"].values()), found["lives"]


def test_late_repeated_and_disordered_quotes_are_stored_once_and_never_lead_back(
    pipeline: Pipeline, run: str
) -> None:
    sent = pipeline.script("operator", "disturbed.py", run).json
    ids = {*sent["ids"]}
    assert len(ids) == 4000 < sent["sent"], "none was sent twice"
    assert sent["disordered"] > 20

    def found() -> dict[str, int]:
        return stored(pipeline, "historical_quotes")

    wait_until("every quote is stored", lambda: ids <= found().keys(), timeout=60)
    counts = found()
    assert all(counts[event_id] == 1 for event_id in ids)
    assert sum(f":{run}-" in event_id for event_id in counts) == len(ids)
    wait_for_values(pipeline)
    prices = look(pipeline)["prices"]
    for symbol, (time_, price) in sent["newest"].items():
        _, body, _ = prices[symbol]
        assert body["from"] == "cache"
        assert (datetime.fromisoformat(body["timestamp"]), body["price"]) == (
            datetime.fromisoformat(time_),
            price,
        )


def test_what_redis_has_lost_comes_back_from_mongodb(pipeline: Pipeline, redis: Container) -> None:
    processor = pipeline.container("processor").attrs["State"]["StartedAt"]
    redis.stop()
    try:
        empty(pipeline, redis)
    finally:
        redis.start()
    seconds = wait_for_values(pipeline)
    print(f"\n  every latest value was back {seconds:.1f} s after Redis had started empty")
    assert_prices(look(pipeline), "cache")
    assert pipeline.container("processor").attrs["State"]["StartedAt"] == processor


def test_without_redis_quotes_flow_and_the_api_answers(
    pipeline: Pipeline, redis: Container
) -> None:
    before = look(pipeline)
    processor = pipeline.container("processor").attrs["State"]["StartedAt"]
    redis.stop()
    try:
        time.sleep(5)
        without = look(pipeline)
        assert without["different"] is None, "Redis answers although it is stopped"
        assert without["stored"] > before["stored"], "quotes are no longer stored"
        assert_prices(without, "store")
        status, health = without["health"]
        assert (status, health["status"]) == (200, "ok")
        assert (health["redis_status"], health["mongodb_status"]) == ("FAIL", "OK")
    finally:
        redis.start()
    wait_for_values(pipeline)
    after = look(pipeline)
    assert_prices(after, "cache")
    assert after["health"][1]["redis_status"] == "OK"
    assert pipeline.container("processor").attrs["State"]["StartedAt"] == processor


def test_redis_is_killed_again_and_again(pipeline: Pipeline, redis: Container) -> None:
    before = look(pipeline)["stored"]
    for _ in range(3):
        redis.reload()
        started = redis.attrs["State"]["StartedAt"]
        pipeline.crash("redis")
        wait_until("it is restarted", runs_again(pipeline, "redis", started), timeout=30)
        time.sleep(2)
    seconds = wait_for_values(pipeline)
    print(f"\n  every latest value was right {seconds:.1f} s after the last SIGKILL")
    assert look(pipeline)["stored"] > before
