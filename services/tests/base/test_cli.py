"""The command line: errors are one line, and a health check is quick."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MILLRACE = [sys.executable, "-c", "from millrace.cli import main; main()"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MILLRACE, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_wrong_setting_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    result = run("config", MILLRACE_HTTP_PORT="x", MILLRACE_SECRETS_DIR=str(tmp_path))
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "MILLRACE_HTTP_PORT" in result.stderr


def test_config_prints_settings_with_masked_secrets(tmp_path: Path) -> None:
    (tmp_path / "kafka_password").write_text("s3cret")
    result = run("config", MILLRACE_SECRETS_DIR=str(tmp_path))
    assert result.returncode == 0
    assert '"kafka_bootstrap_servers": "kafka-1:9092"' in result.stdout
    assert "s3cret" not in result.stdout


def test_a_producer_without_source_says_what_it_needs(tmp_path: Path) -> None:
    result = run("produce", MILLRACE_SECRETS_DIR=str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "MILLRACE_PRODUCER_SOURCE" in result.stderr


def test_a_health_check_imports_nothing_heavy() -> None:
    script = "import sys, millrace.health; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    heavy = {"kafka", "pymongo", "flask", "pydantic", "typer", "requests", "structlog"}
    assert not heavy & set(result.stdout.split())


@pytest.mark.parametrize("command", [("process",), ("dead-letters", "list")])
def test_a_command_without_credentials_says_what_it_needs(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    result = run(*command, MILLRACE_SECRETS_DIR=str(tmp_path), MILLRACE_HTTP_PORT="18199")
    assert result.returncode == 1
    assert "MILLRACE_" in result.stderr
    assert result.stderr.count("\n") == 1
