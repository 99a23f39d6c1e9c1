"""Snowflake: the playbook that sets it up, and what a warehouse in it needs of an inventory."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
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
from tests.ansible.conftest import INSTANCE, ROOT, Playbook, Run, load, words
from tests.documented.commands import block
from tests.documented.where import AWS

from millrace.config import Settings

USER_ARN = "arn:aws:iam::444455556666:user/snowflake"
EXTERNAL_ID = "an-external-id"
KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_REGION": "eu-central-1"}
module = load(ROOT / "plugins/modules/snowflake_setup.py")
FILTERS = load(ROOT / "plugins/filter/snowflake.py", "snowflake_filters")


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
        "millrace_snowflake_account": "an-account",
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
    printed = block("docs/operating/snowflake.md", f"{AWS}playbooks/snowflake.yml")
    unsaid = {"millrace_snowflake_account", "snowflake_endpoint"}
    assert {*re.findall(r"-e (\w+)=", printed.text), *unsaid} == given.keys()
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
    done = playbook.run("playbooks/snowflake.yml", KEYS)
    assert done.returncode == 2
    assert "missing required arguments: snowflake_admin_key_file, snowflake_admin_user" in " ".join(
        done.stdout.split()
    )


def test_without_an_account_nobody_is_asked(playbook: Playbook, tmp_path: Path) -> None:
    given = dict.fromkeys(("admin_user", "admin_key_file", "public_key_file", "archive"), "x")
    said = {f"snowflake_{name}": value for name, value in given.items()}
    done = playbook.run("playbooks/snowflake.yml", KEYS, **said)
    assert done.returncode == 2
    assert "millrace_snowflake_account is missing: write the account" in words(done.stdout)


GOOD = {
    "millrace_warehouse_engine": "snowflake",
    "millrace_snowflake_account": "an-account",
    "millrace_snowflake_settings": {"snowflake_database": "OTHER"},
    "millrace_archive_store": "s3",
    "millrace_dashboard": "true",
    "millrace_fleet": [{"name": "a", "roles": ["archiver", "warehouse"]}],
}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, ""),
        ({"millrace_snowflake_account": ""}, "millrace_snowflake_account is missing: millrace_w"),
        ({"millrace_archive_store": "volume"}, "millrace_archive_store is volume, and Snowflake"),
        (
            {"millrace_fleet": [{"roles": ["dashboard"]}]},
            "millrace_dashboard is true, and millrace_warehouse_engine is snowflake: the dashboard"
            " reads a warehouse of DuckDB, set millrace_dashboard: false",
        ),
        ({"millrace_fleet": [{"roles": ["dashboard"]}], "millrace_dashboard": "false"}, ""),
        ({"millrace_snowflake_settings": "OTHER"}, "millrace_snowflake_settings: write it as {"),
        (
            {"millrace_snowflake_settings": {"snowflake_database": "o-ther"}},
            "millrace_snowflake_settings: snowflake_database: write it with letters",
        ),
        (
            {"millrace_snowflake_settings": {"snowflake_account": "another"}},
            "millrace_snowflake_settings: snowflake_account: it is none of snowflake_database, ",
        ),
        (
            dict.fromkeys(GOOD, "") | {"millrace_warehouse_engine": "duckdb"},
            "",
        ),
    ],
)
def test_what_keeps_a_warehouse_from_snowflake_is_said(changes: dict[str, Any], says: str) -> None:
    lines = FILTERS.snowflake_problems(GOOD | changes)
    assert len(lines) == bool(says)
    assert "".join(lines).startswith(says)


def test_every_check_of_secrets_knows_which_are_needed() -> None:
    asked = [
        path for path in ROOT.glob("playbooks/**/*.yml") if "vault_secrets:" in path.read_text()
    ]
    checks = [path for path in asked if path.name != "secrets.yml"]
    assert len(checks) == 3
    for path in checks:
        assert 'needed: "{{ millrace_secrets_needed }}"' in path.read_text(), path


CONTAINER = """
- service_files:
    path: "{{ shown }}/{{ millrace_warehouse_engine }}/files"
    owner: "{{ uid }}"
    group: "{{ gid }}"
    files: "{{ container_files }}"
- ansible.builtin.copy:
    dest: "{{ shown }}/{{ millrace_warehouse_engine }}/container.json"
    mode: "0600"
    content: >-
      {{ {'environment': container_env, 'networks': container_networks | map(attribute='name'),
          'needed': millrace_secrets_needed} | to_json }}
"""


def test_its_container_is_told_of_snowflake_where_the_warehouse_is_there(
    playbook: Playbook, account: Account, tmp_path: Path
) -> None:
    """By the inventory and its vault, through the roles, up to the container."""
    role = tmp_path / "roles/container/tasks/main.yml"
    role.parent.mkdir(parents=True)
    role.write_text(CONTAINER)
    key = (tmp_path / "admin.pem").read_text()
    block = "".join(f"  {line}\n" for line in key.splitlines())
    vault = VaultLib([("default", VaultSecret(playbook.password.read_bytes()))])
    playbook.vault.write_bytes(vault.encrypt(f"vault_snowflake_private_key: |\n{block}"))
    include = {"ansible.builtin.include_role": {"name": "warehouse"}}
    engines = ("snowflake", "duckdb")
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars_files": [str(ROOT / "playbooks/vars/services.yml"), str(playbook.vault)],
        "tasks": [include | {"vars": {"millrace_warehouse_engine": name}} for name in engines],
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    done = playbook.run(
        str(tmp_path / "play.yml"),
        {"ANSIBLE_ROLES_PATH": f"{tmp_path}/roles:{ROOT}/roles"},
        millrace_snowflake_account="an-account",
        millrace_snowflake_settings={"snowflake_database": "OTHER"},
        millrace_archive_store="s3",
        millrace_region="eu-central-1",
        ec2_owner_id="12",
        millrace_authority="its authority",
        millrace_analytics_image="an-image",
        shown=str(tmp_path),
        uid=os.getuid(),
        gid=os.getgid(),
    )
    assert done.returncode == 0, done.stdout
    there, here = (json.loads((tmp_path / name / "container.json").read_text()) for name in engines)
    own = {
        "MILLRACE_WAREHOUSE_ENGINE": "snowflake",
        "MILLRACE_SNOWFLAKE_ACCOUNT": "an-account",
        "MILLRACE_SNOWFLAKE_DATABASE": "OTHER",
    }
    assert there["environment"] == here["environment"] | own
    assert not own.keys() & here["environment"].keys()
    assert {*there["networks"]} - {*here["networks"]} == {f"{INSTANCE}-edge"}
    assert [*there["needed"]] == ["vault_snowflake_private_key"]
    assert here["needed"] == {}
    file = Settings.model_fields["snowflake_private_key_file"].default.name
    assert (tmp_path / "snowflake/files" / file).read_text() == key
    assert [one.name for one in (tmp_path / "duckdb/files").iterdir()] == ["ca.pem"]


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
