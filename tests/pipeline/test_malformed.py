"""100 malformed records among 10,000 good ones: exactly 100 dead letters, bytes intact."""

import base64

from tests.documented.commands import block

from .desk import Desk
from .pipeline import Pipeline, wait_until


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
    pipeline.verify()


def test_dead_letters_are_listed_shown_and_replayed(pipeline: Pipeline, desk: Desk) -> None:
    letters = pipeline.operator("dead-letters", "list", "--json").json
    position = letters[0]["position"]
    page = block("docs/operating/dead-letters.md", "docker exec millrace-operator millrace dead")
    typed = desk.type(page.text.replace("0/17", position))
    assert typed.status == 0, typed.output[-3000:]
    assert position in typed.output
