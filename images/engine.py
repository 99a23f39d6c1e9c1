"""The Docker engine, as far as images go."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import docker
import docker.errors
import requests
import urllib3

from millrace.runtime.redaction import scrub, shown
from recipes import LABEL, BuildError, Image, Present, Step
from refusals import advice

PROBE_SECONDS = 10
LOG_LINES = 25
LONGEST = 500
ENGINE_FAILS = (
    docker.errors.DockerException,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
)
"""What the library raises where the engine refuses, breaks off or does not answer."""


class Engine:
    """The Docker engine, as far as images go."""

    def __init__(self) -> None:
        try:
            self.client = docker.from_env()
            self.client.ping()
            # A registry that does not answer soon cannot be reached.
            self.impatient = docker.from_env(timeout=PROBE_SECONDS)
        except ENGINE_FAILS:
            raise BuildError(
                "no Docker engine answers: start it, or install one with "
                "`ansible-playbook playbooks/engine.yml`"
            ) from None

    def present(self, images: Mapping[str, Image]) -> dict[str, Present]:
        """What there is of the images, by reference."""
        found = {}
        for reference in {i.pulled for i in images.values()} | {i.built for i in images.values()}:
            try:
                have = self.client.images.get(reference)
            except docker.errors.ImageNotFound:
                continue
            digests = tuple(have.attrs.get("RepoDigests") or ())
            found[reference] = Present(str(have.id), have.labels.get(LABEL, ""), digests)
        return found

    def refusal(self, image: Image) -> str:
        """Why the engine, which knows its mirrors and proxies, cannot pull; empty if it can."""
        try:
            self.impatient.images.get_registry_data(image.pulled)
        except docker.errors.APIError as error:
            return one_line(error)
        except requests.RequestException:
            return f"i/o timeout: no answer within {PROBE_SECONDS} s"
        return ""

    def pull(self, image: Image) -> None:
        """Pull the tag, or exactly the digest that versions.yml names."""
        try:
            # Not `images.pull`: that reads over errors, and then misses the image.
            for part in self.client.api.pull(
                image.repository, tag=image.digest or image.tag, stream=True, decode=True
            ):
                if "error" in part:
                    raise BuildError(refused(image, one_line(part["error"])))
            if image.digest:
                pulled = self.client.images.get(f"{image.repository}@{image.digest}")
                pulled.tag(image.repository, tag=image.tag)
        except docker.errors.APIError as error:
            raise BuildError(refused(image, one_line(error))) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise BuildError(refused(image, f"the engine broke off: {one_line(error)}")) from None

    def build(self, step: Step, parent: Image | None, context: Path, log: Path) -> None:
        """Build the image of a context, and drop what it replaces unless a container uses it."""
        output = self.client.api.build(
            path=str(context),
            tag=step.reference,
            labels={LABEL: step.definition},
            buildargs=step.image.variables | ({"BASE": parent.built} if parent else {}),
            rm=True,
            forcerm=True,
            decode=True,
        )
        with log.open("a") as stream:
            for part in output:
                stream.write(part.get("stream", ""))
                if "error" in part:
                    stream.write(part["error"])
                    stream.flush()
                    raise failed(f"building {step.reference}", log)
        self.drop_replaced()

    def drop_replaced(self) -> None:
        """Remove what was built here and has lost its name, unless a container uses it.

        The label does not tell: whatever is built from these images inherits it, and what another
        build has made so far has no name either. Here it is the last step of each.
        """
        for found in self.client.api.images(filters={"dangling": True, "label": LABEL}):
            with suppress(docker.errors.APIError):
                image = self.client.images.get(found["Id"])
                if f"LABEL {LABEL}=" in image.history()[0]["CreatedBy"]:
                    image.remove()

    def megabytes(self, reference: str) -> int:
        """Size of the image with what it is built from."""
        return int(self.client.images.get(reference).attrs["Size"]) // 10**6


def one_line(said: object) -> str:
    """The words of an engine or a registry, without secrets: what an error of theirs explains."""
    explained = getattr(said, "explanation", None) or str(said)
    return shown(explained or type(said).__name__, LONGEST)


def refused(image: Image, reason: str) -> str:
    """What to say where a registry does not give an image."""
    return f"pull of {image.pulled} failed ({reason}): {advice(reason)}"


def failed(what: str, log: Path) -> BuildError:
    """The error that shows the end of a log."""
    tail = "\n".join(scrub(log.read_text(errors="replace")).splitlines()[-LOG_LINES:])
    return BuildError(f"{what} failed; the whole log is {log}, its end:\n{tail}")
