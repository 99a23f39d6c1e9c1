# SPDX-License-Identifier: Apache-2.0
"""Filters of the services' settings: as a container takes them, and what is wrong with them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ansible.plugins.filter.core import to_json

PREFIX = "MILLRACE_"


def as_environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of a container's environment: text as it is, all else as JSON."""
    return {
        PREFIX + name.upper(): value if isinstance(value, str) else to_json(value)
        for name, value in settings.items()
    }


def setting_problems(variables: Mapping[str, Any]) -> list[str]:
    """Say which of a host's variables the services would not take, in their own words.

    A variable of the inventory is called like the setting that it becomes.
    """
    from millrace.config import Settings, problems

    names = [PREFIX.lower() + name for name in Settings.model_fields]
    # Ansible's own kinds of text and lists are none to others.
    plain = {name: json.loads(to_json(variables[name])) for name in names if name in variables}
    return problems(plain, PREFIX.lower())


def number_problems(
    variables: Mapping[str, Any], bounds: Mapping[str, tuple[int, int]]
) -> list[str]:
    """Say which of a host's variables are no whole number from their least to their most."""
    return [
        f"{name} is {variables[name]}: it must be a whole number from {least} to {most}"
        for name, (least, most) in bounds.items()
        if not re.fullmatch("[0-9]+", str(variables[name]))
        or not least <= int(variables[name]) <= most
    ]


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Any]:
        """Return them."""
        return {
            "as_environment": as_environment,
            "setting_problems": setting_problems,
            "number_problems": number_problems,
        }
