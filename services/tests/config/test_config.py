"""Settings: where they are read from, and that their secrets stay secret."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from millrace import config
from millrace.config import Settings
from millrace.errors import ConfigurationError


@pytest.fixture(autouse=True)
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MILLRACE_SECRETS_DIR", str(tmp_path))
    return tmp_path


def test_a_secret_is_read_from_the_file_with_its_name(secrets: Path) -> None:
    (secrets / "kafka_password").write_text("s3cret\n")
    assert config.load().kafka_password.get_secret_value() == "s3cret"


def test_the_environment_sets_what_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_FEEDS", '["metals"]')
    monkeypatch.setenv("MILLRACE_HTTP_PORT", "9000")
    settings = config.load()
    assert settings.feeds == ["metals"]
    assert settings.http_port == 9000


def test_without_secrets_directory_there_are_no_secrets(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLRACE_SECRETS_DIR", str(secrets / "none"))
    assert config.load().secrets() == frozenset()


def test_printing_masks_secrets(secrets: Path) -> None:
    (secrets / "kafka_password").write_text("s3cret")
    (secrets / "mongodb_password").write_text("m0ngo")
    settings = config.load()
    for text in (str(settings), repr(settings), settings.model_dump_json()):
        assert "s3cret" not in text
        assert "m0ngo" not in text
    assert settings.secrets() == {"s3cret", "m0ngo"}


def test_what_is_wrong_is_one_line_without_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_HTTP_PORT", "not-a-port")
    with pytest.raises(ConfigurationError, match="MILLRACE_HTTP_PORT") as caught:
        config.load()
    assert "not-a-port" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "origin",
    [
        "https://dashboard.example.org",
        "http://localhost:3000",
        "http://127.0.0.1",
        "https://[::1]:8443",
    ],
)
def test_an_origin_is_what_a_browser_sends(origin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_API_ORIGINS", json.dumps([origin]))
    assert config.load().api_origins == [origin]


@pytest.mark.parametrize(
    "wrong",
    ["*", "null", "", "dashboard.example.org", "https://a/", "https://A", "https://*.a", "file://"],
)
def test_what_is_no_origin_is_refused(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_API_ORIGINS", json.dumps(["https://a", wrong]))
    with pytest.raises(ConfigurationError) as caught:
        config.load()
    assert str(caught.value) == (
        "MILLRACE_API_ORIGINS: item 2: write it as a browser sends it, in lower case and without a"
        " path, like https://dashboard.example.org"
    )


PORTS = [name.upper() for name in Settings.model_fields if name.endswith("_port")]
ADDRESSES = "MILLRACE_{}: write it as host:port, several separated by commas, like {}"
HOST = "MILLRACE_STATUS_HOSTS: item 2: write it as host or host:port, like processor"
URL = "MILLRACE_{}: write it with http:// or https:// and the host, like {}"
THRESHOLD = "MILLRACE_STOCK_ALERT_THRESHOLD: it is a fraction above 0, and 1 at most: 0.05 is 5 %"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        *(
            (name, value, ADDRESSES.format(name, example))
            for name, example in (
                ("KAFKA_BOOTSTRAP_SERVERS", "kafka-1:9092,kafka-2:9092"),
                ("MONGODB_HOSTS", "mongodb:27017,mongodb-2:27017"),
            )
            for value in (
                *("kafka", "", "a:1;b:2", "a:1,", "a:0", "a:65536", "a b:1", "a:x", ":1"),
                *("a..b:1", "-a:1", "a-:1", f"{'a' * 64}:1", f"{'a.' * 127}a:1"),
            )
        ),
        *(
            ("STATUS_HOSTS", json.dumps(["a", value]), HOST)
            for value in ("a:b", "", "a:", "http://a", "a:0", "a b", "a..b")
        ),
        ("VERIFY_CLOSED", '["a"]', "MILLRACE_VERIFY_CLOSED: item 1: write it as host:port"),
        *(
            (name, value, URL.format(name, example))
            for name, example in (
                ("PRODUCER_URL", "http://vllm:8000/metrics"),
                ("API_URL", "https://api:8443"),
            )
            for value in (
                *("vllm:8000/metrics", "vllm", "http://", "ftp://a", "http://a:x", "http://a b"),
                *("http://[a", "http://a:99999", "http://a:0", "http://[a:b]", "http://a..b"),
            )
        ),
        ("API_URL", "", URL.format("API_URL", "https://api:8443")),
        *(
            ("REDIS_HOST", value, "MILLRACE_REDIS_HOST: write the host alone, like redis: its port")
            for value in ("redis:6379", " ", "redis ", "a b", "rediss://redis", "a,b", ".", "a..b")
        ),
        *(
            (name, value, f"MILLRACE_{name}: Input should be ")
            for name in PORTS
            for value in ("0", "-1", "65536", "", "x", "1.5")
        ),
        *(("STOCK_ALERT_THRESHOLD", value, THRESHOLD) for value in ("5", "1.01", "0", "-1", "nan")),
        *(
            (name, value, f"MILLRACE_{name}: {said}")
            for name in ("FEEDS", "PRODUCER_SYMBOLS", "STATUS_HOSTS", "API_ORIGINS")
            for value, said in (
                ("[1]", 'item 1: write it as text, in quotes, like "a"'),
                ("a", 'write it as a list, like ["a", "b"]'),
                ('{"a": 1}', 'write it as a list, like ["a", "b"]'),
            )
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_form(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"MILLRACE_{name}", value)
    with pytest.raises(ConfigurationError) as caught:
        config.load()
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kafka_bootstrap_servers", "my_kafka-1.example.org:9092,10.0.0.1:1"),
        ("mongodb_hosts", "mongodb:27017"),
        ("status_hosts", ["processor", "producer-a:9101"]),
        ("verify_closed", ["10.0.0.1:9093"]),
        ("redis_host", ""),
        ("redis_host", "millrace_redis-1.example.org."),
        ("producer_url", ""),
        ("producer_url", "https://user:word@[::1]:8443/v1/?key=a%20b"),
        ("stock_alert_threshold", 1.0),
    ],
)
def test_what_can_be_used_is_kept(name: str, value: Any) -> None:
    assert getattr(Settings(**{name: value}), name) == value


def test_spaces_between_addresses_are_dropped() -> None:
    settings = Settings(kafka_bootstrap_servers="kafka-1:9092, kafka-2:9092 ")
    assert settings.kafka_bootstrap_servers == "kafka-1:9092,kafka-2:9092"


@pytest.mark.parametrize("link", [False, True])
def test_a_secret_that_is_no_plain_file_is_one_line(
    secrets: Path, tmp_path_factory: pytest.TempPathFactory, link: bool
) -> None:
    if link:
        away = tmp_path_factory.mktemp("away") / "word"
        away.write_text("s3cret")
        (secrets / "kafka_password").symlink_to(away)
    else:
        (secrets / "kafka_password").mkdir()
    with pytest.raises(ConfigurationError) as caught:
        config.load()
    assert str(caught.value) == (
        "the secret file kafka_password is a folder, or a link out of the secrets directory:"
        " make it a file"
    )


SECRETS = {
    name for name, field in Settings.model_fields.items() if isinstance(field.default, SecretStr)
}
LISTS = [name for name, field in Settings.model_fields.items() if "list" in str(field.annotation)]


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, "a\udcff") for name in sorted(Settings.model_fields.keys() - LISTS - SECRETS)]
    + [(name, value) for name in LISTS for value in ('["a\udcff"]', r'["b", "\ud800"]')],
)
def test_what_is_no_text_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    variable = f"MILLRACE_{name.upper()}"
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as caught:
        config.load()
    assert str(caught.value) == f"{variable}: it has bytes that are no text in UTF-8"


def test_what_is_missing_is_named(secrets: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config.load().require("kafka_username", "kafka_password", "kafka_bootstrap_servers")
    assert str(caught.value) == (
        f"set MILLRACE_KAFKA_USERNAME; put the secret into the file {secrets}/kafka_password"
    )


@pytest.mark.parametrize("prefix", ["MILLRACE_", "millrace_", ""])
@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_secret_in_the_environment_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, prefix: str
) -> None:
    monkeypatch.setenv(f"{prefix}{name.upper()}", "s3cret")
    with pytest.raises(ConfigurationError) as caught:
        config.load()
    assert str(caught.value) == (
        f"{prefix}{name.upper()} is not read: a secret is read from a file only; remove the"
        f" variable, and put the secret into the file {name} of the secrets directory"
    )


def test_what_is_nearly_a_secret_is_told_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_KAFKA_PASSWORD_FILE", "/s3cret")
    with pytest.raises(ConfigurationError) as caught:
        config.load()
    assert str(caught.value) == (
        "MILLRACE_KAFKA_PASSWORD_FILE: there is no such setting;"
        " is the file kafka_password of the secrets directory meant?"
    )


def test_a_file_that_no_setting_has_is_told_and_ends_nothing(
    secrets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("kafka_pasword", "MILLRACE_MONGODB_PASSWORD", "zzz", "ca.pem", "tls.pem"):
        (secrets / name).write_text("s3cret")
    (secrets / "Kafka_Username").write_text("me")
    (secrets / "..data").mkdir()
    settings = config.load()
    assert settings.kafka_username == "me"
    assert capsys.readouterr().err.splitlines() == [
        f"millrace: warning: {secrets}/MILLRACE_MONGODB_PASSWORD: there is no such setting;"
        " is mongodb_password meant?",
        f"millrace: warning: {secrets}/kafka_pasword: there is no such setting;"
        " is kafka_password meant?",
        f"millrace: warning: {secrets}/zzz: there is no such setting; remove it",
    ]
    with pytest.raises(ConfigurationError) as caught:
        settings.require("kafka_password")
    assert str(caught.value).startswith(
        f"put the secret into the file {secrets}/kafka_password; {secrets}/MILLRACE_MONGODB_"
    )
    assert "kafka_pasword: there is no such setting; is kafka_password meant?" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_every_file_that_the_roles_write_is_known(
    secrets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(__file__).parents[3]
    shared = (root / "roles/service/vars/main.yml").read_text()
    told = yaml.safe_load((root / "playbooks/vars/services.yml").read_text())
    names = {*re.findall(r"\{name: ([\w.]+), ", shared), "api_tokens.json"}
    names.update(*(part for name, part in told.items() if name.endswith("_secrets")))
    assert {"ca.pem", "kafka_password", "metals_api_key", "tls.key", "api_token"} <= names
    for name in names:
        (secrets / name).write_text("x")
    config.load()
    assert capsys.readouterr().err == ""


def test_a_secret_that_is_no_text_or_cannot_be_read_is_one_line(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (secrets / "kafka_password").write_bytes(b"s3\xff")
    with pytest.raises(
        ConfigurationError, match="the secret file kafka_password is no text in UTF-8"
    ):
        config.load()

    def refuse(path: Path, *_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(
        ConfigurationError, match="cannot read the secret file kafka_password: Permission"
    ):
        config.load()


def test_a_secrets_directory_that_cannot_be_listed_is_named_by_its_variable(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ConfigurationError) as caught:
        config.load()
    assert str(caught.value) == f"MILLRACE_SECRETS_DIR: cannot read {secrets}: Permission denied"


def test_every_setting_is_described() -> None:
    undescribed = [name for name, field in Settings.model_fields.items() if not field.description]
    assert not undescribed
