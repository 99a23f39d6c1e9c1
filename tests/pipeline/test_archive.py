"""The archive: every stored event is in it, once, also after a crash; and its login only reads."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from .pipeline import Pipeline, wait_until

Events = dict[str, set[str]]
BACK_SECONDS = 60
WRITE_SECONDS = 240
"""The history has thousands of days, each of which is a file. On a busy machine writing them takes
minutes, for which the rows of other feeds wait."""
DEMO = Path(__file__).parents[2] / "inventories/demo.yml"
FLUSH_SECONDS: float = yaml.safe_load(DEMO.read_text())["millrace_archive_flush_seconds"]


def stored(pipeline: Pipeline) -> Events:
    found = pipeline.script("operator", "event_ids.py").json
    return {feed: set(ids) for feed, ids in found.items()}


def archived(pipeline: Pipeline) -> Events:
    """What is in the tables, read beside the archiver, whose memory is its own."""
    status, logs = pipeline.run_instead("archiver", "archived.py")
    assert status == 0, logs[-2000:]
    return {feed: set(ids) for feed, ids in json.loads(logs.splitlines()[-1]).items()}


def lacking(these: Events, those: Events) -> dict[str, int]:
    """How many of these each feed lacks among those."""
    return {feed: len(ids - those[feed]) for feed, ids in these.items() if ids - those[feed]}


def wait_until_healthy(pipeline: Pipeline, started: str) -> None:
    def is_healthy() -> bool:
        now = pipeline.container("archiver").attrs["State"]["StartedAt"]
        return bool(now != started and pipeline.is_healthy("archiver"))

    wait_until("the archiver is healthy again", is_healthy, timeout=BACK_SECONDS)


def test_what_is_stored_is_archived_once_also_after_a_crash(pipeline: Pipeline) -> None:
    before = stored(pipeline)
    assert all(before.values()), "a feed has no event"
    started = pipeline.container("archiver").attrs["State"]["StartedAt"]
    pipeline.crash("archiver")
    wait_until_healthy(pipeline, started)
    # What it has read again by then is written when it stops: the next time is half a minute away.
    pipeline.container("archiver").restart(timeout=60)
    wait_until(
        "every stored event is archived",
        lambda: lacking(before, archived(pipeline)) == {},
        timeout=FLUSH_SECONDS + WRITE_SECONDS,
    )
    rows = archived(pipeline)
    wait_until(
        "every archived event is stored",
        lambda: lacking(rows, stored(pipeline)) == {},
        timeout=BACK_SECONDS,
    )


def test_the_archiver_reads_the_feeds_and_may_do_nothing_else(pipeline: Pipeline) -> None:
    found = pipeline.script("archiver", "archiver_rights.py").json
    assert found == {
        "read a feed": "done",
        "write to a feed": "TopicAuthorizationFailedError",
        "read the dead letters": "TopicAuthorizationFailedError",
        "commit for the processor": "GroupAuthorizationFailedError",
        "create a topic": "TopicAuthorizationFailedError",
    }


def test_the_archive_is_read_and_not_written_by_who_compares_it(pipeline: Pipeline) -> None:
    read = pipeline.run("archive-operator", "millrace", "archive", "tables", "--json")
    assert all(one["rows"] for one in read.json)
    for command in (["touch", "/archive/new"], ["millrace", "archive", "maintain"]):
        refused = pipeline.run("archive-operator", *command)
        assert refused.status == 1
        assert "ead-only" in refused.stderr
