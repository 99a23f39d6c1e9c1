"""The exit codes of commands, and their meanings."""

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of `millrace`."""

    OK = 0
    FAILED = 1
    MISUSED = 2
    """The command line library uses it, too."""
    HUNG = 70
    FENCED = 75
    INTERRUPTED = 130
    """As in shells; the command line library uses it, too."""

    @property
    def meaning(self) -> str:
        """The meaning in words, for the help and its documentation."""
        return _MEANINGS[self]


_MEANINGS = {
    Exit.OK: "done; for `status`, `verify` and `health`: all is well",
    Exit.FAILED: "not done, or not well: a wrong setting, no answer, a service that is not ready,"
    " a check that did not pass",
    Exit.MISUSED: "the command was not understood: no such command or option, or an argument that"
    " is no number or date",
    Exit.HUNG: "a service whose loop hung ended itself, for the engine to start it again",
    Exit.FENCED: "another archiver has written the same table",
    Exit.INTERRUPTED: "Ctrl-C",
}
