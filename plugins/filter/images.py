# SPDX-License-Identifier: Apache-2.0
"""Filter of the inventories: the name under which an engine finds an image."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any


@cache
def image_reference(images: str, name: str, registry: str = "") -> str:
    """Give the image's name; in a registry, its tag names what it is made from.

    {{ playbook_dir ~ '/../images' | image_reference('millrace', millrace_registry) }}
    """
    here = Path(images).resolve()
    if str(here) not in sys.path:
        sys.path.append(str(here))
    from recipes import read_versions, registry_reference

    versions = read_versions(here / "versions.yml")
    return registry_reference(name, versions, registry) if registry else versions[name].reference


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Any]:
        """Return them."""
        return {"image_reference": image_reference}
