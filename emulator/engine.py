"""Containers and networks of a lab."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import docker
import docker.errors
from docker.types import IPAMConfig, IPAMPool

from emulator import cgroups
from emulator.model import Host
from emulator.settings import INSTANCE_LABEL, LABEL, NETWORK_LABEL, Lab, LabError

STOP_SECONDS = 90


@dataclass(frozen=True)
class Seen:
    """A host's container as the engine reports it."""

    instance: str
    network: str
    pid: int
    started: str


class Engine:
    """The Docker objects of a lab, found by their labels."""

    def __init__(self, lab: Lab, client: docker.DockerClient | None = None) -> None:
        self.lab = lab
        self.client = client or docker.from_env(timeout=STOP_SECONDS + 60)
        self.label = f"{LABEL}={lab.prefix}"

    def name(self, identity: str) -> str:
        """The name of the container or network of an AWS id."""
        return f"{self.lab.prefix}-{identity}"

    def bridge(self, vpc: str) -> str:
        """The interface of a VPC's network; the kernel allows 15 characters."""
        return f"{self.lab.prefix[:8]}-{vpc[-6:]}"

    def hosts(self) -> dict[str, Seen]:
        """The containers of hosts, running or not."""
        found = {}
        filters = {"label": [self.label, INSTANCE_LABEL]}
        for item in self.client.api.containers(all=True, filters=filters):
            try:
                state = self.client.api.inspect_container(item["Id"])["State"]
            except docker.errors.NotFound:
                continue
            labels = item["Labels"]
            pid = int(state["Pid"]) if state["Running"] else 0
            found[labels[INSTANCE_LABEL]] = Seen(
                labels[INSTANCE_LABEL], labels[NETWORK_LABEL], pid, state["StartedAt"]
            )
        return found

    def networks(self) -> list[str]:
        """The VPCs that have a network."""
        filters = {"label": [self.label, NETWORK_LABEL]}
        found = self.client.api.networks(filters=filters)
        return [item["Labels"][NETWORK_LABEL] for item in found]

    def make_network(self, vpc: str, cidr: str) -> None:
        """A network with the addresses of the VPC. Its first address is the router, as in AWS."""
        pool = IPAMPool(subnet=cidr, gateway=str(IPv4Network(cidr)[1]))
        self.client.api.create_network(
            self.name(vpc),
            driver="bridge",
            ipam=IPAMConfig(pool_configs=[pool]),
            options={"com.docker.network.bridge.name": self.bridge(vpc)},
            labels={LABEL: self.lab.prefix, NETWORK_LABEL: vpc},
        )

    def remove_network(self, vpc: str) -> None:
        """Remove the network of a VPC."""
        self.client.api.remove_network(self.name(vpc))

    def create(self, host: Host, image: str, folder: Path) -> None:
        """Create the container of a host without starting it."""
        config: dict[str, Any] = self.client.api.create_host_config(
            # The minimum for a nested engine, also on machines that lack a capability.
            cap_add=["ALL"],
            cap_drop=["SYS_RESOURCE"],
            security_opt=["seccomp=unconfined", "apparmor=unconfined"],
            binds=["/sys/fs/cgroup:/sys/fs/cgroup:rw", f"{folder}:/lab:ro"],
            tmpfs={"/run": "", "/tmp": ""},
            device_cgroup_rules=["b 7:* rmw"],
        )
        config |= {"CgroupnsMode": "host", "MaskedPaths": [], "ReadonlyPaths": []}
        endpoint = {"IPAMConfig": {"IPv4Address": host.private}}
        self.client.api.create_container(
            image,
            name=self.name(host.id),
            hostname="ip-" + host.private.replace(".", "-"),
            labels={
                LABEL: self.lab.prefix,
                INSTANCE_LABEL: host.id,
                NETWORK_LABEL: host.network,
            },
            host_config=config,
            networking_config={"EndpointsConfig": {self.name(host.network): endpoint}},
        )

    def start(self, identity: str) -> None:
        """Start a host."""
        self.client.api.start(self.name(identity))

    def stop(self, identity: str) -> None:
        """Shut a host down."""
        with self.leaving_nothing(self.name(identity)):
            self.client.api.stop(self.name(identity), timeout=STOP_SECONDS)

    def remove(self, name: str) -> None:
        """Remove a container with its file system and its volumes."""
        with contextlib.suppress(docker.errors.NotFound), self.leaving_nothing(name):
            self.client.api.remove_container(name, v=True, force=True)

    @contextlib.contextmanager
    def leaving_nothing(self, name: str) -> Iterator[None]:
        """After the host has stopped, remove the control groups of its processes."""
        pid = int(self.client.api.inspect_container(name)["State"]["Pid"])
        groups = cgroups.inside(pid) if pid else set()
        yield
        cgroups.remove(groups)

    def run(self, identity: str, *words: str) -> None:
        """Run a program in a host."""
        made = self.client.api.exec_create(self.name(identity), list(words))
        output = self.client.api.exec_start(made["Id"])
        code = self.client.api.exec_inspect(made["Id"])["ExitCode"]
        if code:
            raise LabError(f"{' '.join(words)} in {identity}: {output.decode().strip()}")

    def remove_all(self) -> list[str]:
        """Remove all containers and networks of the lab; return their names."""
        removed = []
        for item in self.client.api.containers(all=True, filters={"label": self.label}):
            removed.append(item["Names"][0].lstrip("/"))
            self.remove(item["Id"])
        for item in self.client.api.networks(filters={"label": self.label}):
            removed.append(item["Name"])
            with contextlib.suppress(docker.errors.NotFound):
                self.client.api.remove_network(item["Id"])
        return removed
