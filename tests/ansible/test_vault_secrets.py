"""The secrets of an inventory: generated, completed, checked, and never shown."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

ACTIONS = Path(__file__).parents[2] / "plugins" / "action"
sys.path.insert(0, str(ACTIONS))

import vault_secrets  # noqa: E402 - found through the path above

DECLARED = {
    "vault_password": {"kind": "password"},
    "vault_keyfile": {"kind": "base64", "length": 567},
    "vault_api_key": {"kind": "optional", "comment": "empty = simulated"},
}
PRIVATE_KEY = {"vault_key": {"kind": "optional", "form": "private_key"}}
GOOD = {
    "vault_password": "Zx81-Spectrum-48K-Commodore",
    "vault_keyfile": base64.b64encode(bytes(range(64))).decode(),
}


@dataclass
class Inventory:
    """A directory with a vault password, and the module run against it."""

    directory: Path
    password: str = "one vault password"
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.path = self.directory / "vault.yml"
        self.password_file = self.directory / "password"
        self.password_file.write_text(self.password)

    @property
    def vault(self) -> VaultLib:
        return VaultLib(secrets=[("default", VaultSecret(self.password.encode()))])

    def text(self) -> str:
        return str(self.vault.decrypt(self.path.read_text()).decode())

    def values(self) -> dict[str, Any]:
        return dict(yaml.safe_load(self.text()))

    def encrypt(self, text: str) -> None:
        self.path.write_bytes(self.vault.encrypt(text))

    def run(
        self,
        *,
        generate: bool = False,
        check: bool = False,
        needed: dict[str, str] | None = None,
        **declared: Any,
    ) -> dict[str, Any]:
        arguments = {
            "path": str(self.path),
            "secrets": declared or DECLARED,
            "generate": generate,
            "needed": needed,
        }
        return vault_secrets.ensure(
            arguments, self.vault, "mine", check_mode=check, warn=self.warnings.append
        )

    def problem(self, **declared: Any) -> str:
        """What the module refuses; it must name the file and leave it alone."""
        before = self.path.read_bytes() if self.path.exists() else None
        with pytest.raises(vault_secrets.VaultError) as raised:
            self.run(generate=self.path.exists(), **declared)
        assert str(self.path) in str(raised.value)
        assert (self.path.read_bytes() if self.path.exists() else None) == before
        assert "\n" not in str(raised.value)
        return str(raised.value)


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    return Inventory(tmp_path)


def test_a_first_run_generates_every_secret(inventory: Inventory) -> None:
    result = inventory.run(generate=True)
    values = inventory.values()
    assert list(values) == result["added"] == list(DECLARED)
    assert len(values["vault_password"]) == 40
    assert len(values["vault_keyfile"]) == 756
    assert values["vault_api_key"] == ""
    assert "# empty = simulated\nvault_api_key" in inventory.text()
    assert stat.S_IMODE(inventory.path.stat().st_mode) == 0o600
    assert [path.name for path in inventory.directory.iterdir() if path.name.startswith(".")] == []


def test_a_second_run_changes_nothing(inventory: Inventory) -> None:
    inventory.run(generate=True)
    before = inventory.path.read_bytes()
    assert inventory.run(generate=True)["changed"] is False
    assert inventory.run(generate=False)["changed"] is False
    assert inventory.path.read_bytes() == before


def test_two_inventories_have_different_secrets(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        inventory = Inventory(tmp_path / name)
        inventory.run(generate=True)
        made.append(inventory.values())
    assert made[0]["vault_password"] != made[1]["vault_password"]
    assert made[0]["vault_keyfile"] != made[1]["vault_keyfile"]


def test_missing_secrets_are_added_and_what_is_there_stays(inventory: Inventory) -> None:
    written = f"# mine\nvault_api_key: given\nvault_password: {GOOD['vault_password']}\n"
    inventory.encrypt(written)
    result = inventory.run(generate=True)
    assert result["added"] == ["vault_keyfile"]
    assert inventory.text().startswith(written)
    assert result["empty"] == []


def test_check_mode_writes_nothing_and_says_what_it_would_add(inventory: Inventory) -> None:
    result = inventory.run(generate=True, check=True)
    assert result["changed"] is True
    assert result["added"] == list(DECLARED)
    assert not inventory.path.exists()


def test_no_value_is_in_the_result(inventory: Inventory) -> None:
    result = inventory.run(generate=True)
    shown = json.dumps(result)
    assert result["diff"]["after"].split() == sorted(DECLARED)
    assert not [value for value in inventory.values().values() if value and value in shown]


def test_empty_optional_secrets_are_named(inventory: Inventory) -> None:
    assert inventory.run(generate=True)["empty"] == ["vault_api_key"]


def test_the_wrong_vault_password_is_refused(inventory: Inventory) -> None:
    inventory.run(generate=True)
    inventory.password = "another one"
    assert "vault password" in inventory.problem()


def test_what_opened_a_vault_opens_it_when_secrets_were_added(inventory: Inventory) -> None:
    """Where a run has several passwords, as of other vaults."""
    inventory.encrypt(yaml.safe_dump({"vault_password": GOOD["vault_password"]}))
    first = VaultSecret(b"of another vault")
    vault = VaultLib(secrets=[("default", first), *inventory.vault.secrets])
    arguments = {"path": str(inventory.path), "secrets": DECLARED, "generate": True}
    done = vault_secrets.ensure(arguments, vault, "mine", check_mode=False, warn=print)
    assert done["added"] == ["vault_keyfile", "vault_api_key"]
    assert list(inventory.values()) == list(DECLARED)


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
def test_a_truncated_vault_is_refused(inventory: Inventory, kept: float) -> None:
    inventory.run(generate=True)
    whole = inventory.path.read_bytes()
    inventory.path.write_bytes(whole[: int(len(whole) * kept)])
    problem = inventory.problem()
    assert "truncated" in problem or "not encrypted" in problem


def test_a_vault_that_is_not_encrypted_is_refused(inventory: Inventory) -> None:
    inventory.path.write_text("vault_password: in the clear, for all to read\n")
    assert "not encrypted" in inventory.problem()


@pytest.mark.parametrize("text", ["- a list\n", "{unclosed: [\n"])
def test_a_vault_that_holds_no_names_is_refused(inventory: Inventory, text: str) -> None:
    inventory.encrypt(text)
    assert "ansible-vault edit" in inventory.problem()


def test_missing_secrets_are_named_where_nothing_may_be_generated(inventory: Inventory) -> None:
    """Together with what is wrong with those that are there."""
    inventory.encrypt("vault_keyfile: changeme\n")
    with pytest.raises(vault_secrets.VaultError) as problem:
        inventory.run()
    assert f"{inventory.path} lacks vault_password: " in str(problem.value)
    assert f"; {inventory.path}: vault_keyfile is " in str(problem.value)


def test_a_missing_vault_is_named_where_nothing_may_be_generated(inventory: Inventory) -> None:
    problem = inventory.problem()
    assert "does not exist; it must hold vault_password, vault_keyfile: " in problem
    assert problem.endswith(
        ": ansible-playbook -i mine playbooks/secrets.yml makes what is missing"
    )


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("vault_password", "changeme-changeme-changeme", "placeholder"),
        ("vault_password", "xxxxxxxxxxxxxxxxxxxxxxxx", "placeholder"),
        ("vault_password", "Qw7rT9pLm2", "shorter than 16"),
        ("vault_password", 1234567890123456789, "not text"),
        ("vault_keyfile", "not base64 at all, but long enough for it to be", "not base64"),
        ("vault_keyfile", base64.b64encode(b"brief, but mixed").decode(), "shorter than 32 bytes"),
        ("vault_api_key", "YOUR_API_KEY", "placeholder"),
    ],
)
def test_unusable_values_are_named_and_not_shown(
    inventory: Inventory, name: str, value: object, complaint: str
) -> None:
    inventory.encrypt(yaml.safe_dump({**GOOD, name: value}))
    problem = inventory.problem()
    assert name in problem
    assert complaint in problem
    assert str(value) not in problem


@pytest.fixture(scope="module")
def private_key() -> str:
    return pem(NoEncryption())


def pem(encryption: KeySerializationEncryption) -> str:
    made = ec.generate_private_key(ec.SECP256R1())
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def test_a_private_key_is_read_with_its_lines(inventory: Inventory, private_key: str) -> None:
    inventory.run(generate=True, **PRIVATE_KEY)
    assert inventory.run(**PRIVATE_KEY)["empty"] == ["vault_key"]
    lines = "".join(f"  {line}\n" for line in private_key.splitlines())
    inventory.encrypt(f"vault_key: |\n{lines}")
    assert inventory.run(needed={"vault_key": "it"}, **PRIVATE_KEY)["empty"] == []
    assert inventory.values()["vault_key"] == private_key


@pytest.mark.parametrize("damage", ["text", "escaped", "cut", "passphrase"])
def test_what_is_no_private_key_is_named_and_not_shown(
    inventory: Inventory, private_key: str, damage: str
) -> None:
    value = {
        "text": "a-key-of-another-kind",
        "escaped": private_key.replace("\n", "\\n"),
        "cut": private_key[:100],
        "passphrase": pem(BestAvailableEncryption(b"a passphrase")),
    }[damage]
    inventory.encrypt(yaml.safe_dump({"vault_key": value}))
    problem = inventory.problem(**PRIVATE_KEY)
    assert "vault_key is no private key in PEM without a passphrase, with its lines" in problem
    assert value.split("\n")[1 if "\n" in value else 0] not in problem


def test_an_optional_secret_that_is_needed_is_named_with_what_needs_it(
    inventory: Inventory,
) -> None:
    needed = {"vault_api_key": "upstream: real"}
    for written in ({}, {"vault_api_key": ""}):
        inventory.encrypt(yaml.safe_dump(GOOD | written))
        assert "lacks vault_api_key, without which there is no upstream: real. Change it with" in (
            inventory.problem(needed=needed)
        )


def test_names_that_nothing_uses_are_a_warning(inventory: Inventory) -> None:
    inventory.encrypt(yaml.safe_dump({**GOOD, "vault_metal_api_key": "misspelt"}))
    inventory.run()
    assert "vault_metal_api_key" in inventory.warnings[0]
    assert "misspelt," not in inventory.warnings[0]


@pytest.mark.parametrize(
    "spec",
    [
        {"kind": "pasword"},
        {"kind": "optional", "form": "key"},
        {"kind": "password", "size": 3},
        "password",
    ],
)
def test_a_misspelt_declaration_is_refused(inventory: Inventory, spec: object) -> None:
    with pytest.raises(vault_secrets.VaultError, match="vault_x"):
        inventory.run(vault_x=spec)


def play(inventory: Inventory, *options: str, **arguments: Any) -> subprocess.CompletedProcess[str]:
    """Run the action as Ansible does."""
    arguments = {"path": str(inventory.path), **arguments}
    return subprocess.run(
        [
            Path(sys.executable).with_name("ansible"),
            *(
                "localhost",
                "-i",
                "localhost,",
                "-c",
                "local",
                "-m",
                "vault_secrets",
                "-vvv",
                "--diff",
            ),
            *("-a", json.dumps(arguments)),
            *options,
        ],
        cwd=inventory.directory,
        env={**os.environ, "ANSIBLE_ACTION_PLUGINS": str(ACTIONS)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_ansible_runs_it_and_shows_no_value(inventory: Inventory) -> None:
    password = f"--vault-password-file={inventory.password_file}"
    shown = play(inventory, password, secrets=DECLARED, generate=True)
    assert shown.returncode == 0
    assert "CHANGED" in shown.stdout
    assert not [
        value
        for value in inventory.values().values()
        if value and value in shown.stdout + shown.stderr
    ]


def test_ansible_fails_with_the_line_that_says_what_is_wrong(inventory: Inventory) -> None:
    password = f"--vault-password-file={inventory.password_file}"
    shown = play(inventory, password, secrets=DECLARED)
    assert shown.returncode != 0
    assert "vault.yml does not exist; it must hold vault_password" in shown.stdout


def test_a_run_without_any_vault_password_is_told_how_to_give_one(inventory: Inventory) -> None:
    shown = play(inventory, secrets=DECLARED, generate=True)
    assert shown.returncode != 0
    assert "there is no vault password: name its file in ANSIBLE_VAULT_PASSWORD" in shown.stdout
    assert not inventory.path.exists()
