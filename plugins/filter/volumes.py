# SPDX-License-Identifier: Apache-2.0
"""Named volumes as the module docker_container takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def volume_mounts(volumes: Iterable[Mapping[str, Any]], instance: str) -> list[dict[str, Any]]:
    """Mount volumes, each with `name`, `path` and perhaps `read_only`, and label them."""
    return [
        {
            "type": "volume",
            "source": volume["name"],
            "target": volume["path"],
            "labels": {"io.millrace.instance": instance},
        }
        | ({"read_only": True} if volume.get("read_only") else {})
        for volume in volumes
    ]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"volume_mounts": volume_mounts}
