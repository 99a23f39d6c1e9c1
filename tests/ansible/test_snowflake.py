"""The playbook that sets Snowflake up: in which order, once, and with nothing secret said."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from moto.server import ThreadedMotoServer
from tests.ansible.conftest import INSTANCE, ROOT, Playbook, Run, load
from tests.documented.commands import block

USER_ARN = "arn:aws:iam::444455556666:user/snowflake"
EXTERNAL_ID = "an-external-id"
KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_REGION": "eu-central-1"}
module = load(ROOT / "plugins/modules/snowflake_setup.py")


class Account:
    """Answers the SQL API, as far as the playbook asks: comments, and whether a thing is there."""

    def __init__(self, aws: str, public: Any) -> None:
        self.aws, self.public = aws, public
        self.statements: list[str] = []
        self.comments: dict[str, str] = {}
        self.trusted_before_the_stage: Any = None
        self.refuses = ""
        self.endpoint = ""

    def run(self, statement: str) -> tuple[int, dict[str, Any]]:
        if self.refuses and statement.startswith(self.refuses):
            return 422, {"code": "003001", "message": "Insufficient\nprivileges"}
        if asked := re.match(r"DESC STORAGE INTEGRATION (\w+)", statement):
            if asked[1] not in self.comments:
                return 422, {"code": "002003", "message": "does not exist or not authorized"}
            found = {
                "STORAGE_AWS_IAM_USER_ARN": USER_ARN,
                "STORAGE_AWS_EXTERNAL_ID": EXTERNAL_ID,
                "COMMENT": self.comments[asked[1]],
            }
            return 200, {"data": [[name, "String", value, ""] for name, value in found.items()]}
        if asked := re.match(r"SHOW DATABASES LIKE '(\w+)'", statement):
            comment = self.comments.get(asked[1])
            return 200, {"data": [] if comment is None else [["now", asked[1], comment]]}
        self.statements.append(statement)
        if statement.startswith("CREATE STAGE"):
            self.trusted_before_the_stage = self.trust()
        if told := re.match(r"ALTER (?:\w+ )+(\w+) SET COMMENT = '(.*)'", statement):
            self.comments[told[1]] = told[2]
        return 200, {"data": [["done"]]}

    def trust(self) -> Any:
        client = boto3.client(
            "iam",
            endpoint_url=self.aws,
            region_name="eu-central-1",
            aws_access_key_id="id",
            aws_secret_access_key="key",
        )
        role = client.get_role(RoleName=f"{INSTANCE}-snowflake")["Role"]
        policy = client.get_role_policy(RoleName=role["RoleName"], PolicyName="archive")
        return role["AssumeRolePolicyDocument"], policy["PolicyDocument"]

    def check(self, bearer: str) -> None:
        """Who asks has the key."""
        signed, _, signature = bearer.rpartition(".")
        padded = (signature + "==").encode()
        self.public.verify(base64.urlsafe_b64decode(padded), signed.encode(), PKCS1v15(), SHA256())
        claims = json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
        der = self.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        fingerprint = base64.b64encode(hashlib.sha256(der).digest()).decode()
        assert claims["iss"] == f"AN-ACCOUNT.ADMIN.SHA256:{fingerprint}"
        assert claims["sub"] == "AN-ACCOUNT.ADMIN"


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def account(aws: str, tmp_path: Path) -> Iterator[Account]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "admin.pem").write_bytes(private)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "service.pub").write_bytes(public)
    own = Account(aws, key.public_key())

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            own.check(self.headers["Authorization"].removeprefix("Bearer "))
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert (self.path, asked["role"]) == ("/api/v2/statements", "ACCOUNTADMIN")
            code, said = own.run(asked["statement"])
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *_given: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    own.endpoint = f"http://127.0.0.1:{server.server_port}"
    yield own
    server.shutdown()
    server.server_close()


def arguments(account: Account, folder: Path) -> dict[str, Any]:
    return {
        "snowflake_account": "an-account",
        "snowflake_admin_user": "admin",
        "snowflake_admin_key_file": str(folder / "admin.pem"),
        "snowflake_public_key_file": str(folder / "service.pub"),
        "snowflake_archive": "s3://a-bucket/events",
        "snowflake_endpoint": account.endpoint,
    }


def changed(output: str) -> int:
    return int(re.search(r"localhost .*changed=(\d+)", output)[1])  # type: ignore[index]


def test_an_account_is_set_up_once_in_the_order_that_it_needs(
    playbook: Playbook, account: Account, tmp_path: Path
) -> None:
    given = arguments(account, tmp_path)
    printed = block("docs/operating/snowflake.md", "ansible-playbook playbooks/snowflake.yml")
    assert {*re.findall(r"-e (\w+)=", printed.text), "snowflake_endpoint"} == given.keys()
    environment = {**KEYS, "AWS_ENDPOINT_URL": account.aws}
    first = playbook.run("playbooks/snowflake.yml", environment, **given)
    assert first.returncode == 0, first.stdout + first.stderr
    assert changed(first.stdout) == 4
    trust, policy = account.trusted_before_the_stage
    [statement] = trust["Statement"]
    assert statement["Principal"] == {"AWS": USER_ARN}
    assert statement["Condition"] == {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}}
    read, listed, _ = policy["Statement"]
    assert read["Resource"] == "arn:aws:s3:::a-bucket/events/*"
    assert listed["Condition"] == {"StringLike": {"s3:prefix": "events/*"}}
    count = len(account.statements)
    second = playbook.run("playbooks/snowflake.yml", environment, **given)
    assert changed(second.stdout) == 0, second.stdout
    assert len(account.statements) == count
    for done in (first, second):
        assert "PRIVATE KEY" not in done.stdout
        assert (tmp_path / "admin.pem").read_text().splitlines()[3] not in done.stdout


def test_an_argument_that_is_missing_is_named(playbook: Playbook) -> None:
    done = playbook.run("playbooks/snowflake.yml", KEYS, snowflake_account="x")
    assert done.returncode == 2
    assert "missing required arguments: snowflake_admin_key_file, snowflake_admin_user" in " ".join(
        done.stdout.split()
    )


def asked(account: Account, folder: Path) -> dict[str, Any]:
    return {
        "account": "an-account",
        "user": "admin",
        "private_key_file": str(folder / "admin.pem"),
        "endpoint": account.endpoint,
        "query": "SHOW DATABASES LIKE 'D'",
        "statements": ["CREATE DATABASE D", "ALTER DATABASE D SET COMMENT = 'millrace 1'"],
        "digest": "1",
    }


def test_check_mode_changes_nothing(account: Account, tmp_path: Path, run: Run) -> None:
    assert run(module, check=True, **asked(account, tmp_path))["changed"] is True
    assert account.statements == []
    assert run(module, **asked(account, tmp_path))["changed"] is True
    assert len(account.statements) == 2
    assert run(module, **asked(account, tmp_path))["changed"] is False
    assert len(account.statements) == 2


def test_what_is_refused_is_one_line(account: Account, tmp_path: Path, run: Run) -> None:
    account.refuses = "CREATE DATABASE"
    said = run(module, **asked(account, tmp_path))["msg"]
    assert said == "Snowflake refuses `CREATE DATABASE D`: 003001: Insufficient privileges"
    nobody = asked(account, tmp_path) | {"endpoint": "http://127.0.0.1:9"}
    assert "http://127.0.0.1:9 does not answer" in run(module, **nobody)["msg"]
    (tmp_path / "admin.pem").write_text("no key")
    assert "cannot use the private key" in run(module, **asked(account, tmp_path))["msg"]
