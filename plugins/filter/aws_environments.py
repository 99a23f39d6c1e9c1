# SPDX-License-Identifier: Apache-2.0
"""The existing environments, by the tags of their resources."""

from __future__ import annotations

from typing import Any

Tags = dict[str, str]
NEVER = "never"


def aws_environments(found: list[Tags]) -> list[dict[str, str]]:
    """Each environment with its owner and its expiry: the latest of all its resources' tags.

    Dates such as 2026-12-31 sort chronologically; `never`, or no date, sorts after all of them.
    """
    named = [tags for tags in found if tags.get("Environment")]
    return [
        {
            "name": name,
            "expires": max(tags.get("ExpiresAt", NEVER) for tags in mine),
            "owner": next((tags["Owner"] for tags in mine if tags.get("Owner")), "?"),
        }
        for name in sorted({tags["Environment"] for tags in named})
        for mine in [[tags for tags in named if tags["Environment"] == name]]
    ]


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filter by name."""
        return {"aws_environments": aws_environments}
