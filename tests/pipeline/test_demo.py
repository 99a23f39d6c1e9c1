"""`make demo` ends with this view, on a pipeline that runs."""

from .pipeline import Pipeline
from .test_api import FEEDS


def test_the_view_shows_every_feed_at_work_and_what_tokens_cost(pipeline: Pipeline) -> None:
    result = pipeline.operator("watch", "--once")
    assert result.status == 0, result.stderr[-2000:]
    view = result.stdout
    for feed in FEEDS:
        assert f" {feed} " in view
    for heading in ("What flows", "Processor and producers", "Latest prices"):
        assert heading in view
    # What follows the heading is a table with a row a model.
    assert "-instruct " in view.partition("Latest cost of tokens")[2]
    for problem in ("does not answer", "not known", "looking"):
        assert problem not in view
