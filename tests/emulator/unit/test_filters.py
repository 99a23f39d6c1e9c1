"""Security groups as packet filter rules."""

from __future__ import annotations

from typing import Any

from emulator.filters import rules

EVERYTHING = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


def tcp(first: int, last: int, *, cidr: str = "", group: str = "") -> dict[str, Any]:
    return {
        "IpProtocol": "tcp",
        "FromPort": first,
        "ToPort": last,
        "IpRanges": [{"CidrIp": cidr}] if cidr else [],
        "UserIdGroupPairs": [{"GroupId": group}] if group else [],
    }


def chain(text: str, name: str) -> list[str]:
    return [
        line.removeprefix(f"-A {name} ")
        for line in text.splitlines()
        if line.startswith(f"-A {name} ")
    ]


def test_no_rule_lets_nothing_in_and_nothing_out_but_names() -> None:
    text = rules([{"IpPermissions": [], "IpPermissionsEgress": []}], {}, "10.0.0.4")
    established = "-m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
    assert chain(text, "LAB-IN") == [established, "-j DROP"]
    assert chain(text, "LAB-OUT") == [
        established,
        "-p udp --dport 53 -j ACCEPT",
        "-p tcp --dport 53 -j ACCEPT",
        "-j DROP",
    ]


def test_range_and_members_of_a_group() -> None:
    group = {
        "IpPermissions": [
            tcp(22, 22, cidr="198.18.0.1/32"),
            tcp(9101, 9109, group="sg-2"),
            tcp(27017, 27017, group="sg-empty"),
        ],
        "IpPermissionsEgress": [EVERYTHING],
    }
    text = rules([group], {"sg-2": ["10.0.0.9", "10.0.0.5"]}, "10.0.0.4")
    assert chain(text, "LAB-IN")[1:] == [
        "-s 10.0.0.5/32 -d 10.0.0.4/32 -p tcp --dport 9101:9109 -j ACCEPT",
        "-s 10.0.0.9/32 -d 10.0.0.4/32 -p tcp --dport 9101:9109 -j ACCEPT",
        "-s 198.18.0.1/32 -d 10.0.0.4/32 -p tcp --dport 22 -j ACCEPT",
        "-j DROP",
    ]
    assert chain(text, "LAB-OUT")[3:] == ["-d 0.0.0.0/0 -j ACCEPT", "-j DROP"]


def test_several_groups_add_up_without_repeating() -> None:
    group = {"IpPermissions": [tcp(22, 22, cidr="0.0.0.0/0")]}
    other = {"IpPermissions": [tcp(22, 22, cidr="0.0.0.0/0"), EVERYTHING]}
    assert chain(rules([group, other], {}, "10.0.0.4"), "LAB-IN")[1:] == [
        "-s 0.0.0.0/0 -d 10.0.0.4/32 -j ACCEPT",
        "-s 0.0.0.0/0 -d 10.0.0.4/32 -p tcp --dport 22 -j ACCEPT",
        "-j DROP",
    ]


def test_egress_can_be_narrow() -> None:
    group = {"IpPermissions": [], "IpPermissionsEgress": [tcp(443, 443, cidr="0.0.0.0/0")]}
    outbound = chain(rules([group], {}, "10.0.0.4"), "LAB-OUT")
    assert outbound[3:] == ["-d 0.0.0.0/0 -p tcp --dport 443 -j ACCEPT", "-j DROP"]


def test_who_may_reach_https_everywhere_may_reach_the_registries() -> None:
    group = {"IpPermissions": [], "IpPermissionsEgress": [tcp(443, 443, cidr="0.0.0.0/0")]}
    outbound = chain(rules([group], {}, "10.0.0.4", ["198.18.0.1:5000"]), "LAB-OUT")
    assert "-d 198.18.0.1/32 -p tcp --dport 5000 -j ACCEPT" in outbound
    for narrow in (tcp(80, 80, cidr="0.0.0.0/0"), tcp(443, 443, cidr="10.0.0.0/16")):
        group = {"IpPermissions": [], "IpPermissionsEgress": [narrow]}
        assert "198.18.0.1" not in rules([group], {}, "10.0.0.4", ["198.18.0.1:5000"])


def test_protocol_without_ports() -> None:
    icmp = {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "IpRanges": EVERYTHING["IpRanges"]}
    inbound = chain(rules([{"IpPermissions": [icmp]}], {}, "10.0.0.4"), "LAB-IN")
    assert inbound[1] == "-s 0.0.0.0/0 -d 10.0.0.4/32 -p icmp -j ACCEPT"


def test_both_chains_are_replaced_at_once() -> None:
    lines = rules([], {}, "10.0.0.4").splitlines()
    assert lines[:3] == ["*mangle", ":LAB-IN - [0:0]", ":LAB-OUT - [0:0]"]
    assert lines[-1] == "COMMIT"
