# SPDX-License-Identifier: Apache-2.0
"""Which environments there are, by the tags of what they consist of."""

from __future__ import annotations

from typing import Any

Tags = dict[str, str]
NEVER = "never"


def aws_environments(found: list[Tags]) -> list[dict[str, str]]:
    """Each environment with its owner and its day: the latest that any part of it says.

    Days as 2026-12-31 sort as they follow each other, and `never`, or none, comes after all.
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
        """Return it by name."""
        return {"aws_environments": aws_environments}
