# SPDX-License-Identifier: Apache-2.0
"""Filter of the preflight: schedules that the producers would not take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError


def schedule_problems(producers: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say what is wrong with each schedule, in the words of the services."""
    scheduled = [producer for producer in producers if "schedule" in producer]
    if not scheduled:
        return []
    try:
        from millrace.errors import ConfigurationError
        from millrace.producer.timing import Schedule
    except ImportError as error:
        raise AnsibleFilterError(
            f"the services are not installed here ({error}): run scripts/bootstrap, and use"
            " .venv/bin/ansible-playbook"
        ) from error
    problems = []
    for producer in scheduled:
        try:
            Schedule(str(producer["schedule"]))
        except ConfigurationError as error:
            problems.append(f"{producer.get('name', '?')}: {error}")
    return problems


class FilterModule:
    """The filter by name."""

    def filters(self) -> dict[str, Any]:
        """Return it."""
        return {"schedule_problems": schedule_problems}
