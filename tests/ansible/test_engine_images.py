"""A host pulls what its engine lacks, and its engine alone hears the login."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from tests.ansible import engine_socket
from tests.ansible.conftest import ROOT, Run, load

OURS, OFFICIAL = "registry.example/one/millrace:1-abc", "apache/kafka:4"
TOKEN = "a-token-that-nobody-else-sees"


class Engine:
    """What an engine has, what it was asked to pull, and with which login."""

    def __init__(self) -> None:
        self.images: dict[str, list[str]] = {}
        self.pulled: list[tuple[str, str]] = []
        self.logins: list[dict[str, str]] = []
        self.refuses = ""
        self.breaks_off = False
        self.used: set[str] = set()

    def pull(self, name: str, tag: str, login: str) -> bytes:
        self.logins.append(json.loads(base64.urlsafe_b64decode(login)) if login else {})
        if self.refuses:
            return b'{"status": "Pulling"}\n' + json.dumps({"error": self.refuses}).encode()
        self.pulled.append((name, tag))
        if tag.startswith("sha256:"):
            self.images[f"{name}@{tag}"] = [f"{name}@{tag}"]
        else:
            self.images[f"{name}:{tag}"] = []
        return b'{"status": "Downloaded"}\n'

    def listed(self, path: str) -> list[dict[str, Any]]:
        (filters,) = parse_qs(urlsplit(path).query)["filters"]
        (repository,) = json.loads(filters)["reference"]
        return [{"RepoTags": [n]} for n in self.images if n.startswith(f"{repository}:")]


@contextmanager
def serving(path: Path, engine: Engine) -> Iterator[None]:
    class Handler(engine_socket.Answers):
        def get(self) -> None:
            if self.path.startswith("/images/json?"):
                return self.answer(200, json.dumps(engine.listed(self.path)).encode())
            name = unquote(self.path).removeprefix("/images/").removesuffix("/json")
            if name not in engine.images:
                return self.answer(404, b'{"message": "no such image"}')
            return self.answer(200, json.dumps({"RepoDigests": engine.images[name]}).encode())

        def post(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            if parts.path == "/images/create":
                if engine.breaks_off:
                    self.send_response(200)
                    self.send_header("Content-Length", "100")
                    self.end_headers()
                    self.close_connection = True
                    return None
                login = self.headers.get("X-Registry-Auth", "")
                return self.answer(200, engine.pull(query["fromImage"], query["tag"], login))
            source = unquote(parts.path).removeprefix("/images/").removesuffix("/tag")
            engine.images[f"{query['repo']}:{query['tag']}"] = engine.images[source]
            return self.answer(201)

        def delete(self) -> None:
            name = unquote(self.path).removeprefix("/images/")
            if name in engine.used:
                return self.answer(409, b'{"message": "image is being used"}')
            del engine.images[name]
            return self.answer(200, b"[]")

    with engine_socket.serving(path, Handler):
        yield


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def have(run: Run, tmp_path: Path, engine: Engine) -> Iterator[Any]:
    module = load(ROOT / "plugins/modules/engine_images.py")

    def call(*images: str, check: bool = False, **more: Any) -> dict[str, Any]:
        login = {"registry": "registry.example/one", "username": "AWS", "password": TOKEN}
        places = {"images": list(images), "socket": str(tmp_path / "sock")}
        return run(module, check=check, **(login | places | more))

    with serving(tmp_path / "sock", engine):
        yield call


def test_what_is_missing_is_told_then_pulled_then_left_alone(have: Any, engine: Engine) -> None:
    engine.images[OFFICIAL] = []
    told = have(OURS, OFFICIAL, pull=False)
    assert (told["missing"], told["changed"], engine.pulled) == ([OURS], False, [])
    assert have(OURS, OFFICIAL)["changed"]
    assert engine.pulled == [("registry.example/one/millrace", "1-abc")]
    assert not have(OURS, OFFICIAL)["changed"]


def test_only_the_registry_that_it_is_for_hears_the_login(have: Any, engine: Engine) -> None:
    answer = have(OURS, OFFICIAL)
    mine, theirs = engine.logins
    assert mine == {"username": "AWS", "password": TOKEN, "serveraddress": "registry.example"}
    assert theirs == {}
    assert TOKEN not in json.dumps(answer)


def test_the_engines_own_words_are_the_failure(have: Any, engine: Engine) -> None:
    engine.refuses = "unauthorized: authentication required"
    answer = have(OURS)
    assert answer["failed"]
    assert answer["msg"] == f"{OURS} cannot be pulled: unauthorized: authentication required"


def test_a_name_may_have_to_mean_a_digest(have: Any, engine: Engine) -> None:
    digests = {OFFICIAL: "sha256:1234"}
    engine.images[OFFICIAL] = ["apache/kafka@sha256:9999"]
    assert have(OFFICIAL, digests=digests)["missing"] == [OFFICIAL]
    assert engine.pulled == [("apache/kafka", "sha256:1234")]
    assert engine.images[OFFICIAL] == ["apache/kafka@sha256:1234"]
    assert not have(OFFICIAL, digests=digests)["changed"]


def test_an_update_removes_what_no_container_has_and_leaves_other_repositories_alone(
    have: Any, engine: Engine
) -> None:
    repository = OURS.partition(":")[0]
    before, running, elsewhere = f"{repository}:1-old", f"{repository}:1-aaa", "apache/kafka:3"
    engine.images |= {before: [], running: [], elsewhere: []}
    engine.used = {running}
    assert have(OURS, OFFICIAL)["removed"] == [before]
    assert set(engine.images) == {OURS, OFFICIAL, running, elsewhere}
    engine.images[before] = []
    assert have(OURS, OFFICIAL)["removed"] == []  # nothing was pulled: a second run changes nothing


def test_a_prediction_pulls_nothing(have: Any, engine: Engine) -> None:
    assert have(OURS, check=True)["changed"]
    assert engine.pulled == []


def test_where_there_is_no_engine_a_prediction_goes_on_and_a_run_does_not(
    have: Any, tmp_path: Path
) -> None:
    nowhere = {"socket": str(tmp_path / "nowhere")}
    assert have(OURS, check=True, **nowhere)["missing"] == [OURS]
    assert "no Docker engine answers" in have(OURS, **nowhere)["msg"]


def test_an_engine_that_breaks_off_is_said_in_one_line(have: Any, engine: Engine) -> None:
    engine.breaks_off = True
    answer = have(OFFICIAL)
    assert answer["failed"]
    assert answer["msg"].startswith("the Docker engine broke off its answer: ")


def test_a_port_is_no_tag() -> None:
    split = load(ROOT / "plugins/modules/engine_images.py").split
    assert split("host:5000/a/b:1-2") == ("host:5000/a/b", "1-2")
    assert split("host:5000/a/b") == ("host:5000/a/b", "latest")
