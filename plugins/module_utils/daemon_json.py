# SPDX-License-Identifier: Apache-2.0
"""The required content of the Docker engine's daemon.json, given its other configuration."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

# Settings that an engine reloads on SIGHUP; others apply at its next start.
RELOADED = frozenset(
    {
        "authorization-plugins",
        "debug",
        "default-runtime",
        "features",
        "insecure-registries",
        "labels",
        "live-restore",
        "max-concurrent-downloads",
        "max-concurrent-uploads",
        "max-download-attempts",
        "registry-mirrors",
        "runtimes",
        "shutdown-timeout",
    }
)
LOGGING = frozenset({"log-driver", "log-opts"})


class ConfigError(Exception):
    """A problem with the file, and what to do about it."""


def read(path: Path) -> dict[str, Any]:
    """Return the content of the engine's configuration file; empty if there is none."""
    text = path.read_text() if path.exists() else ""
    try:
        settings = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}. Correct it, then run this again") from None
    if not isinstance(settings, dict):
        raise ConfigError(f"{path} is not a JSON object. Correct it, then run this again")
    return settings


def arguments(pid: int) -> set[str]:
    """Return the running engine's arguments, by their names in daemon.json."""
    if not pid:
        return set()
    given = re.findall(r"(?:^|\0)--([a-z-]+)", Path(f"/proc/{pid}/cmdline").read_text())
    # A repeatable argument, such as --log-opt or --insecure-registry, is a list in daemon.json.
    return {*given, *(f"{name}s" for name in given), *(f"{name[:-1]}ies" for name in given)}


def applicable(
    wanted: dict[str, Any], present: dict[str, Any], given: set[str], *, swarm: bool
) -> dict[str, Any]:
    """Return the wanted settings that do not contradict the engine's other configuration."""
    left_out = set(given)
    drivers = {settings["log-driver"] for settings in (present, wanted) if "log-driver" in settings}
    if len(drivers) > 1 or given & LOGGING:
        left_out |= LOGGING
    if swarm:
        left_out.add("live-restore")
    return {name: value for name, value in wanted.items() if name not in left_out}


def merged(present: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the present settings, overridden by the wanted ones, one nested level included."""
    result = copy.deepcopy(present)
    for name, value in wanted.items():
        if isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] |= value
        else:
            result[name] = value
    return result
