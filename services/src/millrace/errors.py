"""Errors that end a command with one clear line instead of a traceback."""


class MillraceError(Exception):
    """An error that a person has to correct; its text is the one line shown to them."""


class ConfigurationError(MillraceError):
    """A setting is missing or contradicts another."""
