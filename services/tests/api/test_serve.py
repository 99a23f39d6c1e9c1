"""The service: what it is made of follows from its settings."""

import hashlib
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from pydantic import SecretStr
from services.tests.api.world import World, document
from services.tests.broker import certificate

from millrace import api
from millrace.api import dependencies, stream
from millrace.config import Settings
from millrace.errors import ConfigurationError
from millrace.runtime import gunicorn, logging

AUTHORIZED = {"Authorization": "Bearer one"}
PAGE = "https://dashboard.example.org"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    tokens = tmp_path / "tokens.json"
    digest = hashlib.sha256(b"one").hexdigest()
    tokens.write_text(json.dumps([{"id": "a", "sha256": digest, "scopes": ["read"]}]))
    authority = certificate(tmp_path, "authority")
    return Settings(
        kafka_ca_file=authority,
        mongodb_ca_file=authority,
        redis_ca_file=authority,
        feeds=["stocks", "quotes"],
        log_level="WARNING",
        kafka_username="api",
        kafka_password=SecretStr("kafka's"),
        mongodb_username="api",
        mongodb_password=SecretStr("mongodb's"),
        api_port=9443,
        api_tls_cert=tmp_path / "tls.crt",
        api_tls_key=tmp_path / "tls.key",
        api_tokens_file=tokens,
        api_origins=[PAGE],
        stale_seconds=10.0,
    )


class Server:
    """Takes what would be served."""

    def __init__(self) -> None:
        self.world = World(
            document(0, "A", "quotes", timestamp_utc=datetime.now(UTC) - timedelta(seconds=30)),
            *(document(offset) for offset in range(12)),
        )
        self.logged: tuple[Any, ...] = ()

    def serve(
        self, app: Flask, port: int, cert: Path, key: Path, threads: int, stop: threading.Event
    ) -> None:
        self.client = app.test_client()
        self.address = (port, cert.name, key.name)
        self.threads = threads
        self.stop = stop

    def connect(self, settings: Settings) -> World:
        assert settings.api_port == 9443
        return self.world

    def log(self, *arguments: Any) -> None:
        self.logged = arguments


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(gunicorn, "serve", server.serve)
    monkeypatch.setattr(dependencies, "Dependencies", server.connect)
    monkeypatch.setattr(logging, "configure", server.log)
    return server


def test_it_serves_its_feeds_to_its_tokens(settings: Settings, server: Server) -> None:
    api.serve(settings)
    assert server.address == (9443, "tls.crt", "tls.key")
    answer = server.client.get("/v1/feeds", headers=AUTHORIZED)
    assert [feed["name"] for feed in answer.get_json()["feeds"]] == ["stocks", "quotes"]
    assert server.client.get("/v1/feeds", headers={"Authorization": "Bearer a"}).status_code == 401


def test_pages_of_its_origins_may_use_it(settings: Settings, server: Server) -> None:
    api.serve(settings)
    answer = server.client.get("/live", headers={"Origin": PAGE})
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE


@pytest.mark.parametrize(("seconds", "stale"), [(10.0, True), (1000.0, False)])
def test_what_is_stale_is_a_setting(
    settings: Settings, server: Server, seconds: float, stale: bool
) -> None:
    api.serve(settings.model_copy(update={"stale_seconds": seconds}))
    answer = server.client.get("/market_data/last_price/A", headers=AUTHORIZED)
    assert answer.get_json()["stale"] is stale


def test_streams_end_when_the_server_stops_and_leave_threads_for_others(
    settings: Settings, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "LONGEST_SECONDS", 0.2)
    api.serve(settings)
    server.stop.set()
    headers = AUTHORIZED | {"Last-Event-ID": "0:6"}
    assert "data:" not in server.client.get("/v1/stocks/stream", headers=headers).text
    held = stream.MAX_STREAMS + api.ingest.MAX_REQUESTS
    assert server.threads - held == gunicorn.THREADS


def test_what_it_cannot_read_is_named_with_the_settings_that_it_is_from(
    settings: Settings, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConfigurationError("it is none")

    monkeypatch.setattr(gunicorn, "serve", refuse)
    with pytest.raises(
        ConfigurationError, match=r"^MILLRACE_API_TLS_CERT and MILLRACE_API_TLS_KEY: it is none$"
    ):
        api.serve(settings)
    settings.api_tokens_file.unlink()
    with pytest.raises(ConfigurationError, match=r"^MILLRACE_API_TOKENS_FILE: "):
        api.serve(settings)


def test_no_secret_is_logged(settings: Settings, server: Server) -> None:
    api.serve(settings)
    assert server.logged == ("api", "WARNING", {"kafka's", "mongodb's"})


@pytest.mark.parametrize(
    "name",
    [
        "kafka_username",
        "kafka_password",
        "mongodb_username",
        "mongodb_password",
        "redis_username",
        "redis_password",
    ],
)
def test_what_it_cannot_do_without_is_named(settings: Settings, server: Server, name: str) -> None:
    redis = {
        "redis_host": "redis",
        "redis_username": "api",
        "redis_password": SecretStr("redis's"),
    }
    given = settings.model_copy(update=redis)
    api.serve(given)
    is_secret = name.endswith("password")
    missing = SecretStr("") if is_secret else ""
    said = f"put the secret into the file /run/secrets/{name}"
    with pytest.raises(
        ConfigurationError, match=f"^{said if is_secret else f'set MILLRACE_{name.upper()}'}$"
    ):
        api.serve(given.model_copy(update={name: missing}))


@pytest.mark.parametrize("name", ["kafka_ca_file", "mongodb_ca_file", "redis_ca_file"])
def test_an_authority_that_cannot_be_read_is_named_at_the_start(
    settings: Settings, server: Server, tmp_path: Path, name: str
) -> None:
    redis = {"redis_host": "redis", "redis_username": "api", "redis_password": SecretStr("r")}
    (tmp_path / "empty.pem").touch()
    for file in ("none.pem", "empty.pem"):
        given = settings.model_copy(update={**redis, name: tmp_path / file})
        said = f"^MILLRACE_{name.upper()}: cannot read the authority in {tmp_path / file}: "
        with pytest.raises(ConfigurationError, match=said):
            api.serve(given)
