"""A pipeline without Kafka's and MongoDB's data is filled from its archive: the same documents.

What docs/operating/restore.md tells people to type is typed as it is printed.
"""

import re

from tests.documented.commands import blocks

from .desk import Desk
from .pipeline import Pipeline

PAGE = "docs/operating/restore.md"
Documents = dict[str, dict[str, str]]


def documents(pipeline: Pipeline) -> Documents:
    """A digest of each document, without where in Kafka it is."""
    return dict(pipeline.script("operator", "documents.py").json)


def differences(before: Documents, after: Documents) -> dict[str, list[str]]:
    return {
        feed: sorted(
            event_id
            for event_id in own.keys() | after[feed].keys()
            if own.get(event_id) != after[feed].get(event_id)
        )[:10]
        for feed, own in before.items()
        if own != after[feed]
    }


def test_an_emptied_pipeline_is_filled_again(pipeline: Pipeline, desk: Desk) -> None:
    stop, remove, deploy, replay, start = (one.text for one in blocks(PAGE))

    def type_in(script: str) -> str:
        typed = desk.type(script)
        assert typed.status == 0, typed.output[-3000:]
        return typed.output

    type_in(stop)
    before = documents(pipeline)
    assert all(before.values()), "a feed has no event"
    type_in(remove)
    assert re.search("changed=[1-9].* failed=0", type_in(deploy))
    said = type_in(replay)
    for feed, own in before.items():
        assert re.search(rf"{feed}: .* {len(own):,} to send", said), said
        assert re.search(rf"{feed}: .* {len(own):,} sent", said), said
    assert differences(before, documents(pipeline)) == {}
    assert "equal, in" in type_in(start)
