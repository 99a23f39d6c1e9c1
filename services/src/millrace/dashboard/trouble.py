"""What a page can say instead of numbers."""

from millrace.errors import MillraceError


class Trouble(MillraceError):
    """A source does not answer, or not in time: the text says which, and what to do."""
