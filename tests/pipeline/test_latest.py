"""The latest values: Redis may be lost or killed, and nothing but itself is the worse for it."""

import time
from typing import Any

import pytest
from docker.models.containers import Container

from .pipeline import Pipeline, wait_until
from .test_faults import runs_again

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
    for symbol, (status, body) in found["prices"].items():
        assert status == 200, body
        assert (body["symbol"], body["from"]) == (symbol, origin)


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
    pipeline.verify()


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
    pipeline.verify()
