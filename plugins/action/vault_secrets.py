"""Ansible action: check that an inventory's declared secrets are in its vault, or add them.

It opens a whole-file encrypted vault once and reports problems in one line, before any host is
changed. With `generate` it creates the file, or adds missing secrets; existing values are never
changed. Values are never returned, printed or shown in a diff: errors name only the secret and the
file. The vault passwords of the run are used, however they were given to ansible-playbook; a new
file is encrypted with the first of them, as ansible-vault does.

    - name: Check that every secret is there
      vault_secrets:
        path: inventories/local/vault.yml
        generate: true                          # default: a missing secret is an error
        kept: the secret /a of Secrets Manager  # where they are changed, if the file is a copy
        secrets:
          vault_database_password: {kind: password}
          vault_database_keyfile: {kind: base64, length: 567}
          vault_upstream_api_key: {kind: optional, comment: empty = simulated}
          vault_private_key: {kind: optional, form: private_key}
        needed: {vault_private_key: what needs it}   # optional secrets that may not be empty

It returns the names of the secrets that were `added`, and of the optional ones that are `empty`.
It is an action and not a module because a module cannot import ansible.parsing.vault.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import secrets as random
import string
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret, VaultSecretsContext, is_encrypted
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ansible import context, module_utils

# Ansible makes this directory importable for modules only, not for actions.
module_utils.__path__.append(str(Path(__file__).parents[1] / "module_utils"))
from ansible.module_utils import whole_files  # noqa: E402

ALPHABET = string.ascii_letters + string.digits
SHORTEST_PASSWORD = 16
SHORTEST_KEY_BYTES = 32
PLACEHOLDER = re.compile("changeme|replaceme|default|example|password|secret|your|todo|demo")
"""Beginnings of placeholder values, ignoring punctuation and case."""


class VaultError(Exception):
    """A problem with the vault, in one line, without any value."""


@dataclass(frozen=True)
class Secret:
    """A declared secret: the form of its values, and how to generate one."""

    name: str
    kind: str
    length: int = 40
    form: str = ""
    """What its text is: `private_key`, or anything."""
    comment: str = ""

    @classmethod
    def declared(cls, name: str, spec: Any) -> Secret:
        """Read a declaration, and refuse unknown keys."""
        if not isinstance(spec, dict) or spec.get("kind") not in ("password", "base64", "optional"):
            raise VaultError(f"secret {name}: 'kind' must be password, base64 or optional")
        if spec.get("form", "") not in ("", "private_key"):
            raise VaultError(f"secret {name}: 'form' must be private_key")
        if unknown := sorted(set(spec) - {"kind", "length", "form", "comment"}):
            raise VaultError(f"secret {name}: unknown key {', '.join(unknown)}")
        return cls(name, **spec)

    def generate(self) -> str:
        """Generate a value; an optional secret stays empty."""
        if self.kind == "optional":
            return ""
        if self.kind == "base64":
            return base64.b64encode(random.token_bytes(self.length)).decode()
        return "".join(random.choice(ALPHABET) for _ in range(self.length))

    def complaint(self, value: object) -> str | None:
        """Explain why a value cannot be used; otherwise empty."""
        if not isinstance(value, str):
            return "is not text: put it in quotes"
        if self.kind == "optional" and not value:
            return None
        plain = "".join(filter(str.isalnum, value.lower()))
        if PLACEHOLDER.match(plain) or len(set(plain)) < 3:
            return "is a known default or placeholder"
        if self.kind == "password" and len(value) < SHORTEST_PASSWORD:
            return f"is shorter than {SHORTEST_PASSWORD} characters"
        if self.kind == "base64":
            try:
                size = len(base64.b64decode(value, validate=True))
            except binascii.Error:
                return "is not base64"
            if size < SHORTEST_KEY_BYTES:
                return f"is shorter than {SHORTEST_KEY_BYTES} bytes"
        if self.form == "private_key":
            try:
                load_pem_private_key(value.encode(), password=None)
            except (TypeError, ValueError, UnsupportedAlgorithm):
                return "is no private key in PEM without a passphrase, with its lines"
        return None


def is_whole(vault: str) -> bool:
    """Whether the encrypted text is complete: salt, HMAC and whole cipher blocks."""
    try:
        salt, hmac, ciphertext = (
            bytes.fromhex(part)
            for part in bytes.fromhex("".join(vault.split()[1:])).decode().split("\n")
        )
    except ValueError:
        return False
    return len(salt) == len(hmac) == 32 and len(ciphertext) > 0 and len(ciphertext) % 16 == 0


def read(path: Path, vault: VaultLib) -> tuple[str, dict[str, Any], VaultSecret]:
    """Decrypt the vault file: its text, its values and the password that opened it.

    Errors name the source of the passwords.
    """
    encrypted = path.read_text()
    if not is_encrypted(encrypted):
        raise VaultError(f"{path} is not encrypted: run 'ansible-vault encrypt {path}'")
    if not is_whole(encrypted):
        raise VaultError(f"{path} is truncated or damaged: restore it from a backup")
    try:
        plain, _, secret = vault.decrypt_and_get_vault_id(encrypted)
        text = plain.decode()
    except AnsibleError as error:
        opener = " and ".join(
            getattr(secret, "filename", "what was typed") for _, secret in vault.secrets
        )
        raise VaultError(
            f"{path} cannot be decrypted: the vault password, from {opener}, "
            "is not the one it was encrypted with"
        ) from error
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise VaultError(
            f"{path} does not hold YAML once decrypted: run 'ansible-vault edit {path}'"
        ) from error
    if not isinstance(values, dict):
        raise VaultError(f"{path} must hold 'name: value' lines: run 'ansible-vault edit {path}'")
    return text, values, secret


def write(path: Path, text: str, vault: VaultLib, secret: VaultSecret) -> None:
    """Replace the vault file atomically."""
    whole_files.replace(path, vault.encrypt(text, secret=secret))


def with_added(text: str, path: Path, added: list[Secret]) -> str:
    """Append new secrets; existing text, including comments, is not changed."""
    lines = (
        [text.rstrip("\n")] if text else [f"# Change with: ansible-vault edit {path.name}", "---"]
    )
    for secret in added:
        if secret.comment:
            lines.append(f"# {secret.comment}")
        lines.append(f"{secret.name}: {json.dumps(secret.generate())}")
    return "\n".join(lines) + "\n"


def wrong(place: str, change: str, declared: list[Secret], values: dict[str, Any]) -> list[str]:
    """Describe values that cannot be used, in one line if there are any."""
    complaints = [
        f"{secret.name} {complaint}"
        for secret in declared
        if secret.name in values and (complaint := secret.complaint(values[secret.name]))
    ]
    return [f"{place}: {'; '.join(complaints)}. {change}"] if complaints else []


def listing(names: Iterable[str]) -> str:
    """Format names, one per line, for a diff."""
    return "".join(f"{name}\n" for name in sorted(names))


def opened() -> VaultLib:
    """The passwords of this run's vaults."""
    secrets = VaultSecretsContext.current().secrets
    if not secrets:
        raise VaultError(
            "there is no vault password: name its file in ANSIBLE_VAULT_PASSWORD_FILE, or use the"
            " ansible.cfg of this project"
        )
    return VaultLib(secrets=secrets)


