"""The lab's own images, rebuilt only if their definition changes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import docker
import docker.errors
import yaml

from emulator.settings import LABEL, ROOT, LabError

HERE = Path(__file__).parent


def references(name: str) -> tuple[str, str]:
    """The references of a project image: in a registry, and as built."""
    versions = yaml.safe_load((ROOT / "images" / "versions.yml").read_text())
    image = versions["images"][name]
    repository, tag = image["repository"], image["tag"]
    return f"{repository}:{tag}", f"{repository}:{image.get('built_tag', tag)}"


def definition(folder: Path, base: str) -> str:
    """A hash of everything that defines an image."""
    digest = hashlib.sha256(base.encode())
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(folder)}:{path.stat().st_mode:o}:".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


def have(*names: str) -> None:
    """Ensure that these project images exist, built or pulled."""
    if subprocess.run([sys.executable, str(ROOT / "images" / "build"), *names]).returncode:
        raise LabError("an image is missing: see the lines above")


def build(client: docker.DockerClient, name: str) -> str:
    """Build the image of a directory (`host`, `registry`) if needed, and remove replaced ones."""
    base, _ = references("debian")
    folder = HERE / name
    repository = f"mr-aws-lab-{name}"
    wanted = f"{repository}:{definition(folder, str(client.images.get(base).id))}"
    try:
        client.images.get(wanted)
    except docker.errors.ImageNotFound:
        client.images.build(
            path=str(folder),
            tag=wanted,
            buildargs={"BASE": base},
            labels={f"{LABEL}.image": name},
            rm=True,
            forcerm=True,
        )
    for image in client.images.list(repository):
        for tag in set(image.tags) - {wanted}:
            try:
                client.images.remove(tag)
            except docker.errors.APIError:
                continue  # a container of another lab runs it
    return wanted
