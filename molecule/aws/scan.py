"""Tries ports of other hosts and says where what answers is not what the ports matrix allows.

Takes one JSON argument: `me` (roles of this host, or ["admin"]), `addresses` and `roles` of the
others by name, `rules` (rows of the matrix), `ports` (further ports to try). A port that a rule
allows is reachable, whether something listens there or not; any other is silent.
"""

import asyncio
import json
import resource
import sys
from typing import Any

SECONDS = 1.5
AT_ONCE = 400


async def attempt(address: str, port: int, gate: asyncio.Semaphore) -> str:
    """What a connection meets: open, closed (reachable, and nothing listens) or silent."""
    async with gate:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), SECONDS)
        except ConnectionRefusedError:
            return "closed"
        except (TimeoutError, OSError):
            return "silent"
        writer.close()
        return "open"


def span(port: int | str) -> range:
    """The ports of a row: one, or first-last."""
    first, _, last = str(port).partition("-")
    return range(int(first), int(last or first) + 1)


def applies(rule: dict[str, Any], me: list[str], roles: list[str]) -> bool:
    """Whether a row lets somebody with my roles in to a host with these."""
    return rule["to"] in {*roles, "all"} and not {*me}.isdisjoint(rule["from"])


async def main(plan: dict[str, Any]) -> list[str]:
    """Try everything; a line a difference, and one that counts."""
    gate = asyncio.Semaphore(AT_ONCE)
    listed = {port for rule in plan["rules"] for port in span(rule["port"])}
    ports = sorted({*range(1, 1025), *listed, *plan["ports"]})
    differences = []
    opened = 0
    for name, address in plan["addresses"].items():
        found = await asyncio.gather(*(attempt(address, port, gate) for port in ports))
        outcomes = dict(zip(ports, found, strict=True))
        rules = [rule for rule in plan["rules"] if applies(rule, plan["me"], plan["roles"][name])]
        may = {port for rule in rules for port in span(rule["port"])}
        for port, outcome in outcomes.items():
            opened += outcome == "open"
            if (outcome != "silent") != (port in may):
                differences.append(f"{name}:{port} is {outcome}; allowed: {port in may}")
        differences += [
            f"{name}: nothing listens for {rule['purpose']}"
            for rule in rules
            if not any(outcomes[port] == "open" for port in span(rule["port"]))
        ]
    tried = len(ports) * len(plan["addresses"])
    return [*differences, f"{tried} ports tried, {opened} open, {len(differences)} differences"]


soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
lines = asyncio.run(main(json.loads(sys.argv[1])))
sys.stdout.write("\n".join(lines) + "\n")
sys.exit(len(lines) > 1)