def ensure(
    arguments: dict[str, Any],
    vault: VaultLib,
    inventory: str,
    *,
    check_mode: bool,
    warn: Callable[[str], None],
) -> dict[str, Any]:
    """Do what the arguments ask for; return the task's result."""
    path, kept = Path(arguments["path"]), arguments.get("kept") or ""
    place = kept or str(path)
    command = f"ansible-playbook -i {inventory}"
    if kept and not path.exists():
        raise VaultError(f"{path} does not exist: {command} site.yml copies it from {kept}")
    change = "Change it there" if kept else f"Change it with 'ansible-vault edit {path}'"
    declared = [Secret.declared(name, spec) for name, spec in arguments["secrets"].items()]

    text, values, secret = read(path, vault) if path.exists() else ("", {}, vault.secrets[0][1])
    missing = [item for item in declared if item.name not in values]
    required = [item.name for item in missing if item.kind != "optional"]
    lines = []
    if required and not arguments["generate"]:
        found = "lacks" if path.exists() else "does not exist; it must hold"
        advice = "" if kept else f": {command} playbooks/secrets.yml makes what is missing"
        lines.append(f"{place} {found} {', '.join(required)}{advice}")
    if lines := lines + wrong(place, change, declared, values):
        raise VaultError("; ".join(lines))
    for name, why in (arguments.get("needed") or {}).items():
        if not values.get(name):
            raise VaultError(f"{place} lacks {name}, without which there is no {why}. {change}")
    if unknown := sorted(set(values) - {item.name for item in declared}):
        warn(f"{place} holds names that nothing uses (misspelt?): {', '.join(unknown)}")

    added = missing if arguments["generate"] else []
    if added and not check_mode:
        write(path, with_added(text, path, added), vault, secret)
    new = [item.name for item in added]
    optional = [item.name for item in declared if item.kind == "optional"]
    return {
        "changed": bool(added),
        "added": new,
        "empty": [name for name in optional if not values.get(name)],
        "diff": {"before": listing(values), "after": listing({*values, *new})},
    }


class ActionModule(ActionBase):
    """The action that Ansible runs for a task named after this file."""

    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Check the arguments, and turn a problem into a failed task."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "path": {"type": "path", "required": True},
                "secrets": {"type": "dict", "required": True, "no_log": False},
                "needed": {"type": "dict", "default": {}},
                "generate": {"type": "bool", "default": False},
                "kept": {"type": "str", "default": ""},
            }
        )
        try:
            return ensure(
                arguments,
                opened(),
                " -i ".join(map(os.path.relpath, context.CLIARGS["inventory"])),
                check_mode=self._task.check_mode,
                warn=Display().warning,
            )
        except (VaultError, AnsibleError, OSError) as error:
            return {"failed": True, "msg": str(error)}
