"""The batches in flight: their order, and what has to wait for them."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future

from millrace.processor.batch import Batch, Partition
from millrace.processor.decode import Taken
from millrace.processor.errors import Permanent

Start = Callable[[Batch], Future[None]]


class InFlight:
    """The batches in flight of one consumer thread. A topic's batches are removed oldest first."""

    def __init__(self, most: int) -> None:
        """`most` is the maximum number of batches of a topic."""
        self._most = most
        self._batches: deque[tuple[Batch, Future[None]]] = deque()
        self._events: defaultdict[str, dict[str, Taken]] = defaultdict(dict)
        self.submitted = 0
        """Number of submitted batches, which is the number of the next one."""

    def __len__(self) -> int:
        return len(self._batches)

    def add(self, batch: Batch, start: Start) -> None:
        """Number a batch, and start writing it."""
        self._events[batch.topic] |= batch.events
        batch.number = self.submitted
        self.submitted += 1
        self._batches.append((batch, start(batch)))

    def done(self) -> Iterator[tuple[Batch, BaseException | None]]:
        """Remove completed batches, with their errors. On Permanent the batch and later ones stay.

        Batches after an incomplete one wait for it.
        """
        waiting: set[str] = set()
        for entry in [*self._batches]:
            batch, future = entry
            if batch.topic in waiting or not future.done():
                waiting.add(batch.topic)
                continue
            error = future.exception()
            if isinstance(error, Permanent):
                raise error
            self._batches.remove(entry)
            for event_id in batch.events:
                self._events[batch.topic].pop(event_id, None)
            yield batch, error

    def events(self, topic: str) -> dict[str, Taken]:
        """A topic's events in flight, by their ids."""
        return self._events[topic]

    def of(self, topic: str) -> Sequence[Batch]:
        """A topic's batches, oldest first."""
        return [batch for batch, _ in self._batches if batch.topic == topic]

    def heads(self) -> list[Future[None]]:
        """The oldest batch of each topic, which others wait for."""
        oldest: dict[str, Future[None]] = {}
        for batch, future in self._batches:
            oldest.setdefault(batch.topic, future)
        return [*oldest.values()]

    def topics(self) -> set[str]:
        """The topics with batches in flight."""
        return {batch.topic for batch, _ in self._batches}

    def full(self, starting_over: Collection[str]) -> set[str]:
        """Topics with enough batches in flight, or whose batches must be stored first."""
        counts = Counter(batch.topic for batch, _ in self._batches)
        return {t for t, n in counts.items() if n >= (1 if t in starting_over else self._most)}

    def first(self) -> dict[Partition, int]:
        """The offset below which all is stored, of each partition in flight."""
        found: dict[Partition, int] = {}
        for batch, _ in reversed(self._batches):
            found |= batch.first
        return found

    def oldest(self, topic: str) -> int:
        """The number of a topic's oldest batch, or of the next one."""
        return min((batch.number for batch in self.of(topic)), default=self.submitted)

    def records(self) -> int:
        """Number of records in flight."""
        return sum(batch.consumed for batch, _ in self._batches)
