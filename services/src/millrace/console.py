"""Tables for people. Where nobody looks at a terminal they are not folded to its width."""

import sys

from rich.console import Console

WIDE = 160


def console() -> Console:
    """A console on standard output."""
    return Console(width=None if sys.stdout.isatty() else WIDE)
