"""Which service is on which host: names, addresses and ports follow from the groups alone."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from tests.ansible.conftest import ROOT

sys.path.insert(0, str(ROOT / "plugins" / "filter"))

import placement as filters

PRODUCERS = [{"name": "metals"}, {"name": "quotes"}, {"name": "history"}]
EVERYTHING = ("kafka", "mongodb", "redis", "simulator", "processor", "api", "producers")
HERE = {"localhost": {"millrace_node_id": 1, "millrace_private_address": ""}}
FLEET = {
    "a": {"millrace_node_id": 1, "millrace_private_address": "10.0.0.1"},
    "b": {"millrace_node_id": 0, "millrace_private_address": "10.0.0.2"},
    "c": {"millrace_node_id": "2", "millrace_private_address": "10.0.0.3"},
}


def test_on_one_host_there_is_nothing_elsewhere() -> None:
    groups = {group: ["localhost"] for group in EVERYTHING}
    found = filters.placement(groups, HERE, PRODUCERS)
    assert found["kafka"] == {"kafka-1": "localhost"}
    assert found["mongodb"] == {"mongodb": "localhost"}
    assert found["redis"] == {"redis": "localhost"}
    assert list(found["producers"]) == ["producer-metals", "producer-quotes", "producer-history"]
    elsewhere = filters.addresses_elsewhere(found, HERE, "localhost")
    assert not any(elsewhere.values())
    assert filters.probes(found["producers"], "localhost", 9101) == list(found["producers"])


def test_names_come_from_numbers_and_addresses_from_hosts() -> None:
    groups = {"kafka": ["a", "c"], "mongodb": ["b", "c"], "simulator": ["b"], "api": ["a"]}
    found = filters.placement(groups, FLEET, PRODUCERS)
    assert found["kafka"] == {"kafka-1": "a", "kafka-2": "c"}
    assert found["mongodb"] == {"mongodb": "b", "mongodb-2": "c"}
    assert found["producers"] == {}
    assert filters.addresses_elsewhere(found, FLEET, "a") == {
        "kafka": {"kafka-2": "10.0.0.3"},
        "mongodb": {"mongodb": "10.0.0.2", "mongodb-2": "10.0.0.3"},
        "simulator": {"simulator": "10.0.0.2"},
        "api": {},
        "redis": {},
        "archiver": {},
        "warehouse": {},
        "producers": {},
    }
    assert filters.name_on(found["kafka"], "c") == "kafka-2"
    assert filters.name_on(found["kafka"], "b") == ""


def test_latest_values_are_on_one_host_or_on_none() -> None:
    found = filters.placement({"redis": ["b"], "processor": ["a"]}, FLEET, PRODUCERS)
    assert found["redis"] == {"redis": "b"}
    assert filters.addresses_elsewhere(found, FLEET, "a")["redis"] == {"redis": "10.0.0.2"}
    assert filters.addresses_elsewhere(found, FLEET, "b")["redis"] == {}
    for without in ({}, {"redis": []}):
        assert filters.placement(without, FLEET, PRODUCERS)["redis"] == {}


def test_the_archiver_is_asked_at_its_own_port_on_another_host() -> None:
    found = filters.placement({"archiver": ["b"], "processor": ["a"]}, FLEET, PRODUCERS)
    assert found["archiver"] == {"archiver": "b"}
    assert filters.addresses_elsewhere(found, FLEET, "a")["archiver"] == {"archiver": "10.0.0.2"}
    assert filters.probes(found["archiver"], "a", 9110) == ["archiver:9110"]
    assert filters.probes(found["archiver"], "b", 9110) == ["archiver"]


def test_two_hosts_never_share_a_name() -> None:
    twins: dict[str, Any] = {"a": FLEET["a"], "b": FLEET["a"]}
    with pytest.raises(AnsibleFilterError, match=r"a and b would both be kafka-1: .*node_id"):
        filters.placement({"kafka": ["a", "b"]}, twins, [])


@pytest.mark.parametrize("number", ["one", -1, ""])
def test_the_number_of_a_host_is_one(number: Any) -> None:
    said = f"millrace_node_id of a is {number}: it must be a whole number"
    with pytest.raises(AnsibleFilterError, match=f"^{said}$"):
        filters.placement({"kafka": ["a"]}, {"a": FLEET["a"] | {"millrace_node_id": number}}, [])


def test_producers_take_turns_on_their_hosts_each_with_a_port() -> None:
    hosts = ["b", "c"]
    names = filters.placement({"producers": hosts}, FLEET, PRODUCERS)["producers"]
    assert names == {"producer-metals": "b", "producer-quotes": "c", "producer-history": "b"}
    assert filters.probes(names, "a", 9101) == [
        "producer-metals:9101",
        "producer-quotes:9101",
        "producer-history:9102",
    ]
    assert filters.probes(names, "b", 9101)[0] == "producer-metals"
    spread = [filters.producers_on(PRODUCERS, hosts, host) for host in hosts]
    assert [[one["name"] for one in own] for own in spread] == [["metals", "history"], ["quotes"]]
    # The role publishes its producers in this order: the ports are those that are asked.
    assert list(names) == [f"producer-{one['name']}" for one in PRODUCERS]
