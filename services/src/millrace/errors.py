"""Errors that end a command with one clear line instead of a traceback."""


class MillraceError(Exception):
    """Something a person has to put right; its text is the one line that they read."""


class ConfigurationError(MillraceError):
    """A setting is missing or contradicts another."""
