"""Security groups as packet filter rules of one host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Chains that the host's first process hooks into the mangle table, before Docker's own rules, so
# that they see packets to published ports unchanged.
INBOUND = "LAB-IN"
OUTBOUND = "LAB-OUT"

Group = Mapping[str, Any]


def protocol(permission: Mapping[str, Any]) -> list[str]:
    """The part of a rule for protocol and ports."""
    name = str(permission["IpProtocol"])
    if name == "-1":
        return []
    words = ["-p", name]
    if name in ("tcp", "udp", "6", "17"):
        first, last = permission["FromPort"], permission["ToPort"]
        words += ["--dport", str(first) if first == last else f"{first}:{last}"]
    return words


def peers(permission: Mapping[str, Any], members: Mapping[str, Sequence[str]]) -> Iterable[str]:
    """Address ranges and addresses of the peers."""
    for item in permission.get("IpRanges", []):
        yield str(item["CidrIp"])
    for item in permission.get("UserIdGroupPairs", []):
        for address in sorted(members.get(item["GroupId"], ())):
            yield f"{address}/32"


def is_https_everywhere(peer: str, permission: Mapping[str, Any]) -> bool:
    """Whether this rule lets a host reach ECR and Docker Hub."""
    ports = range(permission.get("FromPort", 0), permission.get("ToPort", 0) + 1)
    return peer == "0.0.0.0/0" and permission["IpProtocol"] in ("tcp", "6") and 443 in ports


def rules(
    groups: Sequence[Group],
    members: Mapping[str, Sequence[str]],
    private: str,
    registries: Sequence[str] = (),
) -> str:
    """Input of iptables-restore: drop everything that no group allows, in both directions.

    `members` are the private addresses of the hosts in each group; `registries` (ADDRESS:PORT) are
    open to hosts that may reach port 443 everywhere, as ECR and Docker Hub are on AWS.
    """
    inbound = ["-m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"]
    # Security groups do not filter a VPC's resolver.
    outbound = [*inbound, "-p udp --dport 53 -j ACCEPT", "-p tcp --dport 53 -j ACCEPT"]
    allowed_in: set[str] = set()
    allowed_out: set[str] = set()
    for group in groups:
        for permission in group.get("IpPermissions", []):
            for peer in peers(permission, members):
                words = ["-s", peer, "-d", f"{private}/32", *protocol(permission), "-j", "ACCEPT"]
                allowed_in.add(" ".join(words))
        for permission in group.get("IpPermissionsEgress", []):
            for peer in peers(permission, members):
                words = ["-d", peer, *protocol(permission), "-j", "ACCEPT"]
                allowed_out.add(" ".join(words))
                if is_https_everywhere(peer, permission):
                    for registry in registries:
                        address, _, port = registry.partition(":")
                        allowed_out.add(f"-d {address}/32 -p tcp --dport {port} -j ACCEPT")
    inbound += [*sorted(allowed_in), "-j DROP"]
    outbound += [*sorted(allowed_out), "-j DROP"]
    lines = ["*mangle", f":{INBOUND} - [0:0]", f":{OUTBOUND} - [0:0]"]
    lines += [f"-A {INBOUND} {line}" for line in inbound]
    lines += [f"-A {OUTBOUND} {line}" for line in outbound]
    return "\n".join([*lines, "COMMIT", ""])
