"""The desired and the actual state, and the pure function that plans the actions between them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Host:
    """An instance that is not terminated, as the API describes it."""

    id: str
    network: str
    private: str
    public: str | None
    running: bool
    key: str
    volumes: tuple[str, ...] = ()
    filters: str = ""
    # Number of requested reboots.
    reboots: int = 0


@dataclass(frozen=True)
class Desired:
    """The desired state, according to the API."""

    hosts: Mapping[str, Host] = field(default_factory=dict)
    # VPCs with hosts, and their address ranges.
    networks: Mapping[str, str] = field(default_factory=dict)
    # Size in GB of every existing volume.
    volumes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Container:
    """The container of an instance."""

    id: str
    network: str
    running: bool
    volumes: tuple[str, ...] = ()
    filters: str | None = None
    reboots: int = 0


@dataclass(frozen=True)
class Actual:
    """The actual state of this machine."""

    containers: Mapping[str, Container] = field(default_factory=dict)
    networks: Collection[str] = ()
    files: Collection[str] = ()
    # Hosts whose files exist, including those whose removal stopped after the container.
    folders: Collection[str] = ()


Kind = Literal[
    "make-network",
    "create",
    "start",
    "stop",
    "reboot",
    "remove",
    "volumes",
    "filters",
    "delete-volume",
    "remove-network",
]


@dataclass(frozen=True)
class Action:
    """One action on a host, a network or a volume."""

    kind: Kind
    subject: str


def host_action(host: Host, container: Container | None) -> Kind | None:
    """The next action that brings a host closer to its desired state."""
    if container is None:
        return "create" if host.running else None
    if not host.running:
        return "stop" if container.running else None
    if not container.running:
        return "start"
    if host.reboots > container.reboots:
        return "reboot"
    if host.volumes != container.volumes:
        return "volumes"
    if host.filters != container.filters:
        return "filters"
    return None


def plan(desired: Desired, actual: Actual, busy: Collection[str] = ()) -> list[Action]:
    """The actions to run now. Hosts with a running action wait for the next plan."""
    missing = sorted(set(desired.networks) - set(actual.networks))
    actions = [Action("make-network", network) for network in missing]
    for identity, host in sorted(desired.hosts.items()):
        # A container that has never run needs its network first.
        if identity in busy or host.network not in actual.networks:
            continue
        if kind := host_action(host, actual.containers.get(identity)):
            actions.append(Action(kind, identity))
    there = {*actual.containers, *actual.folders}
    gone = sorted(there - set(desired.hosts) - set(busy))
    actions += [Action("remove", identity) for identity in gone]
    attached = {volume for item in actual.containers.values() for volume in item.volumes}
    deleted = sorted(set(actual.files) - set(desired.volumes) - attached - set(busy))
    actions += [Action("delete-volume", volume) for volume in deleted]
    used = {item.network for item in actual.containers.values()} | set(desired.networks)
    unused = sorted(set(actual.networks) - used)
    return actions + [Action("remove-network", network) for network in unused]
