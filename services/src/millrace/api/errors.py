"""What goes wrong outside the application."""


class DependencyError(Exception):
    """A dependency does not answer, or not in time."""
