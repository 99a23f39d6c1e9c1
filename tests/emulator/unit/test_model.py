"""From what there is to what the API says there should be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emulator.model import Action, Actual, Container, Desired, Host, plan

HOST = Host("i-1", "vpc-1", "10.0.0.4", "198.19.0.1", True, "ssh-ed25519 AAAA", ("vol-1",), "rules")
CONTAINER = Container("i-1", "vpc-1", True, ("vol-1",), "rules")
DESIRED = Desired({"i-1": HOST}, {"vpc-1": "10.0.0.0/16"}, {"vol-1": 1})
ACTUAL = Actual({"i-1": CONTAINER}, ["vpc-1"], ["vol-1"])


def with_host(**changes: object) -> Desired:
    return replace(DESIRED, hosts={"i-1": replace(HOST, **changes)})  # type: ignore[arg-type]


def with_container(**changes: object) -> Actual:
    container = replace(CONTAINER, **changes)  # type: ignore[arg-type]
    return replace(ACTUAL, containers={"i-1": container})


def test_nothing_to_do() -> None:
    assert plan(DESIRED, ACTUAL) == []
    assert plan(Desired(), Actual()) == []


def test_network_before_host() -> None:
    assert plan(DESIRED, Actual()) == [Action("make-network", "vpc-1")]
    assert plan(DESIRED, Actual(networks=["vpc-1"])) == [Action("create", "i-1")]


@pytest.mark.parametrize(
    ("desired", "actual", "kind"),
    [
        (with_host(running=False, public=None), ACTUAL, "stop"),
        (DESIRED, with_container(running=False, filters=None), "start"),
        (with_host(reboots=2), with_container(reboots=1), "reboot"),
        (with_host(volumes=()), ACTUAL, "volumes"),
        (with_host(volumes=("vol-1", "vol-2")), ACTUAL, "volumes"),
        (with_host(filters="others"), ACTUAL, "filters"),
        # The same rules, but not in this run of the container.
        (DESIRED, with_container(filters=None), "filters"),
    ],
)
def test_one_thing_differs(desired: Desired, actual: Actual, kind: str) -> None:
    assert [(action.kind, action.subject) for action in plan(desired, actual)] == [(kind, "i-1")]


def test_stopped_host_that_is_rebooted_or_changed_waits() -> None:
    desired = with_host(running=False, reboots=1, volumes=("vol-1", "vol-2"), filters="others")
    assert plan(desired, with_container(running=False)) == []


def test_host_that_never_ran_is_not_made_to_be_stopped() -> None:
    assert plan(with_host(running=False), Actual(networks=["vpc-1"])) == []


def test_busy_host_is_left_alone() -> None:
    assert plan(with_host(running=False), ACTUAL, busy={"i-1"}) == []
    assert plan(Desired(volumes={"vol-1": 1}), ACTUAL, busy={"i-1"}) == []


def test_terminated_host_goes_before_its_network_and_keeps_its_volume() -> None:
    desired = Desired(volumes={"vol-1": 1})
    assert plan(desired, ACTUAL) == [Action("remove", "i-1")]
    left = Actual(networks=["vpc-1"], files=["vol-1"])
    assert plan(desired, left) == [Action("remove-network", "vpc-1")]


def test_what_a_removal_left_is_removed_again() -> None:
    assert plan(Desired(), Actual(folders=["i-1"])) == [Action("remove", "i-1")]
    assert plan(Desired(), Actual(folders=["i-1"]), busy={"i-1"}) == []
    assert plan(DESIRED, replace(ACTUAL, folders=["i-1"])) == []


def test_deleted_volume_goes_when_no_container_has_it() -> None:
    assert plan(Desired(), ACTUAL) == [Action("remove", "i-1")]
    assert plan(Desired(), Actual(files=["vol-1"])) == [Action("delete-volume", "vol-1")]
    assert plan(Desired(), Actual(files=["vol-1"]), busy={"vol-1"}) == []


def test_network_of_stopped_hosts_stays() -> None:
    actual = with_container(running=False)
    assert plan(with_host(running=False), actual) == []
