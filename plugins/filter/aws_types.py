# SPDX-License-Identifier: Apache-2.0
"""The settings of an environment on AWS, converted to text, integers and lists.

YAML, --extra-vars and quotes may turn numbers into text and lists into words. Equal values are
converted to the same type, to be comparable with AWS's answers; others are reported, one per line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Item = dict[str, Any]
LARGEST_VOLUME = 16384
LARGEST_NODE_ID = 2**31 - 1
WHOLE = "a whole number from {} to {}"


class Wrong(ValueError):
    """The expected kind of a value."""


def text(value: Any) -> str:
    """Read text; none becomes empty text."""
    if isinstance(value, (list, dict, bool)):
        raise Wrong("text")
    return "" if value is None else str(value)


def whole(first: int, last: int) -> Callable[[Any], int]:
    """Read an integer, also in quotes."""

    def read(value: Any) -> int:
        digits = str(value).strip()
        if isinstance(value, bool) or not digits.isdecimal() or not first <= int(digits) <= last:
            raise Wrong(WHOLE.format(first, last))
        return int(digits)

    return read


def dollars(value: Any) -> float:
    """Read an amount of money."""
    try:
        amount = float(value)
    except (TypeError, ValueError):
        amount = -1.0
    if isinstance(value, bool) or not 0 <= amount < float("inf"):
        raise Wrong("a number of US dollars")
    return amount


def many(read: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    """Read a list of one kind."""

    def read_all(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise Wrong("a list, as [a, b]")
        try:
            return [read(item) for item in value]
        except Wrong as wrong:
            raise Wrong(f"a list, each item {wrong}") from None

    return read_all


SIMPLE: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("instance", "region", "owner", "expires_at", "vpc_cidr", "admin_cidr"), text),
    **dict.fromkeys(("connection", "ami_parameter", "cpu_credits", "budget_email"), text),
    **dict.fromkeys(("permissions_boundary", "archive_store"), text),
    "zones": many(text),
    "outbound_ports": many(whole(1, 65535)),
    "budget_usd": dollars,
}
HOST: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("name", "type", "subnet", "zone"), text),
    "roles": many(text),
    "root_gb": whole(1, LARGEST_VOLUME),
    "data_gb": whole(0, LARGEST_VOLUME),
    "node_id": whole(0, LARGEST_NODE_ID),
}
PORT: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("to", "port", "purpose"), text),
    "from": many(text),
}
ROWS = {"fleet": ("host", "name", HOST), "ports": ("port", "port", PORT)}


def read_row(row: Item, readers: dict[str, Any], label: str, lines: list[str]) -> Item:
    """Read the known keys of a row and keep the others, which later checks report."""
    found = dict(row)
    for key, read in readers.items():
        if key not in row:
            continue
        try:
            found[key] = read(row[key])
        except Wrong as wrong:
            lines.append(f"{label}: {key} is {row[key]!r}: it must be {wrong}")
    return found


def read_rows(name: str, rows: Any, lines: list[str]) -> list[Item]:
    """Read a list of rows."""
    kind, key, readers = ROWS[name]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        lines.append(f"millrace_{name}: it must be a list of {kind}s, each as {{{key}: ..., ...}}")
        return []
    return [
        read_row(row, readers, f"millrace_{name}, {kind} {row.get(key, '?')}", lines)
        for row in rows
    ]


def read_all(settings: Item) -> tuple[Item, list[str]]:
    """Read all settings; report each value of the wrong kind in a line."""
    lines: list[str] = []
    found = dict(settings)
    for name, read in SIMPLE.items():
        try:
            found[name] = read(settings[name])
        except Wrong as wrong:
            lines.append(f"millrace_{name} is {settings[name]!r}: it must be {wrong}")
    for name in ROWS:
        found[name] = read_rows(name, settings[name], lines)
    return found, lines


def aws_typed(settings: Item) -> Item:
    """Return the settings with their types."""
    return read_all(settings)[0]


def aws_type_problems(settings: Item) -> list[str]:
    """Return the problems with the settings' types."""
    return read_all(settings)[1]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"aws_typed": aws_typed, "aws_type_problems": aws_type_problems}
