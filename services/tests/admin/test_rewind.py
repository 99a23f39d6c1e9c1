"""`millrace admin rewind`: a group is removed once nobody is in it, and not before."""

from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.errors import GroupIdNotFoundError
from services.tests.stands import stands_for

from millrace.admin import rewind
from millrace.admin.program import AdminError

GONE = str(GroupIdNotFoundError("Group g not found."))


@stands_for(KafkaAdminClient)
class FakeClient:
    """A group that members leave, one with every look."""

    def __init__(self, members: int, *, state: str = "Stable", error: str | None = None) -> None:
        self.members = members
        self.state = state
        self.error = error
        self.refusal: str | None = None
        self.deleted: list[str] = []

    def describe_groups(self, names: list[str]) -> dict[str, Any]:
        state = "Empty" if self.state == "Stable" and not self.members else self.state
        found: dict[str, Any] = {
            "group_state": "Dead" if self.deleted else state,
            "error": GONE if self.deleted else self.error,
            "members": [{}] * self.members,
        }
        self.members = max(0, self.members - 1)
        return {names[0]: found}

    def delete_groups(self, names: list[str]) -> dict[str, str]:
        if self.refusal or self.members:
            return {names[0]: self.refusal or "NonEmptyGroupError"}
        answer = "GroupIdNotFoundError" if self.deleted else "OK"
        self.deleted += names
        return {names[0]: answer}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewind, "POLL_SECONDS", 0.0)


def test_members_are_waited_for() -> None:
    client = FakeClient(2)
    report = rewind.rewind(client, "g", check=False)
    assert report.changes == ["group g starts at the beginning"]
    assert (client.deleted, client.members) == (["g"], 0)


def test_a_group_that_is_in_use_keeps_its_position(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewind, "MEMBERS_SECONDS", -1.0)
    client = FakeClient(3)
    with pytest.raises(AdminError, match=r"group g has 2 members .* stop them first"):
        rewind.rewind(client, "g", check=False)
    assert client.deleted == []


def test_a_prediction_changes_nothing() -> None:
    client = FakeClient(2)
    assert rewind.rewind(client, "g", check=True).changed
    assert client.deleted == []


def test_a_group_that_is_not_there_has_nothing_to_forget() -> None:
    client = FakeClient(0, state="Dead", error=GONE)
    assert not rewind.rewind(client, "g", check=False).changed
    assert client.deleted == []


def test_what_kafka_says_against_it_is_told() -> None:
    client = FakeClient(0)
    client.refusal = "GroupAuthorizationFailedError"
    with pytest.raises(AdminError, match="group g: GroupAuthorizationFailedError"):
        rewind.rewind(client, "g", check=False)
    with pytest.raises(AdminError, match="group g: not allowed"):
        rewind.rewind(FakeClient(0, state="", error="not allowed"), "g", check=False)
