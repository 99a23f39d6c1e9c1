"""When the agent looks, what it begins, and when it says that all is done."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from emulator.agent import Agent
from emulator.engine import Seen
from emulator.model import Desired, Host
from emulator.settings import Lab

HOST = Host("i-1", "vpc-1", "10.0.0.4", "198.19.0.1", True, "ssh-ed25519 AAAA")
DESIRED = Desired({"i-1": HOST}, {"vpc-1": "10.0.0.0/16"})


class Cloud:
    """Says what it is told to say, and how often it was asked."""

    def __init__(self) -> None:
        self.says = DESIRED
        self.asked = 0

    def desired(self, reboots: Mapping[str, int]) -> Desired:
        self.asked += 1
        return self.says


class Engine:
    """A Docker engine in a few fields."""

    def __init__(self) -> None:
        self.seen: dict[str, Seen] = {}
        self.vpcs: list[str] = []
        self.fails = False

    def hosts(self) -> dict[str, Seen]:
        return self.seen

    def networks(self) -> list[str]:
        return self.vpcs

    def bridge(self, vpc: str) -> str:
        return "bridge"

    def name(self, identity: str) -> str:
        return identity

    def make_network(self, vpc: str, cidr: str) -> None:
        if self.fails:
            raise RuntimeError("taken")
        self.vpcs.append(vpc)

    def remove_network(self, vpc: str) -> None:
        self.vpcs.remove(vpc)

    def create(self, host: Host, image: str, folder: Path) -> None:
        assert (folder / "authorized_keys").read_text() == "ssh-ed25519 AAAA\n"
        self.seen[host.id] = Seen(host.id, host.network, 0, "never")

    def start(self, identity: str) -> None:
        self.seen[identity] = Seen(identity, "vpc-1", 1, f"after {self.seen[identity].started}")

    def stop(self, identity: str) -> None:
        self.seen[identity] = Seen(identity, "vpc-1", 0, self.seen[identity].started)

    def remove(self, identity: str) -> None:
        self.seen.pop(identity, None)


class Pool:
    """Does at once what it is given."""

    def submit(self, work: Any, *arguments: Any) -> Future[None]:
        work(*arguments)
        return Future()


class Addresses:
    """Remembers what was published."""

    def __init__(self) -> None:
        self.published: dict[str, tuple[str, str]] = {}

    def publish(self, wanted: Mapping[str, tuple[str, str]]) -> None:
        self.published = dict(wanted)


@pytest.fixture
def filtered() -> list[int]:
    """The processes that rules were put in place for."""
    return []


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filtered: list[int]) -> Any:
    """An agent without a machine."""
    monkeypatch.setattr("emulator.agent.Cloud", lambda lab: Cloud())
    monkeypatch.setattr("emulator.agent.Engine", lambda lab: Engine())
    monkeypatch.setattr("emulator.agent.Addresses", lambda lab: Addresses())
    monkeypatch.setattr("emulator.agent.restore", lambda text, within: filtered.append(within))
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "ca.crt").touch()
    made = Agent(Lab(state=tmp_path), "image")
    monkeypatch.setattr(made, "pool", Pool())
    return made


def settle(agent: Any) -> None:
    for _ in range(10):
        agent.step()
        if agent.settled:
            return
    raise AssertionError(f"not settled: {agent.problems}")


def test_network_then_host_then_settled(agent: Any) -> None:
    agent.step()
    assert (agent.engine.vpcs, agent.engine.seen, agent.settled) == (["vpc-1"], {}, False)
    settle(agent)
    assert agent.engine.seen["i-1"].pid == 1
    assert agent.addresses.published == {"198.19.0.1": ("10.0.0.4", "bridge")}


def test_api_is_asked_only_after_a_call_that_may_change_something(agent: Any) -> None:
    settle(agent)
    assert agent.cloud.asked == 1
    agent.called("ec2", "DescribeInstances", {})
    agent.called("s3", "ListBuckets", {})
    assert agent.settled
    agent.called("ec2", "CreateTags", {})
    assert not agent.settled
    settle(agent)
    assert agent.cloud.asked == 2


def test_reboot_that_was_asked_for_happens_once(agent: Any) -> None:
    settle(agent)
    agent.called("ec2", "RebootInstances", {"InstanceId.1": ["i-1"]})
    agent.cloud.says = Desired({"i-1": Host(**vars(HOST) | {"reboots": 1})}, DESIRED.networks)
    assert agent.reboots == {"i-1": 1}
    settle(agent)
    assert agent.engine.seen["i-1"].started == "after after never"


def test_host_that_goes_down_by_itself_is_started_again(agent: Any) -> None:
    settle(agent)
    agent.engine.stop("i-1")
    agent.step()
    assert agent.addresses.published == {}
    settle(agent)
    assert agent.engine.seen["i-1"].pid == 1


def test_host_that_somebody_restarted_gets_its_rules_again(agent: Any, filtered: list[int]) -> None:
    settle(agent)
    assert filtered == [1]
    agent.engine.seen["i-1"] = Seen("i-1", "vpc-1", 7, "behind our back")
    settle(agent)
    assert filtered == [1, 7]


def test_terminated_host_goes_with_its_network_and_its_address(agent: Any) -> None:
    settle(agent)
    agent.called("ec2", "TerminateInstances", {})
    agent.cloud.says = Desired()
    settle(agent)
    assert (agent.engine.seen, agent.engine.vpcs, agent.addresses.published) == ({}, [], {})


def test_removal_that_fails_halfway_is_tried_again_until_nothing_is_left(
    agent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    released: list[str] = []

    def release(volume: str) -> None:
        released.append(volume)
        if len(released) == 1:
            raise OSError("a device that went away")

    settle(agent)
    agent.attached["i-1"] = ("vol-1",)
    monkeypatch.setattr(agent.volumes, "release", release)
    monkeypatch.setattr("emulator.agent.RETRY_SECONDS", 0)
    agent.called("ec2", "TerminateInstances", {})
    agent.cloud.says = Desired()
    agent.step()
    assert (agent.engine.seen, agent.problems.keys()) == ({}, {"i-1"})
    settle(agent)
    assert (released, agent.problems, agent.attached) == (["vol-1", "vol-1"], {}, {})
    assert list((agent.lab.state / "instances").iterdir()) == []


def test_failure_is_kept_and_tried_again_later(agent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    agent.engine.fails = True
    agent.step()
    assert {key: text for key, (_, text) in agent.problems.items()} == {
        "vpc-1": "make-network: taken"
    }
    agent.engine.fails = False
    agent.step()
    assert (agent.engine.vpcs, agent.settled) == ([], False)
    monkeypatch.setattr("emulator.agent.RETRY_SECONDS", 0)
    settle(agent)
    assert agent.problems == {}
