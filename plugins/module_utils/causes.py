# SPDX-License-Identifier: Apache-2.0
"""What ends a module is said, whatever it is.

Ansible keeps no word of an exception that a module does not catch once the task has
`failed_when: false`, which is how a task with secrets leaves its cause to the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def told(module: Any, doing: str) -> Iterator[None]:
    """Fail with what was being done, the kind of the error and its words."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.startswith("botocore."):
            module.fail_json_aws(error, msg=doing)
        words = f"{type(error).__name__}: {error}".removesuffix(": ")
        module.fail_json(msg=f"{doing}: {words}")
