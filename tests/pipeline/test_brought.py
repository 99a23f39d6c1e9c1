"""What a source brings is what is stored, for each source that polls here."""

import json

from .pipeline import Pipeline

FEEDS = {"metals", "stocks", "quotes", "gpu_metrics", "token_usage"}


def test_what_each_source_brings_is_stored_as_it_is(pipeline: Pipeline, run: str) -> None:
    feeds = set()
    # That of the history is compared with its whole file by `millrace verify`.
    for service in pipeline.services("producer-"):
        if service == "producer-history":
            continue
        brought = pipeline.script(service, "source.py", run).json
        assert brought["events"], f"{service}: the source brought nothing"
        arguments = (brought["feed"], json.dumps(brought["events"]))
        found = pipeline.script("operator", "as_brought.py", *arguments).json
        assert found["different"] == []
        assert found["stored"] == len({event["event_id"] for event in brought["events"]})
        feeds.add(brought["feed"])
    assert feeds == FEEDS
