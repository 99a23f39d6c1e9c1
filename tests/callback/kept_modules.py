"""Ansible callback: have a run use the modules that another one has packed.

Each run packs each module with all that it imports, for which it parses all of that: a third of a
second of a processor. The tests run the same modules many times, and nobody changes them meanwhile.
"""

from __future__ import annotations

import os
from pathlib import Path

from ansible.plugins.callback import CallbackBase

from ansible import constants


class CallbackModule(CallbackBase):
    """Puts a folder that stays where Ansible looks for the modules that this run has packed."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kept_modules"

    def __init__(self) -> None:
        """Link the folder, before the first task."""
        super().__init__()
        kept = Path(os.environ["MILLRACE_TEST_MODULES"])
        Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache").symlink_to(kept)
