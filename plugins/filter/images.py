# SPDX-License-Identifier: Apache-2.0
"""Filter of the inventories: the name by which an engine finds an image."""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

SOCKET = "/var/run/docker.sock"
ENGINE_SECONDS = 10


@cache
def recipes(images: str) -> Any:
    """Load the module that defines the images, from their directory."""
    here = Path(images).resolve()
    for folder in (here, Path(__file__).resolve().parents[1] / "module_utils"):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    import recipes

    return recipes


@cache
def versions(images: str) -> Any:
    """Read the images' versions by name."""
    return recipes(images).read_versions(Path(images) / "versions.yml")


@cache
def pushed(images: str, name: str, registry: str) -> str:
    """Return the name in our own registry, whose tag identifies what the image is built from."""
    return str(recipes(images).registry_reference(name, versions(images), registry))


def present(images: str, name: str) -> dict[str, Any]:
    """Return what this machine's engine has of an image; nothing if no engine answers."""
    known, image = recipes(images), versions(images)[name]
    import engine_api

    host = os.environ.get("DOCKER_HOST", "")
    socket = host.removeprefix("unix://") if host.startswith("unix://") else SOCKET
    found = {}
    for reference in (image.pulled, image.built):
        try:
            path = f"/images/{quote(reference)}/json"
            status, body = engine_api.ask(socket, ENGINE_SECONDS, "GET", path)
        except OSError:
            continue
        if status == HTTPStatus.OK:
            have = json.loads(body)
            label = (have["Config"].get("Labels") or {}).get(known.LABEL, "")
            found[reference] = known.Present(have["Id"], label, ())
    return found


def image_reference(images: str, name: str, registry: str = "", source: str = "auto") -> str:
    """Return the image's name.

    With a registry, the engines are on other hosts and pull official images. Without one, this
    machine's engine shows whether they were pulled or built, unless the source forces it.

    {{ (millrace_checkout ~ '/images') | image_reference('mongo', millrace_registry, 'auto') }}
    """
    image = versions(images)[name]
    if not image.official:
        return pushed(images, name, registry) if registry else str(image.built)
    if source in ("registry", "packages"):
        return str(image.reference(source))
    if registry or image.pulled == image.built:
        return str(image.pulled)
    return str(recipes(images).reference_here(image, present(images, name)))


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"image_reference": image_reference}
