"""100 malformed records among 10,000 good ones: exactly 100 dead letters, bytes intact."""

import base64
import json

import pytest

from tests.documented.commands import block

from .desk import Desk
from .pipeline import Pipeline, wait_until

pytestmark = pytest.mark.usefixtures("verified")


def test_malformed_records_become_dead_letters_byte_for_byte(pipeline: Pipeline, run: str) -> None:
    sent = pipeline.script(pipeline.service("producer"), "malformed.py", run).json
    good = set(sent["good"])

    def stored() -> dict[str, int]:
        return dict(pipeline.script("operator", "stored.py", "malformed-test").json)

    wait_until("the good records are stored", lambda: good <= stored().keys(), timeout=120)
    counts = stored()
    assert all(counts[event_id] == 1 for event_id in good)

    def dead() -> list[tuple[str | None, str | None, dict[str, str]]]:
        letters = pipeline.script("operator", "dead_letters.py").json
        wanted = {key for key, *_ in sent["bad"]}
        return [(key, value, headers) for key, value, headers in letters if key in wanted]

    wait_until("the dead letters are there", lambda: len(dead()) >= len(sent["bad"]), timeout=60)
    letters = dead()
    assert len(letters) == len(sent["bad"]) == 100
    assert {(k, v) for k, v, _ in letters} == {(k, v) for k, v, *_ in sent["bad"]}
    by_key = {key: headers for key, _, headers in letters}
    assert len({topic for *_, topic in sent["bad"]}) == 5, "not every feed had its share"
    for key, _, headers, topic in sent["bad"]:
        for name, value in headers:
            assert by_key[key][name] == value, "an original header was changed"
        assert base64.b64decode(by_key[key]["__connect.errors.topic"]).decode() == topic
        assert "__connect.errors.offset" in by_key[key]
        assert "__connect.errors.exception.message" in by_key[key]


def test_dead_letters_are_listed_shown_and_replayed(pipeline: Pipeline, desk: Desk) -> None:
    letters = pipeline.operator("dead-letters", "list", "--json").json
    position = letters[0]["position"]
    page = block("docs/operating/dead-letters.md", "docker exec millrace-operator millrace dead")
    typed = desk.type(page.text.replace("0/17", position))
    assert typed.status == 0, typed.output[-3000:]
    assert position in typed.output


def test_a_feed_of_which_most_is_bad_stands_still_until_an_operator_orders_it_on(
    pipeline: Pipeline, desk: Desk
) -> None:
    assert pipeline.script(pipeline.service("producer"), "bad_stream.py").json == 3000

    def stands() -> list[str]:
        # It ends with an error while something stands.
        services = json.loads(pipeline.operator("status", "--json").stdout)["services"]
        found = [one for service in services for one in service["says"].get("standing", ())]
        return [f"{one['topic']}/{one['partition']}/{one['offset']}" for one in found]

    wait_until("the feed stands still", lambda: bool(stands()), timeout=60)
    pipeline.container("processor").restart()
    wait_until("it does so after a restart", lambda: bool(stands()), timeout=60)
    page = block(
        "docs/operating/dead-letters.md",
        "docker exec millrace-operator millrace standing skip stock-data",
    )
    skip, resume = page.commands
    [place] = stands()
    typed = desk.type(skip.replace("stock-data/0/17", place))
    assert typed.status == 0, typed.output[-3000:]
    assert "done" in typed.output
    log = pipeline.container("processor").logs(tail=50).decode()
    assert "carries out a command" in log
    assert "known to the team" in log
    wait_until("it stands at the next", lambda: stands() not in ([], [place]), timeout=60)

    [place] = stands()
    pipeline.container("processor").stop()  # As if it died of that record.
    fatal = block(
        "docs/operating/dead-letters.md",
        "docker exec millrace-operator millrace standing skip --fatal",
    )
    typed = desk.type(fatal.commands[0].replace("stock-data/0/17", place))
    assert typed.status == 0, typed.output[-3000:]
    assert "the next processor that starts carries it out" in typed.output
    pipeline.container("processor").start()
    wait_until("it stands at the one behind", lambda: stands() not in ([], [place]), timeout=60)

    typed = desk.type(resume)
    assert typed.status == 0, typed.output[-3000:]
    assert "done" in typed.output
    wait_until("it reads on", lambda: not stands(), timeout=60)
