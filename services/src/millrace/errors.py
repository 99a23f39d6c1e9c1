"""Errors that end a command with one clear line instead of a traceback."""


class MillraceError(Exception):
    """An error that a person has to correct; its text is the one line shown to them."""

    exit_code = 1
    """Of the command that it ends: see millrace.runtime.exit_codes."""


class ConfigurationError(MillraceError):
    """A setting is missing or contradicts another."""
