# SPDX-License-Identifier: Apache-2.0
"""Ansible callback: end a run at its first failure, print it last, and fail a run without tasks.

Ansible itself continues with other hosts' plays if one cannot be reached, prints the cause of a
failure far above the end, and reports success if no task was selected.
"""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from typing import Any

from ansible.playbook.block import Block
from ansible.plugins.callback import CallbackBase
from ansible.utils.display import Display

from ansible import constants, context

DOCUMENTATION = r"""
name: outcome
type: aggregate
short_description: Ends a run at its first failure, prints it last, and fails a run without tasks
description:
  - No play starts after a host has failed or could not be reached.
  - The first cause is printed last.
  - Unknown tags, and runs in which no task was selected, are errors.
"""

# Ansible's special tags, and those that Molecule always skips, whether they exist or not.
MOLECULE = {"molecule-notest", "notest", "molecule-idempotence-notest"}
WORDS = {"all", "always", "never", "tagged", "untagged"} | MOLECULE
# Exit statuses; the first two are Ansible's.
FAILED = 2
UNREACHABLE = 4
NOTHING = 1


def reason(result: Mapping[str, Any]) -> str:
    """The message of a failed task, and its standard error."""
    failed = [item for item in result.get("results") or [] if item.get("failed")]
    if failed:
        return "\n".join(reason(item) for item in failed)
    said = [result.get(key) for key in ("msg", "reason", "censored")]
    words = [str(word).strip() for word in said if word]
    return "\n".join([*words, *str(result.get("stderr") or "").strip().splitlines()[-20:]])


def is_rescued(task: Any) -> bool:
    """Whether a failure of this task is handled by a rescue section around it."""
    inner, outer = task, task._parent
    while outer is not None:
        if isinstance(outer, Block) and outer.rescue:
            others = {other._uuid for other in (*outer.rescue, *outer.always)}
            if inner._uuid not in others:
                return True
        inner, outer = outer, outer._parent
    return False


class CallbackModule(CallbackBase):
    """Receives the events of a run."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "outcome"

    def __init__(self, display: Display | None = None) -> None:
        """Start without a task or a failure."""
        super().__init__(display)
        self.worked = False
        self.cause = ""
        self.code = 0

    def say(self, text: str) -> None:
        """Print a message in red."""
        self._display.display(text, color=constants.COLOR_ERROR)

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Refuse tags that do not exist."""
        self.worked = False
        asked = {*context.CLIARGS["tags"], *context.CLIARGS["skip_tags"]} - WORDS
        if not asked:
            return
        blocks = [block for play in playbook.get_plays() for block in play.compile()]
        there = {tag for block in blocks for task in block.get_tasks() for tag in task.tags}
        if unknown := sorted(asked - there):
            known = ", ".join(sorted(there - WORDS)) or "none"
            self.say(f"Nothing was done: no task has the tag {', '.join(unknown)}. Tags: {known}")
            raise SystemExit(NOTHING)

    def v2_playbook_on_play_start(self, play: Any) -> None:  # noqa: ARG002
        """End the run if a host has failed: later plays may have other hosts."""
        if self.cause:
            raise SystemExit(self.code)

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002
        """Record that the run has a task other than those that always run."""
        self.worked = self.worked or "always" not in task.tags

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Record the first unhandled failure."""
        if not ignore_errors and not is_rescued(result._task):
            self.keep(result, FAILED)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Record the first unreachable host."""
        if not result._task.ignore_unreachable:
            self.keep(result, UNREACHABLE)

    def keep(self, result: Any, code: int) -> None:
        """Store the failure, to print it after everything else."""
        if not self.cause:
            self.code = code
            where = f"{result._host.get_name()}: {result._task.get_name()}"
            self.cause = f"The run ended because of this:\n{where}\n{reason(result._result)}"
            atexit.register(self.say, f"\n{self.cause}")

    def v2_playbook_on_stats(self, stats: Any) -> None:  # noqa: ARG002
        """Fail a run without tasks."""
        if not self.worked and not self.cause:
            self.say(
                "Nothing was done: no host of this inventory and no task is left by these"
                " hosts, --limit, --tags, --skip-tags and --start-at-task"
            )
            raise SystemExit(NOTHING)
