#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: runs statements in Snowflake that a query does not find to have been run."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

DOCUMENTATION = r"""
module: snowflake_setup
short_description: Runs statements that set an account of Snowflake up, unless they have been run
description:
  - Speaks the SQL API, with a key pair.
  - Asks the query first. If its answer has the digest of the statements, nothing else is done.
options:
  account:
    description: Identifier of the account, such as organisation-account.
    type: str
    required: true
  user:
    description: User with the role ACCOUNTADMIN.
    type: str
    required: true
  private_key_file:
    description: File with the user's private key, in PEM without a passphrase.
    type: path
    required: true
  endpoint:
    description: URL of the account; empty, that of the identifier.
    type: str
    default: ''
  query:
    description: Query whose answer has the digest if the statements have been run.
    type: str
    required: true
  statements:
    description: What is run otherwise, in this order. It can be repeated.
    type: list
    elements: str
    required: true
  digest:
    description: Digest of the statements.
    type: str
    required: true
extends_documentation_fragment:
  - millrace
"""

EXAMPLES = r"""
- name: Create the database
  snowflake_setup:
    account: organisation-account
    user: ADMIN
    private_key_file: admin_key.pem
    query: SHOW DATABASES LIKE 'MILLRACE'
    statements: [CREATE DATABASE IF NOT EXISTS MILLRACE COMMENT = 'd1']
    digest: d1
"""

RETURN = r"""
rows:
  description: The query's answer, in the end.
  type: list
  returned: always
"""

ROLE = "ACCOUNTADMIN"
SECONDS = 120
"""Of an answer. The API itself answers after 45 at the latest."""
TOKEN_SECONDS = 1800
NOT_THERE = ("002003", "002043")


class Refused(Exception):
    """Snowflake does not do something."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {' '.join(message.split())[:300]}")
        self.code = code


def token(account: str, user: str, key: Any, now: float) -> str:
    """A signed assertion of who asks, as the API wants it."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    fingerprint = base64.b64encode(hashlib.sha256(public).digest()).decode()
    name = f"{account.partition('.')[0]}.{user}".upper()
    claims = {
        "iss": f"{name}.SHA256:{fingerprint}",
        "sub": name,
        "iat": int(now),
        "exp": int(now) + TOKEN_SECONDS,
    }
    parts = [{"alg": "RS256", "typ": "JWT"}, claims]
    signed = b".".join(_encoded(json.dumps(part).encode()) for part in parts)
    return b".".join([signed, _encoded(key.sign(signed, PKCS1v15(), SHA256()))]).decode()


def _encoded(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def ask(endpoint: str, bearer: str, statement: str) -> list[list[Any]]:
    """Run a statement and return its rows. Raises Refused."""
    headers = {
        "Authorization": f"Bearer {bearer}",
        "X-Snowflake-Authorization-Token-Type": "KEYPAIR_JWT",
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    # A request is a session: USE ROLE would end with it.
    body = json.dumps({"statement": statement, "role": ROLE})
    url = f"{endpoint}/api/v2/statements"
    try:
        answer = open_url(url, data=body, headers=headers, method="POST", timeout=SECONDS)
        status, text = answer.getcode(), answer.read()
    except HTTPError as error:
        status, text = error.code, error.read()
    except (URLError, OSError) as error:
        raise Refused("unreachable", f"{endpoint} does not answer: {error}") from error
    try:
        said = json.loads(text)
    except ValueError:
        said = {}
    if status != 200:
        raise Refused(str(said.get("code", status)), str(said.get("message", "no reason")))
    return list(said.get("data") or [])


def main() -> None:
    """Run the module."""
    text = {"type": "str", "required": True}
    module = AnsibleModule(
        argument_spec={
            "account": text,
            "user": text,
            "private_key_file": {"type": "path", "required": True, "no_log": False},
            "endpoint": {"type": "str", "default": ""},
            "query": text,
            "statements": {"type": "list", "elements": "str", "required": True},
            "digest": text,
        },
        supports_check_mode=True,
    )
    given = module.params
    endpoint = given["endpoint"] or f"https://{given['account']}.snowflakecomputing.com"
    try:
        bearer = token(
            given["account"], given["user"], _key(given["private_key_file"]), time.time()
        )
    except (OSError, ValueError, TypeError) as error:
        module.fail_json(f"cannot use the private key {given['private_key_file']}: {error}")
    statement = given["query"]
    rows: list[list[Any]] = []
    try:
        try:
            rows = ask(endpoint, bearer, statement)
        except Refused as error:
            if error.code not in NOT_THERE:
                raise
        changed = not any(given["digest"] in str(value) for row in rows for value in row)
        if changed and not module.check_mode:
            for statement in given["statements"]:
                ask(endpoint, bearer, statement)
            statement = given["query"]
            rows = ask(endpoint, bearer, statement)
    except Refused as error:
        module.fail_json(f"Snowflake refuses `{statement[:100]}`: {error}")
    module.exit_json(changed=changed, rows=rows)


def _key(path: str) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(Path(path).read_bytes(), password=None)


if __name__ == "__main__":
    main()
