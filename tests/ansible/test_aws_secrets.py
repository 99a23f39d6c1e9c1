"""Secrets that are kept on AWS come into a local encrypted file, and into nothing else."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import boto3
import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from moto import mock_aws
from tests.ansible.conftest import ROOT

sys.path.insert(0, str(ROOT / "plugins" / "action"))

import aws_secrets
import vault_secrets

REGION = "us-east-1"
NAME = "/millrace/deployment"
VAULT = VaultLib(secrets=[("default", VaultSecret(b"a vault password"))])
VALUES = {"vault_a": "one value of a secret", "vault_b": "another: value\nof lines\n"}


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield


def arguments(directory: Path, source: str) -> dict[str, Any]:
    directory.mkdir(exist_ok=True)
    path = directory / "state" / "secrets.yml"
    settings = {"source": source, "name": NAME, "region": REGION}
    return settings | {"path": str(path)}


def put(
    source: str, kind: str = "SecureString", values: Mapping[str, str] = MappingProxyType(VALUES)
) -> None:
    if source == "secretsmanager":
        client = boto3.client("secretsmanager", region_name=REGION)
        client.create_secret(Name=NAME, SecretString=json.dumps(dict(values)))
    else:
        client = boto3.client("ssm", region_name=REGION)
        for name, value in values.items():
            client.put_parameter(Name=f"{NAME}/{name}", Value=value, Type=kind)


@pytest.mark.parametrize("source", ["secretsmanager", "ssm"])
def test_they_are_copied_encrypted_and_only_when_they_differ(tmp_path: Path, source: str) -> None:
    put(source)
    asked = arguments(tmp_path, source)
    assert aws_secrets.ensure(asked, VAULT, check_mode=True) is True
    path = Path(asked["path"])
    assert not path.exists()
    assert aws_secrets.ensure(asked, VAULT, check_mode=False) is True
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    text = path.read_text()
    assert not any(value in text for value in VALUES.values())
    assert yaml.safe_load(VAULT.decrypt(text)) == VALUES
    assert aws_secrets.ensure(asked, VAULT, check_mode=False) is False
    assert path.read_text() == text


@pytest.mark.parametrize("source", ["secretsmanager", "ssm"])
def test_where_there_are_none_it_says_where_they_should_be(tmp_path: Path, source: str) -> None:
    with pytest.raises(aws_secrets.SourceError, match=f"{NAME}: make"):
        aws_secrets.ensure(arguments(tmp_path, source), VAULT, check_mode=False)


def test_parameters_that_anybody_can_read_are_refused(tmp_path: Path) -> None:
    put("ssm", kind="String")
    with pytest.raises(aws_secrets.SourceError, match=r"type SecureString: .*vault_a") as error:
        aws_secrets.ensure(arguments(tmp_path, "ssm"), VAULT, check_mode=False)
    assert VALUES["vault_a"] not in str(error.value)


@pytest.mark.parametrize("text", ["no json", "[1]"])
def test_a_secret_that_is_no_object_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    client = boto3.client("secretsmanager", region_name=REGION)
    client.create_secret(Name=NAME, SecretString=text)
    with pytest.raises(aws_secrets.SourceError, match="must be a JSON object") as error:
        aws_secrets.ensure(arguments(tmp_path, "secretsmanager"), VAULT, check_mode=False)
    assert text not in str(error.value)


def test_a_misspelt_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(aws_secrets.SourceError, match="one of vault, secretsmanager, ssm"):
        aws_secrets.ensure(arguments(tmp_path, "secretmanager"), VAULT, check_mode=False)


def test_a_secret_that_is_optional_may_be_absent_wherever_they_are_kept(tmp_path: Path) -> None:
    """Exactly the required ones are taken, and what plays read of the others has a default."""
    shared = yaml.safe_load((ROOT / "inventories" / "shared" / "secrets.yml").read_text())
    declared = shared["millrace_secrets"]
    optional = [name for name, spec in declared.items() if spec["kind"] == "optional"]
    value = {"password": "an unguessable value", "base64": "ABCDEFGH" * 8}
    required = {name: value[x["kind"]] for name, x in declared.items() if name not in optional}
    for source in ("secretsmanager", "ssm"):
        put(source, values=required)
        asked = arguments(tmp_path / source, source)
        assert aws_secrets.ensure(asked, VAULT, check_mode=False) is True
        checked = {"secrets": declared, "generate": False, "kept": "the place there"}
        asked["path"], copy = str(tmp_path / "no copy"), asked["path"]
        with pytest.raises(
            vault_secrets.VaultError, match="no copy does not exist: ansible-playbo"
        ):
            vault_secrets.ensure(asked | checked, VAULT, "mine", check_mode=True, warn=print)
        asked["path"] = copy
        found = vault_secrets.ensure(asked | checked, VAULT, "mine", check_mode=False, warn=print)
        assert (found["added"], found["empty"]) == ([], optional)

    read = re.compile(rf"\b({'|'.join(optional)})\b(.{{0,14}})")
    playbooks = "".join(path.read_text() for path in (ROOT / "playbooks").rglob("*.yml"))
    after = [rest for _, rest in read.findall(playbooks)]
    assert len(after) == len(optional)
    assert {rest.split("(")[0] for rest in after} == {" | default"}
