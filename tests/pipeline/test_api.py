"""What the API says of every feed is what MongoDB and Redis hold."""

from .pipeline import Pipeline

FEEDS = {"metals", "stocks", "quotes", "gpu_metrics", "token_usage"}


def test_every_feed_is_served_as_it_is_stored(pipeline: Pipeline) -> None:
    found = pipeline.script("operator", "api_equals.py").json
    assert found["different"] == []
    for of in ("events", "latest"):
        assert found[of].keys() == FEEDS
        assert all(found[of].values()), f"nothing was compared of a feed: {found[of]}"
    assert found["quotes"] >= 5
