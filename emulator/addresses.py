"""Addresses of the lab on this machine: its own, and the public ones of the hosts.

Public addresses are of a range that nobody has. A route makes the whole range unreachable, so that
no packet to it ever leaves this machine; each running host's is translated to its private address,
here only: hosts do not reach each other by them.
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
    """What this machine has to reach, as far as it is cheap to know, with where it is."""
    for route in json.loads(command("ip", "-json", "-4", "route", "show", "table", "all")):
        if route["dst"] != "default" and route.get("type") != "unreachable":
            yield f"a route to {route['dst']}", IPv4Network(route["dst"], strict=False)
    resolver = Path("/etc/resolv.conf")
    for line in resolver.read_text().splitlines() if resolver.exists() else ():
        if match := re.match(r"nameserver\s+([\d.]+)$", line):
            yield f"the name server {match[1]}", IPv4Network(match[1])
    # Where packages come from: the hosts' as well.
    files = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    text = "".join(path.read_text() for path in files if path.is_file())
    for host in sorted(set(re.findall(r"https?://([^/:\s]+)", text))):
        with contextlib.suppress(OSError):
            yield f"the package mirror {host}", IPv4Network(socket.gethostbyname(host))


def conflicts(lab: Lab, used: Iterable[tuple[str, IPv4Network]]) -> list[str]:
    """What a lab would cut this machine off from."""
    own = [IPv4Network(lab.public_range), IPv4Network(lab.address)]
    return sorted({what for what, where in used if any(where.overlaps(net) for net in own)})


def attempt(*words: str) -> None:
    """Run a tool for what may be there already, or gone."""
    subprocess.run(words, capture_output=True, check=False)


class Pool:
    """Public addresses, each used again only after all the others."""

    def __init__(self, network: str) -> None:
        self.addresses = itertools.cycle(map(str, IPv4Network(network).hosts()))

    def next(self) -> str:
        """Another address."""
        return next(self.addresses)


class Addresses:
    """Routes and translations of a lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.chain = lab.prefix.upper()
        self.published: dict[str, tuple[str, str]] = {}

    def set_up(self) -> None:
        """Have the lab's own address and the closed range."""
        command("ip", "address", "replace", f"{self.lab.address}/32", "dev", "lo")
        command("ip", "route", "replace", "unreachable", self.lab.public_range)
        attempt("iptables", "--wait", "-t", "nat", "-N", self.chain)
        attempt("iptables", "--wait", "-t", "nat", "-D", "OUTPUT", "-j", self.chain)
        command("iptables", "--wait", "-t", "nat", "-I", "OUTPUT", "-j", self.chain)

    def publish(self, wanted: Mapping[str, tuple[str, str]]) -> None:
        """Make public addresses lead to (private address, interface), and no others."""
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
        """Leave no trace."""
        attempt("iptables", "--wait", "-t", "nat", "-D", "OUTPUT", "-j", self.chain)
        attempt("iptables", "--wait", "-t", "nat", "-F", self.chain)
        attempt("iptables", "--wait", "-t", "nat", "-X", self.chain)
        attempt("ip", "route", "flush", "root", self.lab.public_range)
        attempt("ip", "route", "del", "unreachable", self.lab.public_range)
        attempt("ip", "address", "del", f"{self.lab.address}/32", "dev", "lo")


def restore(text: str, within: int | None = None) -> None:
    """Put rules in place at once, on this machine or in a host, by its first process."""
    words = ["iptables-restore", "--wait", "--noflush"]
    if within is not None:
        # The host's own program: two versions may differ in how they write rules.
        enter = ["nsenter", f"--target={within}", "--net", "--mount"]
        words = [*enter, *words]
        await_closed([*enter, "iptables", "--wait", "-t", "mangle", "-C", "PREROUTING"])
    result = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    if result.returncode:
        raise LabError(f"iptables-restore: {result.stderr.strip()}\n{text}")


def await_closed(check: Sequence[str]) -> None:
    """Wait until a host that starts has closed itself: that replaces rules that came before."""
    end = time.monotonic() + BOOT_SECONDS
    words = [*check, "-i", "eth0", "-j", INBOUND]
    while subprocess.run(words, capture_output=True, check=False).returncode:
        if time.monotonic() > end:
            raise LabError(f"the host did not close its packet filter in {BOOT_SECONDS} s")
        time.sleep(0.05)
