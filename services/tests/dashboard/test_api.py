"""What the API says reaches the pages; what it does not say is a sentence that says what to do."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from services.tests.api.world import AUTHORIZED, World, document, stored, usage_document
from services.tests.feeds.events import START, metal

from millrace.dashboard.api import MOST_BYTES, Api
from millrace.dashboard.trouble import Trouble
from millrace.sources.asking import Answer
from millrace.sources.base import Transient


def api(world: World, headers: Mapping[str, str] = AUTHORIZED) -> Api:
    """The client, which asks the real application without a network."""
    client = world.app().test_client()

    def ask(path: str, parameters: Mapping[str, str]) -> Answer:
        answer = client.get(path, query_string=dict(parameters), headers=dict(headers))
        return Answer(answer.status_code, dict(answer.headers), answer.data)

    return Api(ask)


def test_everything_that_the_pages_ask_is_answered() -> None:
    asked = api(World(stored(metal(2000.0, hours=0)), document(1), usage_document(10, 20, 5)))
    assert "metals" in asked.feeds()
    assert [event["symbol"] for event in asked.latest("metals")] == ["XAU"]
    since = datetime(2024, 1, 1, tzinfo=UTC)
    assert len(asked.events("stocks", "A", "test", since)) == 1
    assert asked.events("stocks", "A", "other", since) == []
    assert asked.health()["checks"]["kafka"]["dead_letters"] == 2


def test_health_that_is_bad_is_an_answer_and_no_trouble() -> None:
    world = World()
    world.down = {"kafka"}
    assert api(world).health()["checks"]["kafka"]["status"] == "unavailable"


def test_what_the_api_refuses_is_said() -> None:
    with pytest.raises(Trouble, match=r"more than 24 hours"):
        api(World()).costs(START)
    with pytest.raises(Trouble, match=r"refuses the dashboard's token: run site\.yml"):
        api(World(), {"Authorization": "Bearer wrong"}).feeds()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(200, {}, b"<html>"), "is not the API"),
        (Answer(200, {}, b"\xff"), "is not the API"),
        (Answer(502, {}, b"<html>"), "status 502"),
        (Answer(200, {}, b" " * (MOST_BYTES + 1)), "could not answer"),
        (Transient("no answer: refused"), r"does not answer \(no answer: refused\)"),
    ],
)
def test_what_is_no_answer_is_trouble(answer: Answer | Transient, said: str) -> None:
    def ask(path: str, parameters: Mapping[str, str]) -> Answer:
        if isinstance(answer, Transient):
            raise answer
        return answer

    with pytest.raises(Trouble, match=said):
        Api(ask).health()
