"""Ansible action: one run at a time changes a host, from whichever machine it comes.

The host keeps who runs (the module of this name), for some minutes from the last sign of life. A
process beside ansible-playbook, the keeper, gives these signs. It ends the lease when the run asks
for it at its end (the callback of this name), or is no more. Where the machine is lost with both,
the time runs out. Of a run on the host itself it can be seen whether it runs: it needs no keeper.

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

# Ansible itself looks into this folder for modules alone.
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
"""For how long a host is held after the last sign of life."""
RENEWED = 60
"""Seconds from one sign of life to the next."""
ANSWER = 60
"""Seconds that a host has to take one."""

Result = dict[str, Any]


class Silence:
    """Discards output: the queue to the screen ends with the run."""

    def send_display(self, *_: Any, **__: Any) -> None:
        """Discard the message."""


def late(*_: Any) -> None:
    """End a request that a host does not answer."""
    raise TimeoutError


def attempt(work: Callable[[], object]) -> None:
    """Send a request within its time; otherwise the next one renews the lease, or it expires."""
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
    """Run a function in a process of its own, which SIGTERM stops; return its process id."""
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
    """What Ansible runs for a task that is named after this file."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> Result:
        """Lease the host for the process that this worker belongs to."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec({"name": {"type": "str", "required": True}})
        variables = task_vars or {}
        run = described(
            os.getppid(), [os.path.relpath(name) for name in context.CLIARGS.get("args", ())]
        )
        # Of an earlier part of the run. A cache of facts may have it from another run.
        before = variables.get("ansible_facts", {}).get("host_lease")
        is_kept = bool(before) and is_same(before["run"], run)
        if is_kept and time.monotonic() - before["asked"] < RENEWED:
            return {"msg": "this run holds the host"}

        def ask(seconds: int, ended: Run | None = None) -> Result:
            options = {"name": arguments["name"].replace("/", "-"), "run": run}
            options |= {"seconds": seconds} | ({"ended": ended} if ended else {})
            answer = self._execute_module("host_lease", options, task_vars=variables)
            self.cleanup()
            # A session of one's own each time: the keeper cannot share that of the task.
            self._connection.close()
            return dict(answer)

        answer = ask(SECONDS)
        other = answer.get("other")
        if other and has_ended(other):
            # Its process here was killed, and so was the one beside it.
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
