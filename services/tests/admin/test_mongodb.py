"""`millrace admin mongodb`: against a server that behaves as MongoDB does at first."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo.errors import OperationFailure
from services.tests.admin.fake_mongodb import MEMBER, SECRET, FakeMongo, desired, role, user

from millrace.admin.mongodb_server import MongoServer
from millrace.admin.mongodb_state import Desired, changes
from millrace.admin.program import AdminError, Report, reconcile


def apply(mongo: FakeMongo, wanted: Desired, *, check: bool = False) -> Report:
    mongo.commands.clear()
    with MongoServer(wanted, mongo.connect) as server:
        return reconcile(server, lambda actual: (changes(wanted, actual), []), check=check)


WANTED = {
    "roles": [role("writer", "c", "insert", "find")],
    "users": [user("processor", "p", "writer"), user("api", "q", "read")],
}


def test_a_server_is_set_up_from_its_first_start() -> None:
    mongo = FakeMongo()
    report = apply(mongo, desired(**WANTED))
    assert [change.split(":")[0] for change in report.changes] == [
        "create replica set rs0",
        "create administrator admin",
        "create role writer",
        "create user api",
        "create user processor",
    ]
    assert mongo.replica_set == {"_id": "rs0", "members": [{"_id": 0, "host": MEMBER}]}
    assert mongo.users["admin", "admin"]["roles"] == ["root"]
    assert mongo.users["millrace", "processor"]["mechanisms"] == ["SCRAM-SHA-256"]
    assert not apply(mongo, desired(**WANTED)).changed


def test_check_mode_foresees_the_first_set_up_and_does_nothing() -> None:
    mongo = FakeMongo()
    foreseen = apply(mongo, desired(**WANTED), check=True)
    assert mongo.commands == []
    assert foreseen == apply(mongo, desired(**WANTED))


@pytest.mark.parametrize("steps", range(6))
def test_an_interrupted_set_up_is_finished_by_the_next(steps: int) -> None:
    mongo = FakeMongo()
    wanted = desired(**WANTED)
    with MongoServer(wanted, mongo.connect) as server:
        server.apply(changes(wanted, server.read())[:steps])
    assert apply(mongo, wanted).changed == (steps < 5)
    assert not apply(mongo, wanted).changed


names = st.sampled_from(["a", "b", "c"])
roles = st.lists(
    st.builds(role, names, st.sampled_from(["x", "y"]), st.sampled_from(["find", "insert"])),
    unique_by=lambda r: r["name"],
)
users = st.lists(
    st.builds(user, names, st.sampled_from(["p", "q"]), st.sampled_from(["read", "readWrite"])),
    unique_by=lambda u: u["name"],
)
declarations = st.fixed_dictionaries({"roles": roles, "users": users})


@given(first=declarations, second=declarations)
def test_any_server_becomes_what_is_declared_and_stays_so(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> None:
    mongo = FakeMongo()
    apply(mongo, desired(**first))
    foreseen = apply(mongo, desired(**second), check=True)
    assert apply(mongo, desired(**second)) == foreseen
    assert not apply(mongo, desired(**second)).changed
    assert {n for db, n in mongo.users if db == "millrace"} == {u["name"] for u in second["users"]}
    assert {n for _, n in mongo.roles} == {r["name"] for r in second["roles"]}


def test_a_changed_password_is_found_by_trying_it_and_is_in_no_output() -> None:
    mongo = FakeMongo()
    apply(mongo, desired(users=[user("api", "old", "read")]))
    report = apply(mongo, desired(users=[user("api", "battery-staple", "read")]))
    assert report.changes == ["update user api: password another -> as declared"]
    assert mongo.users["millrace", "api"]["pwd"] == "battery-staple"
    text = msgspec.json.encode(report).decode()
    assert "battery-staple" not in text
    assert SECRET not in text


def test_changed_roles_leave_the_password_alone() -> None:
    mongo = FakeMongo()
    apply(mongo, desired(users=[user("api", "p", "read")]))
    report = apply(mongo, desired(users=[user("api", "p", "readWrite")]))
    assert report.changes == ['update user api: roles ["read"] -> ["readWrite"]']
    assert mongo.updated == {"roles": ["readWrite"]}
    assert mongo.users["millrace", "api"]["roles"] == ["readWrite"]


def test_the_administrator_password_is_changed_with_a_previous_one() -> None:
    mongo = FakeMongo()
    apply(mongo, desired())
    new = {"name": "admin", "password": "new", "previous_passwords": ["older", SECRET]}
    assert apply(mongo, desired(admin=new)).changed
    assert mongo.users["admin", "admin"]["pwd"] == "new"
    assert not apply(mongo, desired(admin=new)).changed


def test_a_refused_administrator_password_is_an_error_and_changes_nothing() -> None:
    mongo = FakeMongo()
    apply(mongo, desired())
    wrong = {"name": "admin", "password": "wrong"}
    with pytest.raises(AdminError, match="refuses the password of admin"):
        apply(mongo, desired(admin=wrong))
    assert mongo.commands == []


def test_another_replica_set_is_refused() -> None:
    mongo = FakeMongo()
    apply(mongo, desired())
    with pytest.raises(AdminError, match=r"belongs to replica set rs0 .* declared is rs9"):
        apply(mongo, desired(replica_set="rs9"))
    with pytest.raises(AdminError, match="members mongodb:27017; declared is rs0 with elsewhere"):
        apply(mongo, desired(members=["elsewhere:27017"]))
    assert mongo.commands == []


def test_a_server_without_a_replica_set_is_refused() -> None:
    mongo = FakeMongo()
    mongo.standalone = True
    with pytest.raises(AdminError, match="runs without a replica set"):
        apply(mongo, desired())


def test_a_starting_server_is_waited_for() -> None:
    mongo = FakeMongo()
    mongo.unreachable = 1
    assert apply(mongo, desired()).changed


def test_a_server_that_does_not_answer_is_an_error_of_one_line() -> None:
    mongo = FakeMongo()
    mongo.unreachable = 1_000_000
    with pytest.raises(AdminError) as caught:
        apply(mongo, desired())
    assert str(caught.value) == ("localhost:27017 does not answer within 0.5 s: connection refused")


def test_a_refused_change_names_the_change(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OperationFailure("long", 2, {"errmsg": "Unrecognized action: fly"})

    monkeypatch.setattr(FakeMongo, "createRole", refuse)
    with pytest.raises(AdminError, match=r"create role r: .*: Unrecognized action: fly"):
        apply(FakeMongo(), desired(roles=[role("r", "c", "fly")]))


def test_nothing_is_declared_twice() -> None:
    with pytest.raises(AdminError, match="declared twice: user api"):
        apply(FakeMongo(), desired(users=[user("api"), user("api")]))
