"""Zones are those that the account has and that offer what the fleet needs; they stay."""

from __future__ import annotations

import sys
from typing import Any

import boto3
import pytest
from moto import mock_aws
from tests.ansible.conftest import ROOT, load
from tests.ansible.test_aws_filters import wanted
from tests.ansible.test_aws_settings import fleet, good

sys.path.insert(0, str(ROOT / "plugins" / "filter"))

import aws_zones

BOTH = ["t3.micro", "t3.small"]
ZONES = {"a": ["t3.micro"], "c": BOTH, "d": BOTH, "e": BOTH}


def chosen(found: list[dict[str, Any]], **changes: Any) -> list[str]:
    return aws_zones.aws_zones(good() | {"zones": []} | changes, found, ZONES)


def public(letter: str, cidr: str) -> dict[str, Any]:
    name = {"Name": f"millrace-public-{letter}"}
    return {"tags": name, "cidr": cidr, "zone": f"us-east-1{letter}"}


def test_the_first_two_that_offer_everything_are_taken() -> None:
    assert chosen([]) == ["c", "d"]
    assert chosen([], zones=["e", "a"]) == ["e", "a"]
    assert chosen([], fleet=fleet(0, zone="a")) == ["a", "c"]
    assert chosen([], fleet=fleet(0, type="z9.huge")) == []


def test_those_that_exist_stay_in_their_order() -> None:
    """Also where another would be taken today, and where a run was cut short after the first."""
    found = [public("b", "10.42.1.0/24"), public("f", "10.42.0.0/24")]
    private = public("b", "10.42.128.0/24") | {"tags": {"Name": "millrace-private-b"}}
    assert chosen([private, *found]) == ["f", "b"]
    assert chosen(found[1:]) == ["f", "c"]
    # Ten comes after two.
    many = [public("x", "10.42.10.0/24"), public("y", "10.42.2.0/24")]
    assert chosen(many) == ["y", "x"]
    assert aws_zones.aws_zones(good() | {"zones": []}, found, {}) == ["f", "b"]


@pytest.mark.parametrize(
    ("zones", "changes", "says"),
    [
        (["c", "d"], {}, []),
        (
            ["b", "c"],
            {},
            ["us-east-1 has no zone b for this account: set millrace_zones to some of a, c, d, e"],
        ),
        (
            ["a", "c"],
            {},
            [
                f"us-east-1a does not offer t3.small for {name}: "
                "give the host another zone (c, d, e)"
                for name in ("kafka-1", "mongodb-1")
            ],
        ),
        (
            ["c"],
            {"fleet": fleet(2, type="z9.huge")},
            [
                "us-east-1c does not offer z9.huge for processor-1: give the host a type that "
                "there is"
            ],
        ),
    ],
)
def test_what_a_zone_has_not_is_said(
    zones: list[str], changes: dict[str, Any], says: list[str]
) -> None:
    hosts = wanted(zones=zones, **changes)["hosts"]
    assert aws_zones.aws_zone_problems(hosts, zones, ZONES, "us-east-1") == says


def test_aws_is_asked_for_zones_and_for_what_they_offer() -> None:
    module = load(ROOT / "plugins/modules/aws_zones_info.py")
    with mock_aws():
        client = boto3.client(
            "ec2",
            region_name="ap-northeast-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        found = module.look(client, "ap-northeast-1", ["t3.micro", "z9.huge"])
    # There is no zone b.
    assert found == {letter: ["t3.micro"] for letter in "acd"}


def test_a_type_that_there_is_nowhere_is_named_and_not_the_zones() -> None:
    misspelt = fleet(0, type="t3.smal")
    assert aws_zones.aws_no_zone(misspelt, ZONES, "us-east-1") == (
        "no zone of us-east-1 offers t3.smal for kafka-1: give the host a type that there is"
    )
    apart = {"a": ["t3.micro"], "b": ["t3.small"]}
    assert aws_zones.aws_no_zone(fleet(0), apart, "us-east-1") == (
        "no zone of us-east-1 offers every type of millrace_fleet: set millrace_zones"
    )
