# SPDX-License-Identifier: Apache-2.0
"""Whether every broker, member and archive keeps its data: the hosts compared with the inventory.

The identity of a server is its volume, its number and its peers. Kafka's controllers are a fixed
set: a node started with another set may discard what the others agreed on, including topics.
`held` is the result of the module held_data_info, by host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Item = Mapping[str, Any]
KINDS = {"kafka": "broker", "mongodb": "member of the database"}
KEEP = "nothing was changed. Set it back"
ANEW = "remove the deployment with its data first (teardown.yml), or give it another instance"


def said(names: Sequence[str]) -> str:
    """Join names for a message."""
    return ", ".join(sorted(names)) or "none"


def server_problems(server: Item, wanted: Item) -> list[str]:
    """Changes that a server with data does not allow: other peers, or another replica set.

    `wanted` has the keys `controllers`, `members` and `replica_set`, as far as they are known.
    """
    lines = []
    for key, what in (
        ("controllers", "controllers"),
        ("members", "members of the replica set"),
    ):
        now, then = server[key], wanted.get(key)
        if now and then and sorted(now) != sorted(then):
            lines.append(
                f"{server['name']} has data of a cluster with the {what} {said(now)}, and "
                f"{said(then)} are wanted: hosts of this kind cannot be added, removed or given "
                f"another number while there is data, it would be lost; {KEEP}, or {ANEW}"
            )
    now, then = server["replica_set"], wanted.get("replica_set")
    if now and then and now != then:
        lines.append(
            f"{server['name']} has data of the replica set {now}, and {then} is wanted: {KEEP}"
        )
    return lines


def place_problems(held: Mapping[str, Item], places: Item) -> list[str]:
    """Data that would stay on a host while its server starts empty on another host, or nowhere."""
    lines = []
    for host, found in held.items():
        for server in found["servers"]:
            kind, name = server["kind"], server["name"]
            place = places.get(kind, {}).get(name)
            if place != host:
                where = f"on {place}, where it would begin empty" if place else "nowhere"
                lines.append(
                    f"{host} holds the data of {name} (volume {server['volume']}), and the "
                    f"inventory wants this {KINDS[kind]} {where}: {KEEP}, or {ANEW}"
                )
    return lines


def lost_problems(held: Mapping[str, Item], places: Item) -> list[str]:
    """Data that is gone, or on a host that is no longer in the inventory.

    Brokers are deployed before the database, and the database before the processor: if a later one
    exists, the earlier one has existed. A member that lost its data resyncs from the others.
    """
    there = {server["name"] for found in held.values() for server in found["servers"]}
    database = sorted(name for name in there if name in places.get("mongodb", {}))
    processors = sorted(host for host, found in held.items() if found["processor"])
    used = [] if database else [f"the processor on {host}" for host in processors]
    later = {"kafka": database, "mongodb": used}
    advice = {
        "kafka": f"bring its volume back, or {ANEW}",
        "mongodb": "bring its volume back; or if it is lost for good, playbooks/reset_mongodb.yml "
        "stores again what Kafka keeps",
    }
    return [
        f"{name} has no data on {host}, and was deployed before ({witnesses[0]} is there): it "
        f"would begin empty. Nothing was changed: name the host that has it, {advice[kind]}"
        for kind, witnesses in later.items()
        if witnesses
        for name, host in places.get(kind, {}).items()
        if name not in there and host in held
    ]


def archive_problems(held: Mapping[str, Item], places: Item, store: str) -> list[str]:
    """Tables that would stay on a host while the archiver goes on without them elsewhere."""
    host = places.get("archiver", {}).get("archiver")
    if host and store == "s3":
        return [
            f"{other} holds the archive (volume {found['archive']}), and millrace_archive_store is "
            "s3, where its tables would begin empty: nothing was changed. Set it to volume, or "
            "remove that volume"
            for other, found in held.items()
            if found["archive"]
        ]
    if not host or held.get(host, {}).get("archive"):
        return []
    return [
        f"{other} holds the archive (volume {found['archive']}), and the inventory wants the "
        f"archiver on {host}, where its tables would begin empty: {KEEP}, or remove that volume"
        for other, found in held.items()
        if found["archive"]
    ]


def identity_problems(
    held: Mapping[str, Item], places: Item, controllers: Sequence[str], store: str = "volume"
) -> list[str]:
    """All problems that would part a server or the archive from its data.

    `store` is where the archive should be: s3, or a volume.
    """
    wanted = {"controllers": controllers, "members": list(places.get("mongodb", {}))}
    peers = [
        line
        for found in held.values()
        for server in found["servers"]
        for line in server_problems(server, wanted)
    ]
    kept = archive_problems(held, places, store)
    return place_problems(held, places) + peers + lost_problems(held, places) + kept


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"identity_problems": identity_problems, "server_problems": server_problems}
