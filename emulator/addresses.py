"""Addresses of the lab on this machine: its own, and the public addresses of the hosts.

Public addresses are from a range that nobody uses. A route makes the whole range unreachable, so
that no packet to it leaves this machine. The public address of a running host is translated to its
private address on this machine only: hosts do not reach each other by public addresses.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import Path

from emulator.filters import INBOUND
from emulator.settings import Lab, LabError
from emulator.volumes import command

BOOT_SECONDS = 30


def in_use() -> Iterator[tuple[str, IPv4Network]]:
    """Addresses that this machine needs, as far as they are easy to find, with their sources."""
    for route in json.loads(command("ip", "-json", "-4", "route", "show", "table", "all")):
        if route["dst"] != "default" and route.get("type") != "unreachable":
            yield f"a route to {route['dst']}", IPv4Network(route["dst"], strict=False)
    resolver = Path("/etc/resolv.conf")
    for line in resolver.read_text().splitlines() if resolver.exists() else ():
        if match := re.match(r"nameserver\s+([\d.]+)$", line):
            yield f"the name server {match[1]}", IPv4Network(match[1])
    # Package sources, which the hosts use too.
    files = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    text = "".join(path.read_text() for path in files if path.is_file())
    for host in sorted(set(re.findall(r"https?://([^/:\s]+)", text))):
        with contextlib.suppress(OSError):
            yield f"the package mirror {host}", IPv4Network(socket.gethostbyname(host))


def conflicts(lab: Lab, used: Iterable[tuple[str, IPv4Network]]) -> list[str]:
    """The used addresses that a lab would make unreachable from this machine."""
    own = [IPv4Network(lab.public_range), IPv4Network(lab.address)]
    return sorted({what for what, where in used if any(where.overlaps(net) for net in own)})


def attempt(*words: str) -> None:
    """Run a tool and ignore failures: the object may already exist, or be gone."""
    subprocess.run(words, capture_output=True, check=False)


class Pool:
    """Public addresses, each reused only after all others."""

    def __init__(self, network: str) -> None:
        self.addresses = itertools.cycle(map(str, IPv4Network(network).hosts()))

    def next(self) -> str:
        """The next address."""
        return next(self.addresses)


class Addresses:
    """Routes and address translations of a lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.chain = lab.prefix.upper()
        self.published: dict[str, tuple[str, str]] = {}

    def set_up(self) -> None:
        """Add the lab's own address and the unreachable range."""
        command("ip", "address", "replace", f"{self.lab.address}/32", "dev", "lo")
        command("ip", "route", "replace", "unreachable", self.lab.public_range)
        attempt("iptables", "--wait", "-t", "nat", "-N", self.chain)
        attempt("iptables", "--wait", "-t", "nat", "-D", "OUTPUT", "-j", self.chain)
        command("iptables", "--wait", "-t", "nat", "-I", "OUTPUT", "-j", self.chain)

    def publish(self, wanted: Mapping[str, tuple[str, str]]) -> None:
        """Translate these public addresses to (private address, interface), and no others."""
        if dict(wanted) == self.published:
            return
        for public in set(self.published) - set(wanted):
            attempt("ip", "route", "del", f"{public}/32")
        lines = ["*nat", f":{self.chain} - [0:0]"]
        for public, (private, interface) in sorted(wanted.items()):
            target = [f"{public}/32", "dev", interface, "src", self.lab.address]
            command("ip", "route", "replace", *target)
            lines.append(f"-A {self.chain} -d {public}/32 -j DNAT --to-destination {private}")
        restore("\n".join([*lines, "COMMIT", ""]))
        self.published = dict(wanted)

    def tear_down(self) -> None:
        """Remove all addresses, routes and translations."""
        attempt("iptables", "--wait", "-t", "nat", "-D", "OUTPUT", "-j", self.chain)
        attempt("iptables", "--wait", "-t", "nat", "-F", self.chain)
        attempt("iptables", "--wait", "-t", "nat", "-X", self.chain)
        attempt("ip", "route", "flush", "root", self.lab.public_range)
        attempt("ip", "route", "del", "unreachable", self.lab.public_range)
        attempt("ip", "address", "del", f"{self.lab.address}/32", "dev", "lo")


def restore(text: str, within: int | None = None) -> None:
    """Apply rules atomically, on this machine or in a host, given by its first process."""
    words = ["iptables-restore", "--wait", "--noflush"]
    if within is not None:
        # Use the host's own program: versions may differ in their rule format.
        enter = ["nsenter", f"--target={within}", "--net", "--mount"]
        words = [*enter, *words]
        await_closed([*enter, "iptables", "--wait", "-t", "mangle", "-C", "PREROUTING"])
    result = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    if result.returncode:
        raise LabError(f"iptables-restore: {result.stderr.strip()}\n{text}")


def await_closed(check: Sequence[str]) -> None:
    """Wait until a starting host has set its initial rules, which replace earlier ones."""
    end = time.monotonic() + BOOT_SECONDS
    words = [*check, "-i", "eth0", "-j", INBOUND]
    while subprocess.run(words, capture_output=True, check=False).returncode:
        if time.monotonic() > end:
            raise LabError(f"the host did not close its packet filter in {BOOT_SECONDS} s")
        time.sleep(0.05)
