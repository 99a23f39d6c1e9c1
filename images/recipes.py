"""What each image is, what defines it, and what has to be done to have it. Touches no engine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

# Of an image that was built here: the hash of what defines it.
LABEL = "io.millrace.build"

# What defines an image besides its own folder and its parent, relative to the repository's root.
SOURCES = {
    "millrace": ("requirements/services.txt", "services/pyproject.toml", "services/src"),
    "analytics": ("requirements/analytics.txt", "requirements/services.txt"),
}

Source = Literal["registry", "packages"]


class BuildError(Exception):
    """What went wrong and what to do about it, in one line."""


class UnknownImage(BuildError):
    """An image was asked for that versions.yml does not have."""


@dataclass(frozen=True)
class Image:
    """One entry of versions.yml."""

    name: str
    repository: str
    tag: str
    digest: str
    official: bool
    parent: str
    versions: dict[str, str]  # of what goes into it, by upper-case name in environment and build
    built_tag: str = ""  # where packages give another version than the registry has
    recipe: str = ""  # whose folder it is made from, on another parent

    @property
    def folder(self) -> str:
        """The folder of what it is made from, and its key in SOURCES."""
        return self.recipe or self.name

    @property
    def pulled(self) -> str:
        """The reference in a registry."""
        return f"{self.repository}:{self.tag}"

    @property
    def built(self) -> str:
        """The reference of what is built from packages here."""
        return f"{self.repository}:{self.built_tag or self.tag}"

    def reference(self, source: Source) -> str:
        return self.pulled if source == "registry" else self.built

    @property
    def variables(self) -> dict[str, str]:
        """What `fetch` finds in its environment and the Dockerfile may take as arguments."""
        tag = {"TAG": self.built_tag or self.tag}
        return tag | {name.upper(): value for name, value in self.versions.items()}


@dataclass(frozen=True)
class Present:
    """What the engine has under a reference."""

    id: str
    built: str  # hash of the definition that it was built from; empty if it was pulled
    digests: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """What to do for one image."""

    image: Image
    action: Literal["keep", "pull", "build"]
    definition: str
    reference: str


def read_versions(path: Path) -> dict[str, Image]:
    """The images by name, in the order in which they are built."""
    entries = yaml.safe_load(path.read_text())["images"]
    return {name: Image(name=name, **entry) for name, entry in entries.items()}


def source_of(image: Image, present: Mapping[str, Present]) -> Source | None:
    """Where what the engine has of an image is from; None if it has nothing of it."""
    if image.pulled in present and not present[image.pulled].built:
        return "registry"
    return "packages" if image.built in present and present[image.built].built else None


def reference_here(image: Image, present: Mapping[str, Present]) -> str:
    """The reference that a deployment on this engine runs: what is there tells what was chosen."""
    if source_of(image, present) == "registry" or image.built not in present:
        return image.pulled
    return image.built


def choose_source(wanted: Sequence[Image], present: Mapping[str, Present]) -> Source | None:
    """Where official images come from; None if the registry has to be asked about it first."""
    sources = [source_of(image, present) for image in wanted if image.official]
    if "packages" in sources:
        return "packages"
    return "registry" if None not in sources else None


def needed(names: Sequence[str], images: Mapping[str, Image], source: Source) -> list[Image]:
    """The named images, all if none is named, and what they are built from, parents first."""
    wanted: set[str] = set()
    for first in names or images:
        name = first
        if name not in images:
            raise UnknownImage(f"unknown image '{name}'; known are: {', '.join(images)}")
        while name and name not in wanted:
            wanted.add(name)
            pulled = images[name].official and source == "registry"
            name = "" if pulled else images[name].parent
    return [image for image in images.values() if image.name in wanted]


def defining_files(image: Image) -> Iterator[Path]:
    """Every file that the image is made from."""
    sources = (ROOT / source for source in SOURCES.get(image.folder, ()))
    for top in (HERE / image.folder, *sources):
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and ".egg-info" not in str(path):
                yield path


def definition_hash(image: Image, parent: str) -> str:
    """SHA-256 of everything that the image is made from, shortened."""
    digest = hashlib.sha256(f"{image.built}\n{image.versions}\n{parent}\n".encode())
    for path in defining_files(image):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        executable = bool(path.stat().st_mode & 0o100)
        digest.update(f"{path.relative_to(ROOT)} {executable} {content}\n".encode())
    return digest.hexdigest()[:20]


def registry_reference(name: str, images: Mapping[str, Image], registry: str) -> str:
    """The image's name in a registry. A tag is never used again: it names what defines the image.

    Nobody has to be asked for it. What a pulled parent holds is known by its name alone. Images of
    one recipe are in one repository, and the tag says which of them it is.
    """
    content = ""
    for image in needed([name], images, "packages"):
        content = definition_hash(image, content)
    repository = images[name].folder
    return f"{registry}/{repository}:{images[name].tag}{name.removeprefix(repository)}-{content}"


def plan(wanted: Sequence[Image], source: Source, present: Mapping[str, Present]) -> list[Step]:
    """What to do for each image. An image that somebody pulled is never replaced by one of ours."""
    steps: list[Step] = []
    identity = {"": ""}  # what a child's definition says about its parent
    for image in wanted:
        reference = image.reference(source)
        have = present.get(reference)
        pulled = have is not None and not have.built
        if image.official and source == "registry":
            current = (
                have and pulled and any(d.endswith(image.digest) for d in have.digests or ("",))
            )
            steps.append(Step(image, "keep" if current else "pull", "", reference))
        elif image.official and pulled:
            steps.append(Step(image, "keep", "", reference))
        else:
            definition = definition_hash(image, identity[image.parent])
            current = have is not None and have.built == definition
            action: Literal["keep", "build"] = "keep" if current else "build"
            steps.append(Step(image, action, definition, reference))
        identity[image.name] = steps[-1].definition or (have.id if have else "pulled")
    return steps
