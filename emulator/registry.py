"""The registries of a lab: one stands for ECR, one for Docker Hub."""

from __future__ import annotations

import json
import shutil
import ssl
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import docker
import docker.errors

from emulator.authority import make_certificates
from emulator.images import references
from emulator.settings import ACCOUNT, LABEL, SETTINGS_LABEL, Lab, LabError

# Docker Hub images that hosts run.
MIRRORED = ("kafka", "mongo", "redis")
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
# The login that moto's `get_authorization_token` returns.
USER = "AWS"
PASSWORD = f"{ACCOUNT}-auth-token"
START_SECONDS = 120


class Registry:
    """Both registries, in one container on this machine's network."""

    def __init__(self, lab: Lab, client: docker.DockerClient) -> None:
        self.lab = lab
        self.client = client
        self.tls = lab.state / "tls"
        # The engine reads authorities from here without a restart.
        self.trusted = [Path("/etc/docker/certs.d") / name for name in (lab.registry, lab.mirror)]

    def start(self, image: str) -> None:
        """Start serving, and make this machine's engine trust the registry."""
        make_certificates(self.tls, self.lab.address)
        for folder in self.trusted:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.tls / "ca.crt", folder / "ca.crt")
        folders = {self.lab.state / "registry": "registry", self.lab.cache: "mirror"}
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        data = [f"{folder}:/data/{name}" for folder, name in folders.items()]
        self.client.containers.run(
            image,
            detach=True,
            name=f"{self.lab.prefix}-registry",
            labels={LABEL: self.lab.prefix, SETTINGS_LABEL: self.lab.text},
            network_mode="host",
            volumes=[*data, f"{self.tls}:/tls:ro"],
            environment={
                "LAB_ADDRESS": self.lab.address,
                "LAB_REGISTRY_PORT": str(self.lab.registry_port),
                "LAB_MIRROR_PORT": str(self.lab.mirror_port),
                "LAB_USER": USER,
                "LAB_PASSWORD": PASSWORD,
            },
        )
        end = time.monotonic() + START_SECONDS
        while self.get("") is None:
            if time.monotonic() > end:
                log = self.client.containers.get(f"{self.lab.prefix}-registry").logs().decode()
                raise LabError(f"the registry does not answer:\n{log}")
            time.sleep(0.1)

    def get(self, path: str) -> bytes | None:
        """The mirror's answer for a path."""
        context = ssl.create_default_context(cafile=str(self.tls / "ca.crt"))
        request = Request(f"https://{self.lab.mirror}/v2/{path}", headers={"Accept": MANIFEST})
        try:
            with urlopen(request, timeout=5, context=context) as answer:
                content: bytes = answer.read()
        except (URLError, OSError):
            return None
        return content

    def find(self, name: str) -> Any:
        """The image in this machine's engine, if it exists."""
        try:
            return self.client.images.get(name)
        except docker.errors.ImageNotFound:
            return None

    def fill(self) -> None:
        """Push missing images to the mirror under their Docker Hub names; built ones stand in."""
        for name in MIRRORED:
            wanted, built = references(name)
            image = self.find(wanted) or self.client.images.get(built)
            repository, _, tag = wanted.partition(":")
            library = repository if "/" in repository else f"library/{repository}"
            manifest = self.get(f"{library}/manifests/{tag}")
            if manifest and json.loads(manifest)["config"]["digest"] == image.id:
                continue
            target = f"{self.lab.mirror}/{library}"
            image.tag(target, tag)
            try:
                for part in self.client.api.push(target, tag=tag, stream=True, decode=True):
                    if "error" in part:
                        raise LabError(f"pushing {wanted}: {part['error']}")
            finally:
                self.client.images.remove(f"{target}:{tag}")

    def forget(self) -> None:
        """Remove the registry from those that this machine's engine trusts."""
        for folder in self.trusted:
            shutil.rmtree(folder, ignore_errors=True)
