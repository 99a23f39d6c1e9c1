# SPDX-License-Identifier: Apache-2.0
"""Filters of the services' settings: a container's environment, and problems with values."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ansible.plugins.filter.core import to_json

PREFIX = "MILLRACE_"


def as_environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of a container's environment: text unchanged, other types as JSON."""
    return {
        PREFIX + name.upper(): value if isinstance(value, str) else to_json(value)
        for name, value in settings.items()
    }


def setting_problems(variables: Mapping[str, Any]) -> list[str]:
    """Return the problems that the services would report about a host's variables.

    A variable of the inventory has the name of the setting that it becomes.
    """
    from millrace.config import Settings, problems

    names = [PREFIX.lower() + name for name in Settings.model_fields]
    # Other libraries do not accept Ansible's own string and list types.
    plain = {name: json.loads(to_json(variables[name])) for name in names if name in variables}
    return problems(plain, PREFIX.lower())


def number_problems(
    variables: Mapping[str, Any], bounds: Mapping[str, tuple[int, int]]
) -> list[str]:
    """Report those of a host's variables that are not integers within their bounds."""
    return [
        f"{name} is {variables[name]}: it must be a whole number from {least} to {most}"
        for name, (least, most) in bounds.items()
        if not re.fullmatch("[0-9]+", str(variables[name]))
        or not least <= int(variables[name]) <= most
    ]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {
            "as_environment": as_environment,
            "setting_problems": setting_problems,
            "number_problems": number_problems,
        }
