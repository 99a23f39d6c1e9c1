"""Ansible action: copy secrets from AWS into a local vault file.

The plays always read secrets from one encrypted file. This action reads them from AWS Secrets
Manager (one secret with all of them as JSON) or from SSM (one SecureString each, below a path), and
replaces the file if they differ. Values are never returned, printed or shown.

    - name: Copy the secrets from AWS into the vault
      aws_secrets:
        source: secretsmanager
        name: /millrace/deployment
        region: us-east-1
        path: .millrace/millrace-us-east-1/secrets.yml
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import yaml
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecretsContext
from ansible.plugins.action import ActionBase
from botocore.exceptions import BotoCoreError, ClientError

from ansible import module_utils

# Ansible makes this directory importable for modules only, not for actions.
module_utils.__path__.append(str(Path(__file__).parents[1] / "module_utils"))
from ansible.module_utils import whole_files  # noqa: E402


class SourceError(Exception):
    """A problem, in one line, without any value."""


def from_secrets_manager(name: str, region: str) -> dict[str, str]:
    """Read one secret that holds all of them."""
    client = boto3.client("secretsmanager", region_name=region)
    try:
        text = client.get_secret_value(SecretId=name)["SecretString"]
        values = json.loads(text)
    except client.exceptions.ResourceNotFoundException as error:
        raise SourceError(f"Secrets Manager of {region} has no secret {name}: make it") from error
    except (ValueError, KeyError) as error:
        raise SourceError(f"the secret {name} of Secrets Manager must be a JSON object") from error
    if not isinstance(values, dict):
        raise SourceError(f"the secret {name} of Secrets Manager must be a JSON object")
    return values


def from_ssm(name: str, region: str) -> dict[str, str]:
    """Read all parameters below a path; the last part of their names is the secret's name."""
    client = boto3.client("ssm", region_name=region)
    pages = client.get_paginator("get_parameters_by_path").paginate(Path=name, WithDecryption=True)
    found = [item for page in pages for item in page["Parameters"]]
    if plain := [item["Name"] for item in found if item["Type"] != "SecureString"]:
        raise SourceError(
            f"not of type SecureString: {', '.join(plain)}: create them with that type"
        )
    if not found:
        raise SourceError(f"Systems Manager of {region} has no parameters below {name}: make them")
    return {item["Name"].rsplit("/", 1)[1]: item["Value"] for item in found}


SOURCES = {"secretsmanager": from_secrets_manager, "ssm": from_ssm}


def present(path: Path, vault: VaultLib) -> Any:
    """The values in the file; nothing if it cannot be read, because it is only a copy."""
    try:
        return yaml.safe_load(vault.decrypt(path.read_text()))
    except (OSError, AnsibleError, yaml.YAMLError):
        return None


def write(path: Path, text: str, vault: VaultLib) -> None:
    """Replace the file atomically."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    whole_files.replace(path, vault.encrypt(text, secret=vault.secrets[0][1]))


def ensure(arguments: dict[str, Any], vault: VaultLib, *, check_mode: bool) -> bool:
    """Update the file; return whether it changed."""
    if arguments["source"] not in SOURCES:
        names = ", ".join(["vault", *SOURCES])
        raise SourceError(f"millrace_secrets_source is {arguments['source']}: it is one of {names}")
    path = Path(arguments["path"])
    values = SOURCES[arguments["source"]](arguments["name"], arguments["region"])
    if present(path, vault) == values:
        return False
    if not check_mode:
        write(path, yaml.safe_dump(values), vault)
    return True


class ActionModule(ActionBase):
    """The action that Ansible runs for a task named after this file."""

    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Turn a problem into a failed task."""
        super().run(tmp, task_vars)
        names = ("source", "name", "region", "path")
        spec = {name: {"type": "str", "required": True, "no_log": False} for name in names}
        _, arguments = self.validate_argument_spec(spec)
        try:
            vault = VaultLib(secrets=VaultSecretsContext.current().secrets)
            if not vault.secrets:
                raise SourceError(
                    "there is no vault password to encrypt a copy of the secrets with"
                )
            return {"changed": ensure(arguments, vault, check_mode=self._task.check_mode)}
        except SourceError as error:
            return {"failed": True, "msg": str(error)}
        except (AnsibleError, BotoCoreError, ClientError, OSError) as error:
            return {"failed": True, "msg": f"the secrets cannot be read: {error}"}
