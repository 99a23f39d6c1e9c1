# SPDX-License-Identifier: Apache-2.0
"""Reports the cause of a module's failure, whatever it is.

Ansible drops an exception that a module does not catch if the task has `failed_when: false`, which
tasks with secrets use so that the next task can report the cause.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def told(module: Any, doing: str) -> Iterator[None]:
    """Fail with what was being done, and the type and message of the error."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.startswith("botocore."):
            module.fail_json_aws(error, msg=doing)
        words = f"{type(error).__name__}: {error}".removesuffix(": ")
        module.fail_json(msg=f"{doing}: {words}")
