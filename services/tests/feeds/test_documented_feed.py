"""The feed that docs/feeds.md adds works as it stands there: in the log, the API, a deployment."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from services.tests.api.world import AUTHORIZED, World

from millrace.api import openapi
from millrace.feeds import FEEDS
from millrace.verify.data.oracle import DeadLetter, Record, Stored, outcomes

ROOT = Path(__file__).parents[3]
START = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def weather(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The example's module, named where the page says that it has to be."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/feeds.md").read_text(), re.DOTALL)
    module = ModuleType("millrace.feeds.weather")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(code, "docs/feeds.md", "exec"), vars(module))
    monkeypatch.setitem(FEEDS, "weather", module.WEATHER)
    yield module


def encoded(number: int, celsius: object) -> bytes:
    """A temperature, so many hours after the start."""
    time = START + timedelta(hours=number)
    event = {"event_id": f"weather:test:Rome:{number}", "schema_version": 1, "feed": "weather"}
    event |= {"source": "test", "simulated": True, "symbol": "Rome", "celsius": celsius}
    return msgspec.json.encode(event | {"observed_at": time, "produced_at": time})


def documents(weather: ModuleType, *values: object) -> list[Any]:
    """What becomes of these temperatures."""
    records = [Record(0, n, None, encoded(n, value)) for n, value in enumerate(values)]
    return list(outcomes(weather.WEATHER, records, 0.05))


def test_it_derives_and_what_it_cannot_be_is_a_dead_letter(weather: ModuleType) -> None:
    first, second, wrong, fourth = documents(weather, 10.0, 12.5, "hot", 11.5)
    assert isinstance(first, Stored)
    assert isinstance(wrong, DeadLetter)
    found = [one.document["meta"]["change"] for one in (first, second, fourth)]
    assert found == [None, 2.5, -1.0]


def test_the_api_serves_it_as_its_document_says(weather: ModuleType) -> None:
    world = World(*(one.document for one in documents(weather, 10.0, 12.5)))
    client = world.app().test_client()
    page = client.get("/v1/weather/events", headers=AUTHORIZED).get_json()
    assert [event["celsius"] for event in page["events"]] == [12.5, 10.0]
    described = openapi.document(list(FEEDS))
    schema = {**described["components"]["schemas"]["Page"], "components": described["components"]}
    Draft202012Validator(schema).validate(page)


def test_its_topic_its_rules_and_its_rights_follow(weather: ModuleType) -> None:
    spec = importlib.util.spec_from_file_location("feeds", ROOT / "plugins/filter/feeds.py")
    assert spec is not None
    assert spec.loader is not None
    filters = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(filters)
    producer = {"name": "thermometer", "feed": "weather"}
    assert filters.feed_problems(["weather"], [producer]) == []
    (topic,) = filters.feed_topics(["weather"])
    assert (topic["name"], topic["partitions"]) == ("temperatures", 3)
    rules = filters.feed_acls(["weather"])
    assert {rule["resource_name"] for rule in rules} == {"temperatures"}
    assert {rule["principal"] for rule in rules} == {
        f"User:{service}" for service in ("producer", "processor", "api", "operator", "archiver")
    }
    rights = filters.feed_privileges(["weather"])
    assert [right["collection"] for right in rights] == ["temperatures", "logs"]
