"""One run at a time changes a host, from whichever machine it comes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import yaml
from tests.ansible.conftest import INSTANCE, ROOT, forget_runs, load, words

module = load(ROOT / "plugins/modules/host_lease.py")
action = load(ROOT / "plugins/action/host_lease.py")

# Runs what it is given where processes have other numbers, as they have on another machine.
ELSEWHERE = '''
from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = """
name: elsewhere
short_description: A machine of its own, as far as its processes
description: [It has the files of this one.]
extends_documentation_fragment: [connection_pipelining]
"""


class Connection(Local):
    transport = "elsewhere"

    def exec_command(self, cmd, in_data=None, sudoable=True):
        return super().exec_command(f"unshare --pid --fork --mount-proc {cmd}", in_data, sudoable)
'''
ANOTHER_MACHINE = ["unshare", "--pid", "--fork", "--mount-proc"]


class Controllers:
    """Runs on one host, of which each calls it by a name of its own: no lock here is shared."""

    def __init__(self, path: Path) -> None:
        """Write down what they run: a change that takes its time if they are told so."""
        self.path, self.lease = path, Path(f"/run/{INSTANCE}.lease")
        (path / "elsewhere.py").write_text(ELSEWHERE)
        # It is renewed each second.
        text = (ROOT / "plugins/action/host_lease.py").read_text()
        (path / "action").mkdir()
        (path / "action/host_lease.py").write_text(text.replace("RENEWED = 60", "RENEWED = 1"))
        begin: dict[str, Any] = {
            "ansible.builtin.import_playbook": f"{ROOT}/playbooks/deploy/begin.yml"
        }
        begin["vars"] = {"begin_changes": True, "begin_needs_hosts": True}
        work = {"hosts": "fleet", "gather_facts": False, "tasks": []}
        touch = {"path": f"{path}/at work", "state": "touch"}
        wait = {"seconds": "{{ seconds | default(0) }}"}
        work["tasks"] = [{"ansible.builtin.file": touch}, {"ansible.builtin.pause": wait}]
        # Its parts meet their own lease.
        (path / "change.yml").write_text(yaml.safe_dump([begin, begin, work]))

    def start(self, name: str, *arguments: str, prefix: list[str] | None = None) -> Any:
        """Begin a run that calls the host by this name."""
        host = {"ansible_connection": "elsewhere", "ansible_python_interpreter": sys.executable}
        inventory = self.path / f"{name}.yml"
        inventory.write_text(yaml.safe_dump({"fleet": {"hosts": {name: host}}}))
        tool = Path(sys.executable).parent / "ansible-playbook"
        return subprocess.Popen(
            [*(prefix or []), tool, "-i", inventory, "-e", f"millrace_instance={INSTANCE}",
             *arguments, self.path / "change.yml"],
            cwd=ROOT,
            env=os.environ
            | {
                "ANSIBLE_CONNECTION_PLUGINS": str(self.path),
                "ANSIBLE_ACTION_PLUGINS": f"{self.path}/action:{ROOT}/plugins/action",
                "ANSIBLE_NOCOLOR": "1",
            },
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, *arguments: str, prefix: list[str] | None = None) -> tuple[int, str]:
        """Run to the end: the status, and what was said."""
        with self.start("second", *arguments, prefix=prefix) as run:
            said, _ = run.communicate(timeout=120)
        return run.returncode, words(said)

    @property
    def is_at_work(self) -> bool:
        """Whether a run has come to its change."""
        return (self.path / "at work").exists()

    @property
    def held_until(self) -> float:
        """When the lease runs out; 0 where there is none, or it is being written."""
        text = self.lease.read_text()
        return float(json.loads(text)["until"]) if text else 0

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for it, for a minute at most."""
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.1)


@pytest.fixture
def controllers(tmp_path: Path) -> Iterator[Controllers]:
    made = Controllers(tmp_path)
    yield made
    forget_runs()


def test_another_machine_is_kept_out_until_the_run_has_ended_even_by_force(
    controllers: Controllers,
) -> None:
    first = controllers.start("first", "-e", "seconds=240")
    try:
        controllers.until(lambda: first.poll() is not None or controllers.is_at_work)
        before = controllers.held_until
        status, said = controllers.run(prefix=ANOTHER_MACHINE)
        assert status == 2
        assert "changed=0" in said
        assert f"change.yml on this instance since 20{said.split('since 20')[1][:2]}" in said
        assert f"(process {first.pid}): run this again when that has ended. If that machine" in said
        # So it is on this machine, where another inventory calls the host by another name.
        assert controllers.run()[0] == 2
        # What changes nothing runs beside it.
        assert controllers.run("--check", prefix=ANOTHER_MACHINE)[0] == 0
        controllers.until(lambda: controllers.held_until > before)
    finally:
        # What it is about would go on without it.
        at_work = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
        first.send_signal(signal.SIGKILL)
        for process in map(int, at_work):
            os.kill(process, signal.SIGKILL)
        # Its keeper holds nothing that it writes to.
        first.communicate(timeout=60)
    controllers.until(lambda: controllers.lease.read_text() == "")
    status, said = controllers.run(prefix=ANOTHER_MACHINE)
    assert status == 0
    assert "failed=0" in said
    # It waits for that: it was the first process there, with which all end.
    assert controllers.lease.read_text() == ""


