"""The name of an image that a deployment runs follows from where its engine got it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pytest
from tests.ansible import engine_socket
from tests.ansible.conftest import ROOT, load

VERSIONS = """
images:
  mongo: {repository: mongo, tag: "7.0", built_tag: 6.0.5, digest: "", official: true, parent: "",
    versions: {}}
  millrace: {repository: millrace/millrace, tag: 0.1.0, digest: "", official: false, parent: "",
    versions: {}}
"""
BUILT = {"io.millrace.build": "abc"}


@pytest.fixture
def images(tmp_path: Path) -> str:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/versions.yml").write_text(VERSIONS)
    (tmp_path / "images/recipes.py").symlink_to(ROOT / "images/recipes.py")
    return str(tmp_path / "images")


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """The filter on a machine whose engine has these images: labels by name."""
    module: ModuleType = load(ROOT / "plugins/filter/images.py")
    path = tmp_path / "engine"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")

    def call(*arguments: str, has: dict[str, dict[str, str] | None]) -> str:
        class Engine(engine_socket.Answers):
            def get(self) -> None:
                name = unquote(self.path).removeprefix("/images/").removesuffix("/json")
                if name not in has:
                    return self.answer(404)
                body = {"Id": "sha256:1", "Config": {"Labels": has[name]}}
                return self.answer(200, json.dumps(body).encode())

        path.unlink(missing_ok=True)
        with engine_socket.serving(path, Engine):
            return str(module.image_reference(*arguments))

    return call


@pytest.mark.parametrize(
    ("has", "expected"),
    [
        ({}, "mongo:7.0"),
        ({"mongo:7.0": None}, "mongo:7.0"),
        ({"mongo:6.0.5": BUILT}, "mongo:6.0.5"),
        ({"mongo:7.0": {}, "mongo:6.0.5": BUILT}, "mongo:7.0"),
    ],
    ids=["nothing", "pulled", "built", "both"],
)
def test_here_the_engine_says_it(
    reference: Callable[..., str],
    images: str,
    has: dict[str, dict[str, str] | None],
    expected: str,
) -> None:
    assert reference(images, "mongo", "", "auto", has=has) == expected
    assert reference(images, "mongo", has=has) == expected


def test_a_choice_that_was_forced_counts(reference: Callable[..., str], images: str) -> None:
    has = {"mongo:7.0": None, "mongo:6.0.5": BUILT}
    assert reference(images, "mongo", "", "packages", has=has) == "mongo:6.0.5"
    assert reference(images, "mongo", "", "registry", has={}) == "mongo:7.0"


def test_hosts_elsewhere_pull_whatever_this_engine_has(
    reference: Callable[..., str], images: str
) -> None:
    has: dict[str, dict[str, str] | None] = {"mongo:6.0.5": BUILT}
    assert reference(images, "mongo", "registry.example/one", "auto", has=has) == "mongo:7.0"


def test_without_an_engine_a_prediction_names_what_would_be_pulled(
    monkeypatch: pytest.MonkeyPatch, images: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    module = load(ROOT / "plugins/filter/images.py")
    assert module.image_reference(images, "mongo") == "mongo:7.0"
