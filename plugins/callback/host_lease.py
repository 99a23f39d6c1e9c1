# SPDX-License-Identifier: Apache-2.0
"""Ansible callback: at the end of a run, wait until the leases of its hosts have ended.

Without it the hosts would be free only a moment later; and in a container, which kills all its
processes when the first one ends, only when their leases have expired.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import time
from contextlib import suppress
from typing import Any

from ansible.plugins.callback import CallbackBase
from ansible.utils.display import Display

DOCUMENTATION = r"""
name: host_lease
type: aggregate
short_description: Ends the leases of a run's hosts when it ends
description:
  - Tells the keepers of leases (the action of this name) to end them, and waits.
"""

SECONDS = 10
"""Seconds to wait for all keepers; a late one continues by itself."""


class CallbackModule(CallbackBase):
    """Receives the events of a run."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "host_lease"

    def __init__(self, display: Display | None = None) -> None:
        """Start without a lease."""
        super().__init__(display)
        self.keepers: list[int] = []
        atexit.register(self.end)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Store the process that keeps a lease."""
        if result._task.action == "host_lease":
            kept = result._result.get("ansible_facts", {}).get("host_lease", {})
            if "keeper" in kept:
                with suppress(ProcessLookupError):
                    self.keepers.append(os.pidfd_open(kept["keeper"]))

    def end(self) -> None:
        """End the leases, and wait until they have ended."""
        for keeper in self.keepers:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(keeper, signal.SIGTERM)
        until = time.monotonic() + SECONDS
        for keeper in self.keepers:
            # Readable once the process has ended.
            select.select([keeper], [], [], max(0, until - time.monotonic()))
