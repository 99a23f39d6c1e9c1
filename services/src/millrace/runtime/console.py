"""Tables for people. Where nobody looks at a terminal they are not folded to its width."""

import sys
from typing import Any

from rich.console import Console
from rich.markup import escape

from millrace.runtime.redaction import shown

WIDE = 160
LONGEST = 1000


def console() -> Console:
    """A console on standard output."""
    return Console(width=None if sys.stdout.isatty() else WIDE)


def text(value: Any) -> str:
    """What somebody else said, for a table or a line: neither it nor a terminal obeys any of it."""
    return escape(shown(value, LONGEST))
