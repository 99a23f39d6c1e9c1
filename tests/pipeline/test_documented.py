"""What docs/operating tells people to type does what it says, on the pipeline under test.

It is typed as it is printed. Only the instance, its port and where its secrets are differ: other
pipelines are on this machine.
"""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documented.commands import ROOT, block, blocks, inline
from tests.documented.where import ALONE, CONTROL_C, SESSIONS, Session

from .desk import Desk
from .pipeline import Pipeline
from .test_secrets import Vault

PAGE = "docs/operating/api.md"
INTERRUPTED = 130


@pytest.fixture
def as_it_was(pipeline: Pipeline) -> Iterator[None]:
    """What the pages have somebody change or make in the checkout is undone."""
    new = ROOT / "NEW"
    new.write_text(secrets.token_urlsafe(32))
    try:
        yield
    finally:
        new.unlink(missing_ok=True)
        (ROOT / "watch.svg").unlink(missing_ok=True)
        pipeline.run("producer-metals", "millrace", "producer", "resume")


@pytest.mark.parametrize("session", SESSIONS, ids=lambda one: f"{Path(one.page).stem}:{one.first}")
def test_it_does_what_the_page_says(desk: Desk, as_it_was: None, session: Session) -> None:
    password = Vault().read()["vault_redis_operator_password"]
    answers = [
        (asked, answer.replace("{redis_password}", password)) for asked, answer in session.answers
    ]
    typed = desk.type("\n".join(session.commands), *answers, **session.environment)
    assert typed.status == session.status, typed.output[-3000:]
    assert re.search(session.expected, typed.output), typed.output[-3000:]


@pytest.mark.parametrize(("page", "command"), ALONE)
def test_a_command_of_a_sentence_works(desk: Desk, page: str, command: str) -> None:
    assert command in inline(page)
    typed = desk.type(command.replace("<service>", "processor"))
    assert (typed.status, bool(typed.output.strip())) == (0, True)


def test_a_picture_is_drawn(desk: Desk, as_it_was: None) -> None:
    text = block("docs/operating/watch.md", "docker exec millrace-operator millrace watch --svg")
    assert desk.type(text.text).status == 0
    assert (ROOT / "watch.svg").read_text().startswith("<svg")


def test_the_api_is_asked_followed_and_sent_to(desk: Desk) -> None:
    asking, following, sending = (item.text for item in blocks(PAGE))
    # The stream goes on until it is interrupted, so it is followed last.
    typed = desk.type(f"{asking}\n{sending}\n{following}", ("retry: [0-9]+", CONTROL_C))
    assert typed.status == INTERRUPTED, typed.output[-3000:]
    for part in ("metal_prices|stocks", '"event_id"', '"from": ?"cache"', '"status": ?"ok"'):
        assert re.search(part, typed.output), part
    assert len(re.findall('"accepted"', typed.output)) == 2, typed.output[-3000:]
