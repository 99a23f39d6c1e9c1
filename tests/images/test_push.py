"""An image is pushed once; what a registry says no to is said in one line."""

from __future__ import annotations

import io
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import docker.errors
import pytest
import urllib3
from docker.models.images import ImageCollection
from services.tests.stands import stands_for

IMAGES = Path(__file__).parents[2] / "images"
sys.path.insert(0, str(IMAGES))
LOGIN = {"username": "AWS", "password": "a-token"}


@pytest.fixture(scope="module")
def push() -> ModuleType:
    loader = SourceFileLoader("push", str(IMAGES / "push"))
    spec = spec_from_loader("push", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


@stands_for(docker.DockerClient, ImageCollection)
class Engine:
    """An engine with a registry behind it: the tags that the registry has, and what it refuses."""

    def __init__(self, words: str = "manifest unknown", error: str = "") -> None:
        self.words, self.error = words, error
        self.tags: set[str] = set()
        self.logins: list[Any] = []
        self.images = self

    def get_registry_data(self, reference: str, auth_config: Any) -> None:
        self.logins.append(auth_config)
        if reference not in self.tags:
            raise docker.errors.APIError("404", explanation=self.words)

    def get(self, reference: str) -> Any:
        return SimpleNamespace(tag=lambda name: None)

    def push(self, reference: str, auth_config: Any, **_: Any) -> list[dict[str, str]]:
        self.logins.append(auth_config)
        if self.error == "the engine ends":
            raise urllib3.exceptions.ProtocolError("Connection broken")
        if not self.error:
            self.tags.add(reference)
        return [{"status": "pushing"}, {"error": self.error} if self.error else {"status": "ok"}]


@pytest.fixture
def make(push: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(engine: Engine) -> list[str]:
        lines: list[str] = []
        monkeypatch.setattr(push.docker, "from_env", lambda **_: engine)
        monkeypatch.setattr(push, "say", lines.append)
        monkeypatch.setattr(push, "build", lambda image: lines.append(f"built {image.name}"))
        push.make("registry.example/one", "millrace", LOGIN)
        return lines

    return run


def test_it_is_built_and_pushed_once(make: Any) -> None:
    engine = Engine()
    first, second = make(engine), make(engine)
    assert [line.split()[0] for line in first] == ["built", "pushing", "pushed"]
    assert [line.split()[0] for line in second] == ["present"]
    assert second[0].split()[1].startswith("registry.example/one/millrace:")
    assert engine.logins == [LOGIN] * 3


def test_a_registry_that_cannot_be_asked_is_not_pushed_to(make: Any, push: ModuleType) -> None:
    with pytest.raises(push.BuildError, match="cannot be asked: unauthorized"):
        make(Engine(words="unauthorized: authentication required"))


def test_a_push_that_is_refused_says_why(make: Any, push: ModuleType) -> None:
    with pytest.raises(push.BuildError, match="failed: tag is immutable"):
        make(Engine(error="tag is immutable"))
    with pytest.raises(push.BuildError, match="or it fails: Connection broken"):
        make(Engine(error="the engine ends"))


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["https://registry.example"],
        ["registry.example/"],
        [""],
        ["registry.example", "--username", "AWS"],
        ["registry.example", "--force"],
        ["registry.example", "kafka"],
        ["registry.example", "millrace", "analytics"],
    ],
)
def test_what_is_not_understood_is_told_before_anything_is_asked(
    push: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["images/push", *words])
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    monkeypatch.setattr(push, "make", lambda *_: pytest.fail("it went on"))
    with pytest.raises(SystemExit) as ended:
        push.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("images/push: error: ")


@pytest.mark.parametrize("registry", ["198.18.0.1:5000/lab", "localhost:5000", "a.example/b/c"])
def test_a_registry_is_named_as_engines_name_it(
    push: ModuleType, monkeypatch: pytest.MonkeyPatch, registry: str
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(push, "make", lambda *given: asked.append(given))
    both, login = ["millrace-analytics", "millrace"], ["--username", "AWS"]
    for words in (login, [*both, *login], [*login, *both]):
        monkeypatch.setattr(sys, "argv", ["images/push", registry, *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO("a-token\n"))
        push.main()
    pushed = ["millrace", *both, *both]
    assert asked == [(registry, name, LOGIN) for name in pushed]
