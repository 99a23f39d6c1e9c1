"""Tables for people. Without a terminal they are not wrapped to its width."""

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
    """Text from outside for a table or a line, without markup or terminal control sequences."""
    return escape(shown(value, LONGEST))
