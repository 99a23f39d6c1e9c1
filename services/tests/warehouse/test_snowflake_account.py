"""How Snowflake is reached, and what its administrator is given to run."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from services.tests.warehouse.test_building import run
from sqlglot import exp

from millrace.config import Settings
from millrace.errors import ConfigurationError
from millrace.runtime.exit_codes import Exit
from millrace.warehouse.snowflake import connecting, loading, setup

ROLE = "arn:aws:iam::111122223333:role/millrace-snowflake"
PUBLIC_KEY = "-----BEGIN PUBLIC KEY-----\nTUlMTFJBQ0U=\n-----END PUBLIC KEY-----\n"
GOLDEN = Path(__file__).parent / "snowflake.sql"
UNPARSED = (
    "ALTER",
    "CREATE CATALOG",
    "CREATE EXTERNAL",
    "CREATE RESOURCE",
    "CREATE ROLE",
    "CREATE USER",
    "GRANT ROLE",
    "GRANT SELECT ON FUTURE",
)
"""Statements that sqlglot keeps as they are: it does not know them."""


def settings_with(folder: Path, **changes: Any) -> Settings:
    key = folder / "key.pem"
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    given: dict[str, Any] = {
        "snowflake_account": "an-account",
        "snowflake_private_key_file": key,
    }
    return Settings(**(given | changes))


def in_a_bucket(**changes: Any) -> Settings:
    return Settings(archive_warehouse="s3://a-bucket/events", **changes)


@contextmanager
def answering(number: str) -> Iterator[int]:
    """The port of what refuses to log anybody in, as Snowflake does, and has seen no password."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            given = self.rfile.read(int(self.headers["Content-Length"]))
            assert b"PASSWORD" not in given
            said = {"success": False, "code": number, "message": "its words", "data": {}}
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_given: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def log_in(settings: Settings, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    told = connecting.parameters(settings)
    assert {*told} >= {"private_key_file"} and "password" not in told
    there = {"host": "127.0.0.1", "port": port, "protocol": "http", "login_timeout": 2}
    monkeypatch.setattr(connecting, "parameters", lambda _settings: told | there)
    with connecting.connected(settings, "A_ROLE"):
        pass


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("390144", r"^Snowflake: it refuses the key .*/key.pem of the user MILLRACE .*its words"),
        (
            "390189",
            r"^Snowflake: the user MILLRACE cannot log in with the role A_ROLE: .*its words",
        ),
    ],
)
def test_a_login_that_is_refused_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str, said: str
) -> None:
    with answering(number) as port, pytest.raises(connecting.SnowflakeFailed, match=said) as found:
        log_in(settings_with(tmp_path), port, monkeypatch)
    assert "\n" not in str(found.value)


def test_an_account_that_does_not_answer_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        connecting.SnowflakeFailed, match="the account an-account cannot be reached"
    ):
        log_in(settings_with(tmp_path), 9, monkeypatch)


def test_what_is_missing_is_named_before_anybody_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="set MILLRACE_SNOWFLAKE_ACCOUNT"):
        connecting.check(settings_with(tmp_path, snowflake_account=""))
    key = tmp_path / "none.pem"
    with pytest.raises(connecting.NoKey, match=f"cannot read the private key {key}: No such file"):
        connecting.check(settings_with(tmp_path, snowflake_private_key_file=key))
    key.write_text("no key")
    with pytest.raises(connecting.NoKey, match=f"{key} is no private key in PEM"):
        connecting.check(settings_with(tmp_path, snowflake_private_key_file=key))
    with pytest.raises(loading.NotInS3, match="it is in file:///archive/warehouse"):
        loading.check_place(Settings())


def test_a_page_of_models_is_made_with_duckdb_alone() -> None:
    code, said = run("docs", "--to", "page", warehouse_engine="snowflake")
    assert code == Exit.FAILED
    assert said.startswith("the page is made of a warehouse in DuckDB, and MILLRACE_WAREHOUSE_EN")


def all_statements() -> str:
    settings = in_a_bucket(archive_catalog="glue://events", archive_region="eu-central-1")
    parts = [
        setup.integration(settings, ROLE).statements,
        setup.objects(settings, PUBLIC_KEY, monthly_credits=10, retention_days=7).statements,
        setup.in_place(settings, ROLE),
    ]
    return "\n".join(map(setup.script, parts))


def test_the_statements_for_an_administrator_are_those_that_were_reviewed() -> None:
    assert all_statements() == GOLDEN.read_text()


@pytest.mark.filterwarnings("ignore::Warning")
def test_the_statements_are_sql_of_snowflake() -> None:
    for statement in filter(None, map(str.strip, all_statements().split(";\n"))):
        [parsed] = sqlglot.parse(statement, dialect="snowflake")
        assert isinstance(parsed, exp.Command) == statement.startswith(UNPARSED), statement


def test_no_role_may_more_than_it_must() -> None:
    granted = [line for line in all_statements().splitlines() if line.startswith("GRANT ")]
    assert not [line for line in granted if " ALL " in line or "OWNERSHIP" in line]
    reader = [line for line in granted if line.endswith("TO ROLE MILLRACE_READER;")]
    assert all(line.startswith(("GRANT USAGE ON", "GRANT SELECT ON FUTURE")) for line in reader)
    assert not [line for line in reader if "LANDING" in line]
    loader = [line for line in granted if line.endswith("TO ROLE MILLRACE_LOADER;")]
    assert not [line for line in loader if "MARTS" in line or "STAGING" in line]


def test_the_command_prints_the_statements(tmp_path: Path) -> None:
    key = tmp_path / "key.pub"
    key.write_text(PUBLIC_KEY)
    place = {"archive_warehouse": "s3://a-bucket/events"}
    code, said = run("snowflake-sql", "objects", "--public-key", str(key), **place)
    assert code == Exit.OK
    assert said in GOLDEN.read_text()
    code, said = run("snowflake-sql", "integration", "--aws-role", ROLE, **place)
    assert said in GOLDEN.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("integration", "--aws-role", "x"), "x is no ARN of a role, like arn:aws:iam::1111"),
        (("integration", "--aws-role", ROLE), "MILLRACE_ARCHIVE_WAREHOUSE is file:///archive"),
        (("objects",), "the public key is not in PEM"),
        (("objects", "--public-key", "/none"), "cannot read /none: No such file"),
        (("in-place", "--aws-role", ROLE), "MILLRACE_ARCHIVE_CATALOG is sqlite:////archive/"),
    ],
)
def test_what_cannot_be_written_is_said(words: tuple[str, ...], said: str) -> None:
    code, error = run("snowflake-sql", *words)
    assert code == Exit.FAILED
    assert said in error
