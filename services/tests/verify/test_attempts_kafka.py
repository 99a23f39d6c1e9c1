"""What the operator tries on Kafka: nothing that it may do, whatever feeds there are."""

import pytest

from millrace.clients import kafka
from millrace.config import Settings
from millrace.verify.access import attempts_kafka


@pytest.mark.parametrize(
    ("feeds", "topic"), [(["quotes", "stocks"], "stock-alerts"), (["quotes"], "dead-letters")]
)
def test_it_writes_where_it_has_no_right_to(
    monkeypatch: pytest.MonkeyPatch, feeds: list[str], topic: str
) -> None:
    monkeypatch.setattr(kafka, "admin", lambda _settings: None)
    rights = attempts_kafka._Rights(Settings(feeds=feeds))
    assert {f"write to {topic}", f"delete records of {topic}"} <= rights.exceeded().keys()
