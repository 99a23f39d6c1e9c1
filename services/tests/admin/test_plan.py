"""The comparison of states that both administration commands are made of."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.admin.kafka_state import Desired
from millrace.admin.plan import Change, Fields, Key, State, plan, render, simulate
from millrace.admin.program import AdminError, decode, reconcile

KINDS = ("topic", "user", "acl")

keys: st.SearchStrategy[Key] = st.tuples(st.sampled_from(KINDS), st.sampled_from("abcd"))
fields = st.dictionaries(st.sampled_from(["x", "y"]), st.integers(0, 2) | st.just("text"))
states: st.SearchStrategy[dict[Key, Fields]] = st.dictionaries(keys, fields, max_size=6)


@given(desired=states, actual=states)
def test_a_plan_leads_to_the_desired_state(desired: State, actual: State) -> None:
    reached = simulate(actual, plan(desired, actual, KINDS))
    assert reached == desired
    assert plan(desired, reached, KINDS) == []


@given(desired=states, actual=states, data=st.data())
def test_a_plan_does_not_depend_on_the_order_of_what_it_is_given(
    desired: State, actual: State, data: st.DataObject
) -> None:
    shuffled = dict(data.draw(st.permutations(list(desired.items()))))
    assert plan(shuffled, actual, KINDS) == plan(desired, actual, KINDS)


@given(desired=states, actual=states)
def test_things_are_made_in_order_and_removed_in_reverse_after_that(
    desired: State, actual: State
) -> None:
    found = plan(desired, actual, KINDS)
    kept = [KINDS.index(c.kind) for c in found if c.after is not None]
    gone = [KINDS.index(c.kind) for c in found if c.after is None]
    assert kept == sorted(kept)
    assert gone == sorted(gone, reverse=True)
    assert all(c.after is not None for c in found[: len(kept)])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (Change(("topic", "a"), None, {"n": 1, "m": "x"}), "create topic a: m=x, n=1"),
        (Change(("acl", "a", "read"), None, {}), "create acl a read"),
        (Change(("topic", "a"), {"n": 1, "m": 5}, {"n": 2, "m": 5}), "update topic a: n 1 -> 2"),
        (Change(("topic", "a"), {"n": 1}, {}), "update topic a: n 1 -> null"),
        (Change(("user", "a"), {"n": 1}, None), "remove user a"),
    ],
)
def test_a_change_reads_like_a_sentence(change: Change, text: str) -> None:
    assert str(change) == text


def test_a_state_is_rendered_one_thing_a_line() -> None:
    state = {("user", "b"): {"n": [1]}, ("acl", "User:b", "read"): {}}
    assert render(state) == 'acl User:b read\nuser b {"n": [1]}\n'


class FakeServer:
    """A server that does what it is told, unless it is deaf."""

    def __init__(self, state: State, *, deaf: bool = False) -> None:
        self.state = dict(state)
        self.deaf = deaf
        self.applied: list[Change] = []

    def read(self) -> dict[Key, Fields]:
        return dict(self.state)

    def apply(self, found: Any) -> None:
        self.applied += found
        if not self.deaf:
            self.state = simulate(self.state, found)


DESIRED: State = {("user", "a"): {"n": 2}, ("topic", "t"): {}}
BEFORE: State = {("user", "a"): {"n": 1}, ("user", "b"): {}}


def planned(actual: State) -> tuple[list[Change], list[str]]:
    return plan(DESIRED, actual, KINDS), ["a note"]


def test_reconciling_changes_and_reports() -> None:
    server = FakeServer(BEFORE)
    report = reconcile(server, planned, check=False)
    assert server.state == DESIRED
    assert report.changed
    assert report.changes == ["create topic t", "update user a: n 1 -> 2", "remove user b"]
    assert report.notes == ["a note"]
    assert report.diff == {"before": render(BEFORE), "after": render(DESIRED)}


def test_reconciling_twice_changes_nothing() -> None:
    server = FakeServer(BEFORE)
    reconcile(server, planned, check=False)
    server.applied.clear()
    report = reconcile(server, planned, check=False)
    assert not report.changed
    assert report.changes == []
    assert server.applied == []
    assert report.diff["before"] == report.diff["after"]


def test_check_mode_changes_nothing_and_reports_the_same() -> None:
    server = FakeServer(BEFORE)
    report = reconcile(server, planned, check=True)
    assert server.applied == []
    assert report == reconcile(FakeServer(BEFORE), planned, check=False)


def test_a_change_without_effect_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millrace.admin.program.EFFECT_SECONDS", 0.0)
    with pytest.raises(AdminError, match="create topic t"):
        reconcile(FakeServer(BEFORE, deaf=True), planned, check=False)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"bootstrap_servers": "a", "bogus": 1}'])
def test_a_desired_state_that_is_not_understood_is_refused(text: bytes) -> None:
    with pytest.raises(AdminError, match="not understood"):
        decode(text, Desired)
