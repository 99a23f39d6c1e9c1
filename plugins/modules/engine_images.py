#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: pull missing images into a host's Docker engine."""

from __future__ import annotations

import base64
import json
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from ansible.module_utils import engine_api
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.causes import told

DOCUMENTATION = r"""
module: engine_images
short_description: Pull missing images into the Docker engine of a host
description:
  - Reports which of the images the engine lacks, and pulls them.
  - An existing image is kept, unless another digest is wanted.
  - After an image of the V(registry) is pulled, others of its repository are removed, unless a
    container uses them. The image in use until then is therefore kept for a rollback.
  - The login for a registry is sent to the engine with the request. It is not stored.
options:
  images:
    description: Names of the images, with their tags.
    type: list
    elements: str
    required: true
  digests:
    description: Required digests, sha256:..., by image name.
    type: dict
    default: {}
  pull:
    description: Whether missing images are pulled. Otherwise they are only reported.
    type: bool
    default: true
  registry:
    description: Registry of the login, as host or host/path.
    type: str
    default: ""
  username:
    description: User name. Empty means that no login is needed.
    type: str
    default: ""
  password:
    description: Password or token of that login.
    type: str
    default: ""
  socket:
    description: Socket of the Docker engine.
    type: path
    default: /var/run/docker.sock
  timeout:
    description: Seconds within which the engine must report progress while it pulls.
    type: int
    default: 300
extends_documentation_fragment:
  - millrace
attributes:
  check_mode:
    support: full
    description: If there is no engine yet, every image is missing.
"""

EXAMPLES = r"""
- name: Pull the image of the broker
  engine_images:
    images: ["apache/kafka:4.3.1"]
"""

RETURN = r"""
missing:
  description: Names of the images that the engine lacked.
  type: list
  elements: str
  returned: always
removed:
  description: Names of the images that were removed.
  type: list
  elements: str
  returned: always
"""


class EngineError(Exception):
    """A problem, in one line."""


def ask(params: dict[str, Any], method: str, path: str, **headers: str) -> tuple[int, bytes]:
    """Send one request to the engine."""
    return engine_api.ask(params["socket"], params["timeout"], method, path, **headers)


def lacks(params: dict[str, Any], name: str) -> bool:
    """Whether the engine lacks the image, or has another one of that name."""
    status, body = ask(params, "GET", f"/images/{quote(name)}/json")
    if status == HTTPStatus.NOT_FOUND:
        return True
    if status != HTTPStatus.OK:
        raise EngineError(f"{name}: {message(body)}")
    digest = params["digests"].get(name, "")
    return not any(found.endswith(digest) for found in json.loads(body)["RepoDigests"] or [""])


def split(name: str) -> tuple[str, str]:
    """Split a name into repository and tag. The port of a registry is no tag."""
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, "latest")


def is_ours(params: dict[str, Any], name: str) -> bool:
    """Whether the image is in the deployment's own registry."""
    return bool(params["registry"]) and name.startswith(params["registry"] + "/")


def login(params: dict[str, Any], name: str) -> dict[str, str]:
    """Return the header with the login, only for images of its registry."""
    if not params["username"] or not is_ours(params, name):
        return {}
    given = {"username": params["username"], "password": params["password"]}
    given["serveraddress"] = params["registry"].split("/")[0]
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(given).encode()).decode()}


def pull(params: dict[str, Any], name: str) -> None:
    """Pull one image, by its digest if one is required."""
    repository, tag = split(name)
    wanted = params["digests"].get(name) or tag
    query = urlencode({"fromImage": repository, "tag": wanted})
    status, body = ask(params, "POST", f"/images/create?{query}", **login(params, name))
    failures = [line for line in body.splitlines() if b'"error"' in line]
    if status != HTTPStatus.OK or failures:
        raise EngineError(f"{name} cannot be pulled: {message(failures[-1] if failures else body)}")
    if wanted != tag:
        named = urlencode({"repo": repository, "tag": tag})
        source = quote(f"{repository}@{wanted}")
        status, body = ask(params, "POST", f"/images/{source}/tag?{named}")
        if status != HTTPStatus.CREATED:
            raise EngineError(f"{name}: {message(body)}")


def remove_others(params: dict[str, Any], name: str) -> list[str]:
    """Remove other images of a repository; the engine keeps those that a container uses."""
    repository, _ = split(name)
    query = urlencode({"filters": json.dumps({"reference": [repository]})})
    status, body = ask(params, "GET", f"/images/json?{query}")
    if status != HTTPStatus.OK:
        raise EngineError(f"{repository}: {message(body)}")
    removed = []
    for other in sorted({tag for image in json.loads(body) for tag in image["RepoTags"] or []}):
        if split(other)[0] == repository and other not in params["images"]:
            status, body = ask(params, "DELETE", f"/images/{quote(other)}")
            if status == HTTPStatus.OK:
                removed.append(other)
            elif status not in (HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND):
                raise EngineError(f"{other} cannot be removed: {message(body)}")
    return removed


def message(body: bytes) -> str:
    """Return the engine's message."""
    try:
        answer = json.loads(body)
    except ValueError:
        return body.decode(errors="replace").strip()
    return str(answer.get("error") or answer.get("message") or answer)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "images": {"type": "list", "elements": "str", "required": True},
            "digests": {"type": "dict", "default": {}},
            "pull": {"type": "bool", "default": True},
            "registry": {"type": "str", "default": ""},
            "username": {"type": "str", "default": ""},
            "password": {"type": "str", "default": "", "no_log": True},
            "socket": {"type": "path", "default": "/var/run/docker.sock"},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    params = module.params
    removed: list[str] = []
    with told(module, "The images could not be had"):
        try:
            missing = [name for name in params["images"] if lacks(params, name)]
            if params["pull"] and not module.check_mode:
                for name in missing:
                    pull(params, name)
                    if is_ours(params, name):
                        removed += remove_others(params, name)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            if not module.check_mode:
                module.fail_json(msg=f"no Docker engine answers at {params['socket']}: {error}")
            missing = params["images"]
        except (EngineError, OSError) as error:
            module.fail_json(msg=str(error))
    module.exit_json(changed=params["pull"] and bool(missing), missing=missing, removed=removed)


if __name__ == "__main__":
    main()
