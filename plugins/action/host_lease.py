"""Ansible action: allow one run at a time to change a host, from any controller.

The module of this name stores on the host which run has it; a lease lasts some minutes. A process
beside ansible-playbook, the keeper, renews it. The keeper ends the lease when the callback of this
name tells it to at the end of the run, or when the run's process is gone. If the machine with both
is lost, the lease expires. A run on the host itself needs no keeper: its process is visible.

    - name: Lease the hosts
      host_lease:
        name: millrace
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible import context, module_utils

# Ansible makes this directory importable for modules only, not for actions.
module_utils.__path__.append(str(Path(__file__).parents[1] / "module_utils"))
from ansible.module_utils.runs import (  # noqa: E402
    Run,
    described,
    has_ended,
    is_running,
    is_same,
    sentence,
)

SECONDS = 300
"""Duration of a lease after its last renewal."""
RENEWED = 60
"""Seconds between renewals."""
ANSWER = 60
"""Seconds that a host has to answer a renewal."""

Result = dict[str, Any]


class Silence:
    """Discards output, because the queue to the display ends with the run."""

    def send_display(self, *_: Any, **__: Any) -> None:
        """Discard the message."""


def late(*_: Any) -> None:
    """End a request that a host does not answer."""
    raise TimeoutError


def attempt(work: Callable[[], object]) -> None:
    """Send a request; on a timeout or an error, a later one renews the lease, or it expires."""
    signal.alarm(ANSWER)
    with suppress(Exception):
        work()
    signal.alarm(0)


def keep(run: Run, stop: Event, renew: Callable[[], object], release: Callable[[], object]) -> None:
    """Renew a lease until its run ends or asks for the end, then end it."""
    due = time.monotonic() + RENEWED
    while is_running(run) and not stop.wait(0.2):
        if time.monotonic() >= due:
            attempt(renew)
            due = time.monotonic() + RENEWED
    attempt(release)


def beside(work: Callable[[Event], None]) -> int:
    """Run a function in a separate process, which SIGTERM stops; return its process id."""
    if process := os.fork():
        return process
    try:
        os.setsid()
        stop = Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        signal.signal(signal.SIGALRM, late)
        Display().set_queue(Silence())
        work(stop)
    finally:
        os._exit(0)


class ActionModule(ActionBase):
    """The action that Ansible runs for a task named after this file."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> Result:
        """Lease the host for the process that this worker belongs to."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec({"name": {"type": "str", "required": True}})
        variables = task_vars or {}
        run = described(
            os.getppid(), [os.path.relpath(name) for name in context.CLIARGS.get("args", ())]
        )
        # Set by an earlier play of the run; a fact cache may have it from another run.
        before = variables.get("ansible_facts", {}).get("host_lease")
        is_kept = bool(before) and is_same(before["run"], run)
        if is_kept and time.monotonic() - before["asked"] < RENEWED:
            return {"msg": "this run holds the host"}

        def ask(seconds: int, ended: Run | None = None) -> Result:
            options = {"name": arguments["name"].replace("/", "-"), "run": run}
            options |= {"seconds": seconds} | ({"ended": ended} if ended else {})
            answer = self._execute_module("host_lease", options, task_vars=variables)
            self.cleanup()
            # A separate session each time, because the keeper cannot share the task's.
            self._connection.close()
            return dict(answer)

        answer = ask(SECONDS)
        other = answer.get("other")
        if other and has_ended(other):
            # The other run's process on this machine was killed, and so was its keeper.
            answer = ask(SECONDS, other)
            other = answer.get("other")
        if answer.get("failed"):
            return answer
        if other:
            return {
                "failed": True,
                "msg": (
                    f"{sentence(other)}: run this again when that has ended. If that machine is"
                    f" lost, the host is free {SECONDS // 60} minutes after it"
                ),
            }
        kept = {"run": run, "asked": time.monotonic()}
        if not is_kept and answer["is_elsewhere"]:
            kept["keeper"] = beside(lambda s: keep(run, s, lambda: ask(SECONDS), lambda: ask(0)))
        return {"msg": "this run holds the host", "ansible_facts": {"host_lease": kept}}
