"""What is in front of every playbook: hosts are there, and nobody else changes the instance."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.ansible.conftest import (
    INSTANCE,
    ROOT,
    Playbook,
    ansible_playbook,
    forget_runs,
    load,
    words,
)

PLAYBOOKS = {
    path.stem: path
    for folder in ("playbooks", "playbooks/deploy")
    for path in sorted((ROOT / folder).glob("*.yml"))
}
# Where it is no error that there are no hosts.
WITHOUT_HOSTS = {
    "aws_teardown",
    "expire",
    "plan",
    "provision",
    "secrets",
    "snowflake",
    "start",
    "stop",
    "teardown",
}
CHANGES_NOTHING = {
    "plan", "status", "verify", "verify_kafka", "verify_mongo", "verify_processor",
    "verify_workflow",
}  # fmt: skip
FLEET = [
    {"name": "kafka-1", "roles": ["kafka"]},
    {"name": "rest-1", "roles": ["redis", "processor"]},
]
declared = load(ROOT / "plugins/action/hosts_declared.py")
lock = load(ROOT / "plugins/action/run_lock.py")


@pytest.mark.parametrize("name", PLAYBOOKS.keys() - {"begin"})
def test_every_playbook_begins_with_it(name: str) -> None:
    first = yaml.safe_load(PLAYBOOKS[name].read_text())[0]
    begin = PLAYBOOKS[name].parent / first["ansible.builtin.import_playbook"]
    assert begin == PLAYBOOKS["begin"]
    assert first["vars"]["begin_needs_hosts"] is (name not in WITHOUT_HOSTS)
    assert (first["vars"]["begin_changes"] is False) is (name in CHANGES_NOTHING)


@pytest.mark.parametrize("name", PLAYBOOKS.keys() - {"begin"})
def test_a_playbook_that_reads_secrets_begins_with_a_look_at_them(name: str) -> None:
    first, *plays = yaml.safe_load(PLAYBOOKS[name].read_text())
    reads = any("millrace_vault_file" in str(play.get("vars_files")) for play in plays)
    assert first["vars"].get("begin_needs_secrets", False) is (reads or name == "reset_mongodb")


# Those of either folder: the test before this one compares all of them.
@pytest.mark.parametrize("name", ["kafka", "producers"])
def test_a_part_says_what_makes_the_secrets_that_it_lacks(playbook: Playbook, name: str) -> None:
    done = playbook.run(str(PLAYBOOKS[name].relative_to(ROOT)))
    assert done.returncode == 2
    last = words(done.stdout.rpartition("The run ended because of this:")[2])
    assert f"{playbook.vault} does not exist; it must hold vault_ca_passphrase, vault_kafka" in last
    assert last.endswith(
        ": ansible-playbook -i inventories/local playbooks/secrets.yml makes what is missing"
    )
    assert "changed=0" in done.stdout


@pytest.mark.parametrize("name", ["site.yml", "teardown.yml"])
def test_the_table_of_contents_holds_nothing_else(name: str) -> None:
    for entry in yaml.safe_load((ROOT / name).read_text()):
        part = entry["ansible.builtin.import_playbook"]
        assert part.startswith("playbooks/")
        if name == "site.yml":
            assert entry["tags"] == [Path(part).stem]


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ({}, "kafka-1, rest-1 of millrace_fleet not found (0 of 2 hosts are running): "),
        (
            {"fleet": ["rest-1"]},
            "kafka-1 of millrace_fleet not found (1 of 2 hosts are running): "
            "ansible-playbook -i mine playbooks/start.yml starts",
        ),
        (
            {"fleet": ["kafka-1", "rest-1"], "kafka": ["kafka-1"], "processor": ["rest-1"]},
            "rest-1 is not yet in the group redis: ansible-playbook -i mine site.yml",
        ),
    ],
)
def test_what_is_declared_and_not_there_is_named(groups: dict[str, list[str]], says: str) -> None:
    assert declared.problem(FLEET, groups, "mine").startswith(says)


@pytest.mark.parametrize(
    "fleet",
    [None, "kafka-1", {"name": "kafka-1"}, ["kafka-1"], [{"roles": []}], [{"name": "kafka-1"}],
     [{"name": "kafka-1", "roles": "kafka"}]],
)  # fmt: skip
def test_a_fleet_that_is_none_is_said_to_be_that(fleet: Any) -> None:
    said = declared.problem(fleet, {"fleet": ["kafka-1"]}, "mine")
    assert said.startswith("millrace_fleet is no list of hosts, each with a name and a list of")
    assert said.endswith("ansible-playbook -i mine playbooks/plan.yml says what is wrong")


def test_all_that_is_declared_is_there() -> None:
    groups = {
        "fleet": ["kafka-1", "rest-1"], "kafka": ["kafka-1"], "redis": ["rest-1"],
        "processor": ["rest-1"],
    }  # fmt: skip
    assert declared.problem(FLEET, groups, "mine") == ""
    # An inventory of one's own declares its hosts by naming them.
    assert declared.problem([], groups, "mine") == ""
    assert "put each of them there" in declared.problem([], {"fleet": []}, "mine")


@pytest.mark.parametrize("name", ["site.yml", "playbooks/status.yml", "playbooks/deploy/kafka.yml"])
def test_stopped_hosts_are_an_error_and_not_a_success(playbook: Playbook, name: str) -> None:
    done = playbook.run(name, millrace_fleet=FLEET)
    assert done.returncode == 2
    last = words(done.stdout.rpartition("The run ended because of this:")[2])
    assert last.startswith("localhost: Check that declared hosts exist kafka-1, rest-1 of")
    assert "playbooks/start.yml starts hosts that were stopped" in last
    assert "changed=0" in done.stdout
    assert not playbook.vault.exists()


@pytest.mark.parametrize(
    ("stray", "says"),
    [
        ("more.yml", ""),
        (
            "notes",
            "/notes is no inventory, and a part that cannot be read is an error: move it out",
        ),
        ("hosts.yml.new", "/hosts.yml.new is no inventory, and a part that cannot be read is an"),
    ],
)
def test_a_part_of_an_inventory_that_cannot_be_read_is_an_error(
    tmp_path: Path, stray: str, says: str
) -> None:
    (tmp_path / "hosts.yml").write_text("fleet: {hosts: {localhost: {ansible_connection: local}}}")
    (tmp_path / stray).write_text("fleet: [")
    done = ansible_playbook("-i", tmp_path, "playbooks/status.yml")
    assert done.returncode != 0
    assert "PLAY" not in done.stdout
    assert f"{tmp_path}/{stray}" in done.stderr
    assert says in words(done.stderr)


def test_what_editors_and_people_leave_is_no_part_of_an_inventory(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("fleet: {hosts: {one: {}}}")
    for name in (
        "hosts.yml~", "hosts.yml.bak", "hosts.yml.orig", "hosts.yml.save", "#hosts.yml#",
        ".#hosts.yml", ".hosts.yml.swp", "hosts.swo", "README", "README.md", "run.log",
    ):  # fmt: skip
        (tmp_path / name).write_text("fleet: [")
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-inventory", "-i", tmp_path, "--graph"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--one" in done.stdout


def test_variables_that_are_not_there_are_what_is_said_and_not_the_inventory() -> None:
    done = ansible_playbook("-e@nosuch.yml", "playbooks/status.yml")
    assert done.returncode != 0
    assert "Could not find or access" in done.stderr
    assert "no root 'plugin' key" not in done.stderr


@pytest.fixture
def lock_file() -> Iterator[Path]:
    yield lock.DIRECTORY / f"millrace-{INSTANCE}-localhost"
    forget_runs()


def arguments(path: Path, *more: str) -> list[str]:
    variables = json.dumps({"millrace_instance": INSTANCE, "directory": str(path)})
    return [f"--extra-vars={variables}", *more, str(path / "change.yml")]


def test_a_second_run_says_who_runs_and_a_killed_one_holds_nothing(
    tmp_path: Path, lock_file: Path
) -> None:
    begin = {"ansible.builtin.import_playbook": str(PLAYBOOKS["begin"])}
    begin["vars"] = {"begin_changes": True, "begin_needs_hosts": True}
    work: dict[str, Any] = {"hosts": "localhost", "tasks": []}
    work["tasks"].append(
        {"ansible.builtin.file": {"path": "{{ directory }}/at work", "state": "touch"}}
    )
    wait = {"hosts": "localhost", "tasks": [{"ansible.builtin.pause": {"seconds": 60}}]}
    # Twice, as parts of a run do: it meets its own lock.
    (tmp_path / "change.yml").write_text(yaml.safe_dump([begin, work, begin, wait]))
    first = subprocess.Popen(
        [Path(sys.executable).parent / "ansible-playbook", *arguments(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        end = time.monotonic() + 60
        while not (tmp_path / "at work").exists():
            assert first.poll() is None
            assert time.monotonic() < end
            time.sleep(0.1)

        (tmp_path / "change.yml").write_text(yaml.safe_dump([begin, work]))
        second = ansible_playbook(*arguments(tmp_path))
        assert second.returncode == 2
        said = words(second.stdout.rpartition("The run ended because of this:")[2])
        assert f"(process {first.pid}): run this again when that has ended" in said
        assert "change.yml on this instance since 20" in said
        assert "changed=0" in second.stdout
        # What changes nothing runs beside it.
        assert ansible_playbook(*arguments(tmp_path, "--check")).returncode == 0
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate(timeout=60)
    assert ansible_playbook(*arguments(tmp_path)).returncode == 0
    assert json.loads(lock_file.read_text())["process"] != first.pid


@pytest.mark.parametrize(
    "written", ["", "{", "[]", '{"process": 1}', '{"process": 1, "started": 0}']
)
def test_what_nobody_holds_can_be_taken(tmp_path: Path, written: str) -> None:
    path = tmp_path / "lock"
    path.write_text(written)
    assert lock.taken(path, lock.described(os.getpid(), ["site.yml"])) is None
    assert json.loads(path.read_text())["process"] == os.getpid()


def test_a_link_that_somebody_put_there_is_not_followed(tmp_path: Path) -> None:
    """Every user may write into the directory, and the run is root's."""
    theirs = tmp_path / "theirs"
    theirs.write_text("not a lock")
    (tmp_path / "lock").symlink_to(theirs)
    with pytest.raises(OSError, match="symbolic links"):
        lock.taken(tmp_path / "lock", lock.described(os.getpid(), ["site.yml"]))
    assert theirs.read_text() == "not a lock"
