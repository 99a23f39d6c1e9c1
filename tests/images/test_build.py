"""What images/build hands to the engine, and what it does where pulling fails."""

from __future__ import annotations

import fcntl
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import docker
import docker.errors
import pytest
import requests
import urllib3
from docker.models.images import ImageCollection
from services.tests.stands import stands_for

IMAGES = Path(__file__).parents[2] / "images"
sys.path.insert(0, str(IMAGES))


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, with a folder of images of its own."""
    loader = SourceFileLoader("build", str(IMAGES / "build"))
    spec = spec_from_loader("build", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    monkeypatch.setattr(module, "HERE", tmp_path / "images")
    monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(module, "FREE_MB", 0)
    (tmp_path / "cache").mkdir()
    return module


def test_every_user_of_an_image_can_read_what_a_private_checkout_holds(
    build: ModuleType, tmp_path: Path
) -> None:
    folder = tmp_path / "images" / "one"
    (folder / "bin").mkdir(parents=True, mode=0o700)
    for name, mode in {"bin/program": 0o700, "Dockerfile": 0o600}.items():
        (folder / name).write_text("")
        (folder / name).chmod(mode)
    (folder / "fetch").write_text("umask 077; mkdir site; echo >site/module.py; ln -s nowhere link")
    modes: dict[str, int] = {}

    class Engine:
        def build(self, step: Any, parent: Any, context: Path, log: Path) -> None:
            for path in (context, *context.rglob("*")):
                if not path.is_symlink():
                    modes[str(path.relative_to(context))] = path.stat().st_mode & 0o777

        def megabytes(self, reference: str) -> int:
            return 0

    image = build.Image("one", "one", "1", "", official=True, parent="", versions={})
    build.carry_out(Engine(), build.Step(image, "build", "abc", "one:1"), None)
    assert {"bin", "bin/program", "Dockerfile", "site", "site/module.py"} <= modes.keys()
    for name, mode in modes.items():
        is_program = name in (".", "bin", "site", "bin/program")
        assert mode & 0o055 == (0o055 if is_program else 0o044), name


@stands_for(docker.DockerClient, ImageCollection)
class Registry:
    """The client library of an engine behind which a registry says something."""

    def __init__(self, *images: str, refuses: str = "", breaks: str = "", silent: bool = False):
        self.has, self.refuses, self.breaks, self.silent = set(images), refuses, breaks, silent
        self.images, self.api = self, SimpleNamespace(pull=self.pull)

    def ping(self) -> bool:
        return True

    def get(self, reference: str) -> Any:
        if reference not in self.has:
            raise docker.errors.ImageNotFound(f"No such image: {reference}")
        labels = {} if reference.endswith(":7.0") else {"io.millrace.build": "abc"}
        return SimpleNamespace(id="sha256:1", labels=labels, attrs={"Size": 0, "RepoDigests": []})

    def get_registry_data(self, reference: str) -> None:
        if self.silent:
            raise requests.ReadTimeout("no answer")
        if self.refuses:
            raise docker.errors.APIError("500", explanation=self.refuses)

    def pull(self, repository: str, *, tag: str, stream: bool, decode: bool) -> Any:
        assert stream
        assert decode
        yield {"status": f"Pulling from {repository}"}
        if self.breaks == "the engine ends":
            raise urllib3.exceptions.ProtocolError("Connection broken: IncompleteRead")
        if self.breaks:
            yield {"errorDetail": {"message": self.breaks}, "error": self.breaks}
        else:
            self.has.add(f"{repository}:{tag}")


@pytest.fixture
def make(build: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return a function that has the one image that there is; it gives what was said."""
    (tmp_path / "images" / "one").mkdir(parents=True)
    (tmp_path / "images" / "versions.yml").write_text(
        "images: {one: {repository: one, tag: '7.0', built_tag: 6.0.5, digest: '', official: true,"
        " parent: '', versions: {}}}"
    )
    monkeypatch.setattr(build.Engine, "build", lambda *_: None)
    monkeypatch.setattr(build.Engine, "megabytes", lambda *_: 0)

    def run(registry: Registry, *, check: bool = False) -> list[str]:
        lines: list[str] = []
        monkeypatch.setattr(docker, "from_env", lambda **_: registry)
        monkeypatch.setattr(build, "say", lines.append)
        build.make(["one"], None, check=check)
        return lines

    return run


NO_NETWORK = (
    'Get "https://registry.example/v2/": dial tcp: lookup registry.example: no such host',
    "dial tcp 192.0.2.1:443: connect: connection refused",
    "dial tcp 192.0.2.1:443: connect: no route to host",
    "dial tcp: lookup registry.example on 192.0.2.53:53: read udp: i/o timeout",
    "proxyconnect tcp: dial tcp 192.0.2.1:3128: connect: connection refused",
    "net/http: request canceled while waiting for connection (Client.Timeout exceeded)",
)
REFUSED = {
    "toomanyrequests: You have reached your pull rate limit": "log in with `docker login`, wait,",
    "received unexpected HTTP status: 429 Too Many Requests": "log in with `docker login`, wait,",
    "unauthorized: authentication required": "log in with `docker login`, or",
    "pull access denied for one, repository does not exist": "log in with `docker login`, or",
    "x509: certificate signed by unknown authority": "have the engine trust its authority",
    "received unexpected HTTP status: 503 Service Unavailable": "run it again later",
    "manifest unknown: manifest unknown": "run it again later",
}