def test_a_run_that_was_killed_with_all_its_processes_blocks_only_other_machines(
    controllers: Controllers,
) -> None:
    ended = action.described(os.getpid(), ["site.yml"]) | {"started": 1}
    until = time.clock_gettime(time.CLOCK_BOOTTIME) + 60
    controllers.lease.write_text(json.dumps({"run": ended, "until": until}))
    status, said = controllers.run(prefix=ANOTHER_MACHINE)
    assert status == 2
    assert "the host is free 5 minutes after it" in said
    assert controllers.run()[0] == 0


@pytest.mark.parametrize(
    ("needs_hosts", "status", "says"),
    [(True, 4, "The run ended because of this: away: Lease the hosts"),
     (False, 0, "unreachable=0")],
)  # fmt: skip
def test_a_host_that_is_away_is_nobodys_where_hosts_may_be_away(
    tmp_path: Path, needs_hosts: bool, status: int, says: str
) -> None:
    host = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_connection": "ssh"}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"fleet": {"hosts": {"away": host}}}))
    begin: dict[str, Any] = {
        "ansible.builtin.import_playbook": f"{ROOT}/playbooks/deploy/begin.yml"
    }
    begin["vars"] = {"begin_changes": True, "begin_needs_hosts": needs_hosts}
    work = {"hosts": "fleet", "gather_facts": False, "tasks": [{"ansible.builtin.debug": {}}]}
    (tmp_path / "change.yml").write_text(yaml.safe_dump([begin, work]))
    tool = Path(sys.executable).parent / "ansible-playbook"
    done = subprocess.run(
        [tool, "-i", tmp_path / "hosts.yml", "-e", f"millrace_instance={INSTANCE}",
         tmp_path / "change.yml"],
        cwd=ROOT, env=os.environ | {"ANSIBLE_NOCOLOR": "1"}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stdout
    assert says in words(done.stdout)
    forget_runs()


def a_run(process: int = 1, of: str = "elsewhere") -> dict[str, Any]:
    return {"process": process, "started": 2, "processes_of": of, "since": str(process)}


def test_a_lease_is_renewed_by_its_run_and_runs_out_for_others(tmp_path: Path) -> None:
    path, mine, other = tmp_path / "lease", a_run(1), a_run(2)
    assert module.ask(path, mine, 300, now=0) is None
    assert module.ask(path, mine | {"since": "later"}, 300, now=200) is None
    assert module.ask(path, other, 300, now=499) == mine
    # It cannot be ended by another one either.
    assert module.ask(path, other, 0, now=499) == mine
    assert module.ask(path, other, 300, now=500) is None
    assert module.ask(path, mine, 300, now=501) == other
    assert module.ask(path, mine, 0, now=501) == other
    assert module.ask(path, other, 0, now=501) is None
    assert path.read_text() == ""
    assert module.ask(path, mine, 300, now=501) is None


def test_a_run_on_the_host_itself_has_it_while_its_process_lives(tmp_path: Path) -> None:
    path, here = tmp_path / "lease", action.described(os.getpid(), ["site.yml"])
    assert module.ask(path, here, 300, now=0) is None
    assert module.ask(path, a_run(), 300, now=10_000) == here
    path.write_text(json.dumps({"run": here | {"started": 1}, "until": 300}))
    assert module.ask(path, a_run(), 300, now=0) is None


def test_a_lease_that_was_cut_short_is_nobodys(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    path.write_text('{"run": {')
    assert module.ask(path, a_run(), 300, now=0) is None


def test_it_is_renewed_while_the_run_lasts_though_a_host_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, done, stop = count(step=25), [], Event()
    monkeypatch.setattr(action, "is_running", lambda _: len(done) < 3)
    monkeypatch.setattr(action.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(stop, "wait", lambda _: False)

    def renew() -> None:
        done.append("renewed")
        raise OSError("no answer")

    action.keep(a_run(), stop, renew, lambda: done.append("ended"))
    assert done == ["renewed", "renewed", "renewed", "ended"]
