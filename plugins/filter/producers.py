# SPDX-License-Identifier: Apache-2.0
"""Filters of the producers: their settings, and problems with their declarations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.yaml import yaml_load
from ansible.module_utils.errors import UnsupportedError
from ansible.plugins.filter.core import to_json

VARIABLE = "millrace_producers"
SPEC = Path(__file__).parents[2] / "roles/producer/meta/argument_specs.yml"
FORM = "write it as a list, each with name, feed and source"
EMPTY = "it is empty: fill it in, or leave it out"
NO_GPU = "nvml needs a GPU, and no container gets one: use dcgm (docs/feeds.md)"
# The services' names of a producer's settings; the inventory's names lack the prefix.
OURS = re.compile(r"\b(?:MILLRACE_PRODUCER|producer)_(\w+)")
VOLUME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
RENAMED = {"usage_file": "usage_volume"}


def settings_of_producer(
    producer: Mapping[str, Any], host: str, simulator: str = ""
) -> dict[str, Any]:
    """Return the settings of a declared producer on a host, only those that are declared.

    They may contradict each other. `simulator` is the URL to poll if none is declared.
    """
    from millrace.sources import KINDS

    said = dict(producer)
    volume = said.pop("usage_volume", "")
    settings = {f"producer_{name}": value for name, value in said.items()}
    if "host" in KINDS[producer["source"]].reads:
        settings["producer_host"] = said.get("host") or host
    if simulator and not said.get("url"):
        settings["producer_url"] = simulator
    return settings | ({"producer_usage_file": "/var/lib/usage/usage.jsonl"} if volume else {})


def problems_of(producer: Any, spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield the problems with one producer, in lines that name the field."""
    if not isinstance(producer, Mapping):
        yield FORM
        return
    options = spec["options"]
    there = ", ".join(options)
    if strange := [name for name in producer if not isinstance(name, str)]:
        # YAML reads on, off, yes and no as booleans.
        yield f"there is no field {', '.join(map(str, strange))} (there are {there})"
        return
    if empty := [name for name, value in producer.items() if value is None]:
        yield from (f"{name}: {EMPTY}" for name in empty)
        return
    # Other libraries do not accept Ansible's own string and list types, and copying them, as its
    # validator does, copies every variable of the host.
    said = json.loads(to_json(producer))
    found = ArgumentSpecValidator(
        options,
        mutually_exclusive=spec["mutually_exclusive"],
        required_by=spec["required_by"],
    ).validate(said)
    if unknown := sorted(map(str, found.unsupported_parameters)):
        yield f"there is no field {', '.join(unknown)} (there are {there})"
    if found.error_messages:
        yield from (error.msg for error in found.errors if not isinstance(error, UnsupportedError))
        if said.get("source") == "nvml":
            yield NO_GPU
        return
    if not re.fullmatch("[a-z0-9-]+", str(said["name"])):
        yield "name: it must consist of lower-case letters, digits and hyphens"
    volume = said.get("usage_volume")
    if volume and not VOLUME.fullmatch(volume):
        yield "usage_volume: it must be the name of a volume: letters, digits, _, . and -"
    if said["source"] == "openai_usage" and not volume:
        yield "usage_volume: openai_usage reads a file in it: name the volume of the gateway"
    # Imported here because it is slow, and tasks that only need the settings do not use it.
    from millrace.producer import declared

    for line in declared.problems(settings_of_producer(said, "host")):
        yield OURS.sub(lambda match: RENAMED.get(field := match[1].lower(), field), line)


def producer_problems(producers: Any) -> list[str]:
    """Return the problems with each of `millrace_producers`, as the services report them."""
    if not isinstance(producers, list):
        return [f"{VARIABLE}: {FORM}"]
    options = yaml_load(SPEC.read_text())["argument_specs"]["main"]["options"]
    spec = options["producer_producers"]
    wrong, names = [], set[str]()
    for number, producer in enumerate(producers, start=1):
        name = str(producer.get("name") or "") if isinstance(producer, Mapping) else ""
        which = f"{VARIABLE}: {name or f'item {number}'}"
        if name and name in names:
            wrong.append(f"{which}: this name is there more than once")
        names.add(name)
        wrong += [f"{which}: {line}" for line in problems_of(producer, spec)]
    return wrong


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {
            "settings_of_producer": settings_of_producer,
            "producer_problems": producer_problems,
        }
