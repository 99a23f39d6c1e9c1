"""How long to wait before trying again."""

import random

FIRST_SECONDS = 0.1


def seconds(attempt: int, longest: float) -> float:
    """Exponential from the attempt's number (0, 1, ...), at most `longest`, with full jitter."""
    exponential = FIRST_SECONDS * float(1 << min(attempt, 20))
    return random.uniform(0.5, 1.0) * min(longest, exponential)  # noqa: S311
