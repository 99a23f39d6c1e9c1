"""The registries of a lab: one stands for ECR, one for Docker Hub."""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
import time
from pathlib import Path
from typing import IO, Any

import docker
import docker.errors
import requests

from emulator.authority import make_certificates
from emulator.images import references
from emulator.settings import ACCOUNT, LABEL, SETTINGS_LABEL, Lab, LabError

# Docker Hub images that hosts run.
MIRRORED = ("kafka", "mongo", "redis")
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar"
# The login that moto's `get_authorization_token` returns.
USER = "AWS"
PASSWORD = f"{ACCOUNT}-auth-token"
START_SECONDS = 120
ASK_SECONDS = 5
BLOB_SECONDS = 120


def member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    """A file of an archive."""
    found = archive.extractfile(name)
    if found is None:
        raise LabError(f"{name} in a saved image is no file")
    return found


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

    def ask(
        self, method: str, path: str, seconds: float = ASK_SECONDS, **more: Any
    ) -> requests.Response:
        """The mirror's response. Raises RequestException, also if the response is an error."""
        response = requests.request(
            method,
            requests.compat.urljoin(f"https://{self.lab.mirror}/v2/", path),
            timeout=seconds,
            verify=str(self.tls / "ca.crt"),
            **more,
        )
        response.raise_for_status()
        return response

    def get(self, path: str) -> bytes | None:
        """The mirror's content for a path."""
        try:
            return self.ask("GET", path, headers={"Accept": MANIFEST}).content
        except requests.RequestException:
            return None

    def find(self, name: str) -> Any:
        """The image in this machine's engine, if it exists."""
        try:
            return self.client.images.get(name)
        except docker.errors.ImageNotFound:
            return None

    def fill(self) -> None:
        """Copy missing images to the mirror under their Docker Hub names; built ones stand in."""
        for name in MIRRORED:
            wanted, built = references(name)
            image = self.find(wanted) or self.client.images.get(built)
            repository, _, tag = wanted.partition(":")
            library = repository if "/" in repository else f"library/{repository}"
            manifest = self.get(f"{library}/manifests/{tag}")
            if manifest and json.loads(manifest)["config"]["digest"] == image.id:
                continue
            try:
                self.copy(image, library, tag)
            except requests.RequestException as error:
                raise LabError(f"copying {wanted} to the mirror: {error}") from None

    def copy(self, image: Any, repository: str, tag: str) -> None:
        """Copy an image to the mirror.

        Its layers stay as they are: a push would compress them, for each host to decompress.
        """
        with tempfile.TemporaryFile(dir=self.lab.state) as file:
            for part in image.save():
                file.write(part)
            file.seek(0)
            with tarfile.open(fileobj=file) as archive:
                [saved] = json.load(member(archive, "manifest.json"))
                config = member(archive, saved["Config"])
                digests = json.load(config)["rootfs"]["diff_ids"]
                config.seek(0)
                manifest = {
                    "schemaVersion": 2,
                    "mediaType": MANIFEST,
                    "config": self.put(repository, CONFIG, image.id, config),
                    "layers": [
                        self.put(repository, LAYER, digest, member(archive, name))
                        for digest, name in zip(digests, saved["Layers"], strict=True)
                    ],
                }
        self.ask(
            "PUT",
            f"{repository}/manifests/{tag}",
            data=json.dumps(manifest),
            headers={"Content-Type": MANIFEST},
        )

    def put(self, repository: str, kind: str, digest: str, content: IO[bytes]) -> dict[str, Any]:
        """Upload a blob, which the registry compares with its digest; return its descriptor."""
        begun = self.ask("POST", f"{repository}/blobs/uploads/")
        self.ask(
            "PUT",
            begun.headers["Location"],
            BLOB_SECONDS,
            params={"digest": digest},
            data=content,
            headers={"Content-Type": "application/octet-stream"},
        )
        return {"mediaType": kind, "size": content.tell(), "digest": digest}

    def forget(self) -> None:
        """Remove the registry from those that this machine's engine trusts."""
        for folder in self.trusted:
            shutil.rmtree(folder, ignore_errors=True)
