"""Waiting times before retries."""

from millrace.runtime import retry

FIRST_SECONDS = 0.1


def seconds(attempt: int, longest: float) -> float:
    """Exponential from the attempt's number (0, 1, ...), at most `longest`, with jitter."""
    return retry.backoff(attempt, FIRST_SECONDS, longest)


class Rests:
    """Topics that are not processed for a while, longer with each failure in a row."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._failures: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def fail(self, topic: str, now: float) -> float:
        """Let the topic rest; return for how many seconds."""
        times = self._failures.get(topic, 0)
        self._failures[topic] = times + 1
        rest = seconds(times, self._longest)
        self._until[topic] = now + rest
        return rest

    def succeed(self, topic: str) -> None:
        """Reset the topic's count of failures."""
        self._failures.pop(topic, None)

    def at(self, now: float) -> set[str]:
        """The topics that rest at this time."""
        return {topic for topic, until in self._until.items() if now < until}
