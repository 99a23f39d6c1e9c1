"""Errors outside the application."""


class DependencyError(Exception):
    """A dependency does not answer in time."""
