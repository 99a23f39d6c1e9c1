"""The command line: errors are one line, and a health check is quick."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.forked import Program

from millrace import verify, watch
from millrace.cli import main
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.processor import service
from millrace.runtime.exit_codes import Exit
from millrace.watch import status
from millrace.watch.snapshot import Snapshot
from millrace.watch.status import NotWell

ROOT = Path(__file__).parents[3]
# What our modules import. They themselves are imported by each command, as they are otherwise.
LIBRARIES = ("kafka", "msgspec", "pydantic_settings", "pymongo", "requests", "structlog", "typer")


@pytest.fixture(scope="module")
def millrace() -> Iterator[Program]:
    program = Program("millrace.cli:main", LIBRARIES, ROOT, os.environ)
    yield program
    program.close()


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(millrace: Program) -> Run:
    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        words = ["millrace", *arguments]
        return millrace.run(words, ROOT, os.environ | environment, limit=30)

    return run


def test_a_wrong_setting_is_one_line_and_exit_code_1(run: Run, tmp_path: Path) -> None:
    result = run("config", MILLRACE_HTTP_PORT="x", MILLRACE_SECRETS_DIR=str(tmp_path))
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "MILLRACE_HTTP_PORT" in result.stderr


def test_config_prints_settings_with_masked_secrets(run: Run, tmp_path: Path) -> None:
    (tmp_path / "kafka_password").write_text("s3cret")
    result = run("config", MILLRACE_SECRETS_DIR=str(tmp_path))
    assert result.returncode == 0
    assert '"kafka_bootstrap_servers": "kafka-1:9092"' in result.stdout
    assert "s3cret" not in result.stdout


def test_config_shows_no_secret_of_a_url(run: Run, tmp_path: Path) -> None:
    url = "http://user:{0}@vllm:8000/metrics?api_key={0}".format("pa55" * 3)
    result = run("config", MILLRACE_PRODUCER_URL=url, MILLRACE_SECRETS_DIR=str(tmp_path))
    assert result.returncode == 0
    shown = json.loads(result.stdout)
    assert shown["producer_url"] == "http://user:***@vllm:8000/metrics?api_key=***"
    assert shown["feeds"] == ["metals", "stocks"]
    assert shown["http_port"] == 8081


def test_config_shows_no_secret_where_a_setting_has_it(run: Run, tmp_path: Path) -> None:
    word = 3 * 'p\u00e4"55'
    (tmp_path / "kafka_password").write_text(word)
    result = run("config", MILLRACE_PRODUCER_HOST=word, MILLRACE_SECRETS_DIR=str(tmp_path))
    assert json.loads(result.stdout)["producer_host"] == "***"


@pytest.mark.parametrize("schedule", ["61 * * * *", "@daily", "0 0 31 2 *"])
def test_config_refuses_a_schedule_that_produce_refuses(
    run: Run, tmp_path: Path, schedule: str
) -> None:
    result = run("config", MILLRACE_PRODUCER_SCHEDULE=schedule, MILLRACE_SECRETS_DIR=str(tmp_path))
    assert result.returncode == 1
    said = f"millrace: MILLRACE_PRODUCER_SCHEDULE: the schedule '{schedule}' "
    assert result.stderr.startswith(said)
    assert result.stderr.count("\n") == 1


def test_a_producer_without_source_says_what_it_needs(run: Run, tmp_path: Path) -> None:
    result = run("produce", MILLRACE_SECRETS_DIR=str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "MILLRACE_PRODUCER_SOURCE" in result.stderr


def test_a_health_check_imports_nothing_heavy() -> None:
    script = "import sys, millrace.runtime.health_check; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    heavy = {"kafka", "pymongo", "flask", "pydantic", "typer", "requests", "structlog"}
    assert not heavy & set(result.stdout.split())


@pytest.mark.parametrize("command", [("process",), ("dead-letters", "list")])
def test_a_command_without_credentials_says_what_it_needs(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    result = run(*command, MILLRACE_SECRETS_DIR=str(tmp_path), MILLRACE_HTTP_PORT="18199")
    assert result.returncode == 1
    assert "MILLRACE_" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_misspelt_setting_is_refused_with_the_right_name(run: Run, tmp_path: Path) -> None:
    result = run(
        "config", MILLRACE_PROCESSOR_BREAKER_SHAER="0.1", MILLRACE_SECRETS_DIR=str(tmp_path)
    )
    assert result.returncode == 1
    assert result.stderr == (
        "millrace: MILLRACE_PROCESSOR_BREAKER_SHAER: there is no such setting;"
        " is MILLRACE_PROCESSOR_BREAKER_SHARE meant?\n"
    )


@pytest.fixture
def login(tmp_path: Path) -> dict[str, str]:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "kafka_password").write_text("0" * 20)
    (secrets / "mongodb_password").write_text("1" * 20)
    return {
        "MILLRACE_KAFKA_USERNAME": "a",
        "MILLRACE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "MILLRACE_MONGODB_USERNAME": "c",
        "MILLRACE_SECRETS_DIR": str(secrets),
    }


@pytest.mark.parametrize(
    ("command", "name", "value", "said"),
    [
        (
            "config",
            "KAFKA_PASSWORD",
            "0",
            "MILLRACE_KAFKA_PASSWORD is not read: a secret is read from",
        ),
        ("config", "FEEDS", "metals", 'MILLRACE_FEEDS: write it as a list, like ["a"'),
        (
            "api",
            "FEEDS",
            '["nope"]',
            "MILLRACE_FEEDS: there is no feed nope; the feeds are gpu_metrics, metals",
        ),
        (
            "process",
            "FEEDS",
            '["weather"]',
            "MILLRACE_FEEDS: there is no feed weather; the feeds are gpu_metrics",
        ),
        (
            "verify mongodb",
            "FEEDS",
            '["nope"]',
            "MILLRACE_FEEDS: there is no feed nope; the feeds are",
        ),
        (
            "config",
            "FEEDS",
            '["metals", "metals"]',
            "MILLRACE_FEEDS: metals is there more than once; the feeds are",
        ),
        ("status", "FEEDS", "[]", "MILLRACE_FEEDS: name one at least; the feeds are"),
        ("process", "MONGODB_CA_FILE", "/none/ca.pem", "cannot read the authority in /none/ca.pem"),
        ("config", "PRODUCER_HOST", "a/b", "MILLRACE_PRODUCER_HOST: it is the name of a host"),
        ("api", "API_TOKENS_FILE", "/none/tokens.json", "API tokens in /none/tokens.json"),
        ("simulate", "SIMULATOR_TLS_CERT", "/none/tls.crt", "certificate /none/tls.crt"),
        ("produce", "REPLAY_FILE", "/none/a.csv", "there is no file /none/a.csv to replay"),
        ("produce", "PRODUCER_FEED", "metals", "source replay gives stocks, not metals"),
        ("produce", "PRODUCER_SCHEDULE", "0 25 * * *", "'0 25 * * *' is wrong: Bad hour"),
        ("config", "PRODUCER_INTERVAL_SECONDS", "inf", "MILLRACE_PRODUCER_INTERVAL_SECONDS"),
        ("config", "PROCESSOR_STOP_SECONDS", "1e300", "MILLRACE_PROCESSOR_STOP_SECONDS"),
    ],
)
def test_a_wrong_setting_ends_every_command_with_one_line(
    run: Run, tmp_path: Path, login: dict[str, str], command: str, name: str, value: str, said: str
) -> None:
    (tmp_path / "prices.csv").touch()
    replaying = {
        "MILLRACE_PRODUCER_NAME": "a",
        "MILLRACE_PRODUCER_SOURCE": "replay",
        "MILLRACE_PRODUCER_FEED": "stocks",
        "MILLRACE_PRODUCER_STATE_DIR": str(tmp_path),
        "MILLRACE_REPLAY_FILE": str(tmp_path / "prices.csv"),
    }
    result = run(*command.split(), **login | replaying | {f"MILLRACE_{name}": value})
    assert result.returncode == 1
    assert f"MILLRACE_{name}" in result.stderr
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_status_of_nothing_is_an_error(run: Run, tmp_path: Path, login: dict[str, str]) -> None:
    wrong = {
        "MILLRACE_MONGODB_CA_FILE": str(tmp_path / "none.pem"),
        "MILLRACE_STATUS_HOSTS": '["127.0.0.1:1"]',
        "MILLRACE_API_URL": "https://127.0.0.1:1",
    }
    result = run("status", **login, **wrong)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "cannot read the authority" in result.stdout.replace("\n", " ")
    assert result.stderr == (
        "millrace: not ready, or not to be asked: 127.0.0.1, api, Kafka, MongoDB\n"
    )


def test_the_version_is_said(run: Run) -> None:
    result = run("--version")
    assert result.returncode == Exit.OK
    assert result.stdout.startswith("millrace 0.")


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "verify",
        "no-such-command",
        "status --nope",
        "produce --from yesterday",
        "verify workflow --seconds nan",
        "verify workflow --seconds inf",
        "verify workflow --seconds -1",
        "verify workflow --seconds 1_0",
        "producer interval 1_0",
        "producer rate \u0661",
        "dead-letters list --limit 1_0",
        "standing skip stock-data/0/17 --reason x --to 1_8",
        "dead-letters list --limit 0",
        "dead-letters show",
        "standing skip stock-data/0/17",
    ],
)
def test_what_is_not_understood_has_an_exit_code_of_its_own(
    wrong: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["millrace", *wrong.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == Exit.MISUSED
    seen = capsys.readouterr()
    assert "Traceback" not in seen.err
    assert seen.err or "Commands" in seen.out


@pytest.mark.parametrize(
    ("happens", "code"),
    [
        (None, Exit.OK),
        (NotWell("api"), Exit.FAILED),
        (RuntimeError("unknown"), Exit.FAILED),
        (KeyboardInterrupt(), Exit.INTERRUPTED),
    ],
)
def test_a_command_ends_as_the_page_says(
    happens: BaseException | None,
    code: Exit,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def end(*_: Any, **__: Any) -> None:
        if happens:
            raise happens

    monkeypatch.setenv("MILLRACE_SECRETS_DIR", str(tmp_path))
    monkeypatch.setattr(status, "run", end)
    monkeypatch.setattr(sys, "argv", ["millrace", "status"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    if isinstance(happens, NotWell):
        assert capsys.readouterr().err == "millrace: api\n"


def test_a_check_that_does_not_pass_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    class Report(msgspec.Struct):
        ok: bool

    verify.show(Report(True), None, as_json=True)
    with pytest.raises(SystemExit) as ended:
        verify.show(Report(False), None, as_json=True)
    assert ended.value.code == Exit.FAILED
    assert capsys.readouterr().out == '{"ok":true}\n{"ok":false}\n'


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], Exit.MISUSED, "usage: python -m millrace.runtime.health_check URL"),
        (["http://localhost:1", "more"], Exit.MISUSED, "usage: "),
        (["http://127.0.0.1:1/live"], Exit.FAILED, "millrace: http://127.0.0.1:1/live: "),
        (["https://127.0.0.1:1"], Exit.FAILED, "millrace: cannot read the authority in /run/sec"),
        (["nowhere"], Exit.FAILED, "millrace: nowhere: "),
    ],
)
def test_a_health_check_that_fails_is_one_line(arguments: list[str], code: Exit, said: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "millrace.runtime.health_check", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (result.returncode, result.stderr.count("\n")) == (code, 1)
    assert result.stderr.startswith(said)


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    seen = Snapshot(datetime(2026, 1, 1, tzinfo=UTC), {}, {}, None, [], [], [], [])
    with pytest.raises(MillraceError, match=r"cannot write .*/none/a.svg: No such file"):
        watch._draw(seen, tmp_path / "none/a.svg")


def test_an_error_that_nobody_knows_is_shown_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "metals_api_key").write_text(10 * "k3y")
    monkeypatch.setenv("MILLRACE_SECRETS_DIR", str(tmp_path))

    def fail(settings: Settings) -> None:
        key = settings.metals_api_key.get_secret_value()
        raise RuntimeError(f"GET /latest?key={key} failed")

    monkeypatch.setattr(service, "run", fail)
    monkeypatch.setattr(sys, "argv", ["millrace", "process"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == Exit.FAILED
    said = capsys.readouterr()
    assert "Traceback" in said.err
    assert "RuntimeError: GET /latest?key=*** failed" in said.err
    assert "k3y" not in said.err + said.out