@pytest.mark.parametrize("reason", NO_NETWORK)
def test_where_nothing_can_be_reached_packages_are_built_and_the_reason_is_said(
    make: Any, reason: str
) -> None:
    first, *lines = make(Registry(refuses=reason))
    assert first == (
        f"official images are built from packages: no image registry can be reached ({reason})"
    )
    assert lines[-1].startswith("built one:6.0.5 ")


def test_a_registry_that_says_nothing_cannot_be_reached(make: Any) -> None:
    assert make(Registry(silent=True))[-1].startswith("built one:6.0.5 ")


@pytest.mark.parametrize("reason", REFUSED)
def test_a_registry_that_refuses_ends_the_run_with_its_reason_and_a_remedy(
    make: Any, build: ModuleType, reason: str
) -> None:
    for check in (True, False):
        with pytest.raises(build.BuildError) as error:
            make(Registry(refuses=reason), check=check)
        text = str(error.value)
        assert text.startswith(f"pull of one:7.0 failed ({reason}): {REFUSED[reason]}")
        assert "millrace_images_source=packages" in text


def test_a_pull_that_breaks_half_way_says_why(make: Any, build: ModuleType) -> None:
    with pytest.raises(build.BuildError, match=r"pull of one:7\.0 failed \(unexpected EOF\): run"):
        make(Registry(breaks="unexpected EOF"))
    with pytest.raises(build.BuildError, match="the engine broke off: Connection broken"):
        make(Registry(breaks="the engine ends"))


def test_what_a_registry_gives_is_pulled_and_stays(make: Any) -> None:
    registry = Registry()
    assert make(registry)[-1].startswith("pulled one:7.0 ")
    registry.refuses = "toomanyrequests"
    assert make(registry) == ["official images are pulled", "present one:7.0"]


@pytest.mark.parametrize(
    ("refuses", "said"),
    [
        ("", ": a registry answers by now; millrace_images_source=registry "),
        ("toomanyrequests", ": a registry answers by now, but toomanyrequests"),
        (NO_NETWORK[0], ""),
    ],
    ids=["answers", "refuses", "cannot be reached"],
)
def test_images_from_packages_do_not_stay_in_silence(make: Any, refuses: str, said: str) -> None:
    line = make(Registry("one:6.0.5", refuses=refuses))[0]
    assert line.startswith(f"official images are built from packages{said}")
    assert said or line == "official images are built from packages"


class Failing(Registry):
    """An engine that fails at what is asked of it."""

    def __init__(self, at: str, error: Exception) -> None:
        super().__init__()
        self.at, self.error = at, error
        self.api.build = self.build
        self.api.images = lambda **_: []

    def get(self, reference: str) -> Any:
        if self.at == "get":
            raise self.error
        return super().get(reference)

    def get_registry_data(self, reference: str) -> None:
        raise docker.errors.APIError("500", explanation="no such host")

    def build(self, **_: Any) -> Any:
        raise self.error


@pytest.mark.parametrize("at", ["get", "build"])
@pytest.mark.parametrize(
    "error",
    [
        docker.errors.APIError("500", explanation="no space left on device"),
        docker.errors.DockerException("no space left on device"),
        requests.ConnectionError("no space left on device"),
        urllib3.exceptions.ProtocolError("no space left on device"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_engine_that_fails_is_one_line(
    build: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    at: str,
    error: Exception,
) -> None:
    (tmp_path / "images" / "one").mkdir(parents=True)
    (tmp_path / "images" / "versions.yml").write_text(
        "images: {one: {repository: one, tag: '7.0', digest: '', official: true, parent: '',"
        " versions: {}}}"
    )
    monkeypatch.setattr(docker, "from_env", lambda **_: Failing(at, error))
    monkeypatch.setattr(sys, "argv", ["images/build"])
    with pytest.raises(SystemExit) as ended:
        build.main()
    assert ended.value.code == (
        "images/build: the Docker engine fails: no space left on device; run it again"
    )


def test_what_is_not_understood_is_told_from_what_fails(
    build: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(build, "HERE", IMAGES)
    monkeypatch.setattr(docker, "from_env", lambda **_: Registry())
    for words in (["nosuch"], ["--source", "elsewhere"], ["--force"]):
        monkeypatch.setattr(sys, "argv", ["images/build", *words])
        with pytest.raises(SystemExit) as ended:
            build.main()
        assert ended.value.code == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith("images/build: error: ")
    monkeypatch.setattr(sys, "argv", ["images/build", "--help"])
    with pytest.raises(SystemExit) as ended:
        build.main()
    assert ended.value.code == 0
    assert "example: images/build kafka --check" in capsys.readouterr().out


def test_a_full_disk_is_one_line(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(build, "CACHE", tmp_path / "file")
    monkeypatch.setattr(sys, "argv", ["images/build"])
    with pytest.raises(SystemExit, match=r"^images/build: .*File exists"):
        build.main()


def test_a_log_is_shown_without_the_credentials_of_an_index(
    build: ModuleType, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.write_text("Looking in indexes: https://me:0p3n@index.example/simple\nfailed\n")
    assert "https://me:***@index.example/simple\nfailed" in str(build.failed("it", log))


def test_run_says_what_it_waits_for_and_gives_up(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = build.CACHE / "lock"
    with path.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        monkeypatch.setattr(build, "LOCK_SECONDS", 0.5)
        monkeypatch.setattr(sys, "argv", ["images/build", "--check"])
        refusal = rf"^images/build: another images/build has held {path} for 0\.5 s: end it"
        with pytest.raises(SystemExit, match=refusal):
            build.main()
    assert capsys.readouterr().out == f"waiting for another images/build, which holds {path} ...\n"
    with build.locked(), path.open("w") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert capsys.readouterr().out == ""
