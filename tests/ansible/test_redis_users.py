"""What the users of Redis may do: what is listed by name. Passwords stay on the controller."""

from __future__ import annotations

import hashlib
import re

import pytest
import yaml
from jinja2 import Environment
from tests.ansible.conftest import ROOT

DECLARED = yaml.safe_load((ROOT / "inventories/shared/redis.yml").read_text())
USERS = {user["name"]: user for user in DECLARED["redis_users"]}
WRITING = {"set", "hset", "pexpire", "evalsha", "script|load"}


def jinja() -> Environment:
    """As Ansible renders a template."""
    environment = Environment(autoescape=False, trim_blocks=True, keep_trailing_newline=True)
    environment.filters["hash"] = lambda text, kind: hashlib.new(kind, text.encode()).hexdigest()
    return environment


def rules(name: str) -> list[str]:
    text = jinja().from_string(USERS[name]["rules"])
    return text.render(__redis_reader=DECLARED["__redis_reader"].strip()).split()


@pytest.mark.parametrize("name", USERS)
def test_each_command_and_each_kind_of_key_is_named(name: str) -> None:
    for rule in rules(name):
        assert re.fullmatch(r"\+[a-z|]+|(%R)?~(last_price|last_quote|millrace):\*", rule), rule


def test_the_processor_alone_writes() -> None:
    assert {name for name in USERS if {f"+{word}" for word in WRITING} & {*rules(name)}} == {
        "processor"
    }
    readers = USERS.keys() - {"processor"}
    assert readers == {"api", "operator"}
    for name in readers:
        assert all(rule.startswith(("+", "%R~")) for rule in rules(name))


def test_a_password_is_written_as_its_hash_and_nobody_is_the_default_user() -> None:
    template = (ROOT / "roles/redis/templates/users.acl.j2").read_text()
    users = [{"name": "one", "password": "secret", "rules": "~a:* +get"}]
    lines = jinja().from_string(template).render(redis_users=users).splitlines()
    digest = hashlib.sha256(b"secret").hexdigest()
    assert lines == [
        "user default reset off ~* &* +@all",
        f"user one reset on #{digest} ~a:* +get",
    ]
