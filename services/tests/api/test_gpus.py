"""The routes about GPUs: what they answer, and how the cost of a token comes about."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from pymongo.errors import ExecutionTimeout
from services.tests.api.test_api import check, problem
from services.tests.api.world import (
    AUTHORIZED,
    AWAY,
    World,
    document,
    gpu_document,
    usage_document,
)
from services.tests.feeds.events import START

from millrace.api import gpus, problems, store
from millrace.api.costs import CostPosition, CostQuery, costs, pipeline
from millrace.api.gpus import CostParameters, InfoParameters
from millrace.feeds import FEEDS

A100 = {"gpu_index": 1, "gpu_name": "A100 40GB", "symbol": "gpu-host/1/llama"}
COST = "/v1/token_usage/cost"


def get(path: str, *documents: dict[str, Any], **query: str) -> Any:
    """The body of an answer, which is as the OpenAPI document says."""
    client = World(*documents).app().test_client()
    return check(client.get(path, query_string=query, headers=AUTHORIZED), path)


def found(*documents: dict[str, Any], **query: str) -> list[dict[str, Any]]:
    bounds = {"from": START.isoformat(), "to": (START + timedelta(days=1)).isoformat()}
    body = get(COST, *documents, **{**bounds, **query})
    return list(body["costs"])


def test_info_is_the_newest_event_and_the_newest_of_each_gpu() -> None:
    documents = [gpu_document(seconds, index=seconds % 2) for seconds in (1, 2, 3, 4, 7)]
    body = get("/gpu/info", *documents, document(1))
    assert (body["host"], body["gpu_index"], body["utilization"]) == ("gpu-host", 1, 71.0)
    assert body["ts"] == (START + timedelta(seconds=7)).isoformat().replace("+00:00", "Z")
    assert [gpu["gpu_index"] for gpu in body["gpus"]] == [0, 1]
    assert [gpu["ts"][-3:-1] for gpu in body["gpus"]] == ["04", "07"]
    assert "kafka" not in body


def test_info_has_pages() -> None:
    documents = [gpu_document(10 - index, index=index) for index in range(5)]
    client = World(*documents).app().test_client()
    shown: list[int] = []
    query: dict[str, Any] | None = {"limit": 2}
    while query is not None:
        answer = client.get("/gpu/info", query_string=query, headers=AUTHORIZED)
        body = check(answer, "/gpu/info")
        assert (body["gpu_index"], len(body["gpus"]) <= 2) == (0, True)
        shown += [gpu["gpu_index"] for gpu in body["gpus"]]
        query = {"limit": 2, "cursor": body["next"]} if body["next"] else None
    assert shown == [0, 1, 2, 3, 4]
    problem(client.get("/gpu/info?symbol=A", headers=AUTHORIZED), 400)


def test_without_any_gpu_there_is_no_info() -> None:
    client = World(document(1)).app().test_client()
    answer = client.get("/gpu/info", headers=AUTHORIZED)
    assert "yet" in problem(answer, 404)
    check(answer, "/gpu/info")


@pytest.mark.parametrize("path", ["/gpu/info", COST])
def test_a_feed_that_is_not_served_is_not_found(path: str) -> None:
    client = World(gpu_document(1)).app(feeds=["stocks"]).test_client()
    assert "not served" in problem(client.get(path, headers=AUTHORIZED), 404)


@pytest.mark.parametrize("path", ["/gpu/info", COST])
def test_without_its_database_the_api_says_so(path: str) -> None:
    world = World(gpu_document(1))
    world.memory.error = AWAY
    answer = world.app().test_client().get(path, headers=AUTHORIZED)
    assert "secret" not in problem(answer, 503)


def test_an_hour_of_a_gpu_is_shared_by_its_tokens() -> None:
    (one,) = found(usage_document(300, 600, 10), usage_document(100, 0, 3599))
    assert (one["prompt_tokens"], one["completion_tokens"], one["tokens"]) == (400, 600, 1000)
    assert (one["events"], one["gpus"], one["hours"], one["price_per_hour_usd"]) == (2, 1, 1, 0.85)
    assert one["cost_per_token"] == pytest.approx(0.85 / 1000)
    assert (one["start"], one["group"]) == (START.isoformat().replace("+00:00", "Z"), "llama")


def test_a_minute_costs_a_sixtieth() -> None:
    newer, older = found(usage_document(10, 0, 30), usage_document(10, 0, 61), bucket="minute")
    assert older["start"] < newer["start"]
    assert older["cost_per_token"] == pytest.approx(0.85 / 60 / 10)


def test_a_model_on_two_gpus_has_the_price_of_both() -> None:
    documents = (usage_document(10, 0, 1), usage_document(30, 0, 2, event_id="other", **A100))
    (both,) = found(*documents, by="host")
    assert (both["gpus"], both["price_per_hour_usd"]) == (2, pytest.approx(4.05))
    assert both["cost_per_token"] == pytest.approx(4.05 / 40)
    (model,) = found(*documents, by="model")
    assert {**model, "group": "gpu-host"} == both
    apart = {one["group"]: one["cost_per_token"] for one in found(*documents, by="gpu")}
    assert apart["gpu-host/0"] == pytest.approx(0.085)
    assert apart["gpu-host/1"] == pytest.approx(3.2 / 30)


def test_without_tokens_or_without_the_price_of_one_gpu_there_is_no_cost() -> None:
    (nothing,) = found(usage_document(0, 0, 1))
    assert (nothing["tokens"], nothing["cost_per_token"]) == (0, None)
    unknown = {**A100, "gpu_name": "Voodoo 2"}
    (half,) = found(usage_document(1, 0, 1), usage_document(1, 0, 2, event_id="x", **unknown))
    assert half["price_per_hour_usd"] is half["cost_per_token"] is None


def test_only_the_part_that_was_asked_for_is_paid() -> None:
    middle = (START + timedelta(minutes=30)).isoformat()
    (one,) = found(usage_document(10, 0, 60), usage_document(99, 0, 1800), to=middle)
    assert (one["tokens"], one["hours"]) == (10, 0.5)
    assert one["cost_per_token"] == pytest.approx(0.85 / 2 / 10)


def test_only_the_part_that_is_over_is_paid() -> None:
    query = CostQuery(
        by="model", bucket="hour", since=START, until=START + timedelta(days=1), limit=9
    )
    sums = World(usage_document(10, 0, 60)).store().costs("token_usage", query)
    assert sums
    (soon,) = costs(sums, query, START + timedelta(minutes=15))
    assert soon["hours"] == 0.25
    (ahead,) = costs(sums, query, START - timedelta(minutes=15))
    assert (ahead["hours"], ahead["cost_per_token"]) == (0, None)


def test_at_most_so_many_are_shown() -> None:
    documents = [usage_document(1, 0, 60 * n) for n in range(9)]
    assert len(found(*documents, bucket="minute", limit="4")) == 4


def test_costs_have_pages_of_the_time_that_was_asked_for_first() -> None:
    documents = [
        usage_document(
            1, 0, 60 * n, event_id=f"{n}{model}", model=model, symbol=f"gpu-host/0/{model}"
        )
        for n in range(3)
        for model in ("b", "a")
    ]
    now = iter(START + timedelta(minutes=minutes) for minutes in range(4, 100))
    app = Flask(__name__, static_folder=None)
    problems.register(app)
    world = World(*documents)
    app.register_blueprint(gpus.blueprint(FEEDS.values(), world.store, lambda: next(now)))
    client = app.test_client()
    shown: list[tuple[str, str]] = []
    query: dict[str, Any] | None = {}
    while query is not None:
        page = {"bucket": "minute", "limit": 4, **query}
        body = check(client.get(COST, query_string=page), COST)
        shown += [(one["start"][14:16], one["group"]) for one in body["costs"]]
        query = {"cursor": body["next"]} if body["next"] else None
    assert shown == [(f"{n:02}", model) for n in (2, 1, 0) for model in ("a", "b")]
    first = check(client.get(COST, query_string={"bucket": "minute", "limit": 1}), COST)
    other = {"bucket": "minute", "by": "host", "cursor": first["next"]}
    assert "other parameters" in problem(client.get(COST, query_string=other), 400)


def test_the_next_page_of_costs_is_what_lies_behind() -> None:
    place = CostPosition(START, "a")
    query = CostQuery(by="gpu", bucket="hour", since=START, until=START, limit=7, after=place)
    (match,) = [stage["$match"] for stage in pipeline(query)[1:] if "$match" in stage]
    before, same = match["$or"]
    assert before == {"_id.start": {"$lt": START}}
    assert same == {"_id.start": START, "_id.group": {"$gt": "a"}}


@pytest.mark.parametrize(
    "query",
    [
        {"by": "symbol"},
        {"bucket": "day"},
        {"limit": "0"},
        {"limit": "1001"},
        {"from": "2026-01-02T00:00:00"},
        {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
        {"colour": "red"},
    ],
)
def test_what_is_not_understood_is_refused(query: dict[str, str]) -> None:
    client = World().app().test_client()
    problem(client.get(COST, query_string=query, headers=AUTHORIZED), 400)


def test_what_cannot_be_summed_in_time_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(usage_document(1, 0, 1))
    monkeypatch.setattr(store, "SUMMED", 0)
    bounds = {"to": (START + timedelta(minutes=1)).isoformat()}
    answer = world.app().test_client().get(COST, query_string=bounds, headers=AUTHORIZED)
    assert "more than 500,000 events: bring them closer together" in problem(answer, 400)
    check(answer, COST)


@pytest.mark.parametrize("most", [2, 3])
def test_so_many_events_are_summed_and_no_more(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(store, "SUMMED", most)
    query = CostQuery(
        by="model", bucket="hour", since=START, until=START + timedelta(minutes=1), limit=9
    )
    # The last is not asked for.
    world = World(*(usage_document(1, 0, seconds) for seconds in (1, 2, 3, 60)))
    found = world.store().costs("token_usage", query)
    assert (found and found[0]["events"]) == (3 if most == 3 else None)


@pytest.mark.parametrize(("bucket", "hours"), [("minute", 24), ("hour", 744)])
def test_no_more_is_asked_for_than_can_be_summed(bucket: str, hours: int) -> None:
    client = World().app().test_client()
    for more in (timedelta(0), timedelta(milliseconds=1)):
        end = START + timedelta(hours=hours) + more
        query = {"bucket": bucket, "from": START.isoformat(), "to": end.isoformat()}
        answer = client.get(COST, query_string=query, headers=AUTHORIZED)
        if more:
            assert f"more than {hours} hours" in problem(answer, 400)
        else:
            check(answer, COST)


def test_what_takes_the_database_too_long_is_told_from_its_being_away() -> None:
    world = World(usage_document(1, 0, 1))
    world.memory.error = ExecutionTimeout("operation exceeded time limit")
    answer = world.app().test_client().get(COST, headers=AUTHORIZED)
    detail = "The database needs more than 5 s for this: ask for less."
    assert problem(answer, 503) == detail


@pytest.mark.parametrize(("bucket", "length"), [("minute", 60), ("hour", 3600)])
def test_without_a_beginning_it_is_24_buckets(bucket: str, length: int) -> None:
    end = START + timedelta(days=2)
    used = [usage_document(1, 0, 2 * 86400 - back) for back in (24 * length, 24 * length + 1)]
    assert [
        one["events"] for one in get(COST, *used, bucket=bucket, to=end.isoformat())["costs"]
    ] == [1]


def test_without_a_beginning_it_is_bounded_also_where_time_begins() -> None:
    assert get(COST, usage_document(1, 0, 1), to="0001-01-01T00:00:00Z")["costs"] == []
    assert get(COST, usage_document(1, 0, 1))["costs"] == []


def test_the_openapi_document_describes_every_parameter() -> None:
    described = World().app().test_client().get("/openapi.json").get_json()
    for path, kind in ((COST, CostParameters), ("/gpu/info", InfoParameters)):
        names = {p["name"] for p in described["paths"][path]["get"]["parameters"]}
        assert names == set(kind.__struct_encode_fields__)


def test_the_pipeline_looks_at_the_time_that_was_asked_for_first() -> None:
    since, until = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    query = CostQuery(by="gpu", bucket="minute", since=since, until=until, limit=7)
    first, *_, last = pipeline(query)
    assert first == {"$match": {"timestamp_utc": {"$gte": since, "$lt": until}}}
    assert last == {"$limit": 7}
