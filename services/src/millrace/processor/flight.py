"""The batches that are being written: in which order, and what has to wait for them."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future

from millrace.processor.batch import Batch, Partition
from millrace.processor.decode import Taken
from millrace.processor.errors import Permanent

Start = Callable[[Batch], Future[None]]


class InFlight:
    """Of one consumer thread. Of each topic the oldest is taken out first."""

    def __init__(self, most: int) -> None:
        """`most` batches of a topic are enough."""
        self._most = most
        self._batches: deque[tuple[Batch, Future[None]]] = deque()
        self._events: defaultdict[str, dict[str, Taken]] = defaultdict(dict)
        self.submitted = 0
        """How many there were, which is the number of the next."""

    def __len__(self) -> int:
        return len(self._batches)

    def add(self, batch: Batch, start: Start) -> None:
        """Number a batch, and start to write it."""
        self._events[batch.topic] |= batch.events
        batch.number = self.submitted
        self.submitted += 1
        self._batches.append((batch, start(batch)))

    def done(self) -> Iterator[tuple[Batch, BaseException | None]]:
        """Take out those that are done, and with what error. Permanent: it stays, and all behind.

        What is behind one that is not done waits for it.
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
        """What is in them of a topic, by the ids of events."""
        return self._events[topic]

    def of(self, topic: str) -> Sequence[Batch]:
        """Those of a topic, the oldest first."""
        return [batch for batch, _ in self._batches if batch.topic == topic]

    def heads(self) -> list[Future[None]]:
        """What is waited for: the oldest batch of each topic."""
        oldest: dict[str, Future[None]] = {}
        for batch, future in self._batches:
            oldest.setdefault(batch.topic, future)
        return [*oldest.values()]

    def topics(self) -> set[str]:
        """Of which something is in flight."""
        return {batch.topic for batch, _ in self._batches}

    def full(self, starting_over: Collection[str]) -> set[str]:
        """Topics of which enough is in flight, or of which all has to be stored first."""
        counts = Counter(batch.topic for batch, _ in self._batches)
        return {t for t, n in counts.items() if n >= (1 if t in starting_over else self._most)}

    def first(self) -> dict[Partition, int]:
        """Of each partition the offset below which all is stored; not of those without any."""
        found: dict[Partition, int] = {}
        for batch, _ in reversed(self._batches):
            found |= batch.first
        return found

    def oldest(self, topic: str) -> int:
        """The number of the oldest of a topic, or of the next."""
        return min((batch.number for batch in self.of(topic)), default=self.submitted)

    def records(self) -> int:
        """How many are in flight."""
        return sum(batch.consumed for batch, _ in self._batches)
