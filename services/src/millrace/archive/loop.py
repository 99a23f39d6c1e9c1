"""The thread that reads and writes: polls, and writes the rows that are due."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import structlog

from millrace.archive.failures import Kinds
from millrace.archive.metrics import Metrics
from millrace.archive.reading import Reader
from millrace.archive.stream import Stream
from millrace.clients.progress import Partition, Progress
from millrace.config import Settings
from millrace.processor import backoff
from millrace.processor.batch import Record
from millrace.processor.errors import Permanent, Stuck, Transient, Unknown
from millrace.runtime import retry

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.2
LOOK_SECONDS = 5.0
FEW_RECORDS = 100
LINGER_SECONDS = 0.1
"""How long it waits for more after a poll of few records."""


class Loop:
    """Everything in one thread: nothing is read while rows are written, which bounds memory."""

    def __init__(
        self,
        settings: Settings,
        streams: Mapping[str, Stream],
        reader: Reader,
        *,
        metrics: Metrics,
        progress: Progress,
        beat: Callable[[], None],
        stop: threading.Event,
    ) -> None:
        """`streams` by topic."""
        self._settings = settings
        self._streams = streams
        self._reader = reader
        self._metrics = metrics
        self._progress = progress
        self._beat = beat
        self._stop = stop
        self._looked_at = 0.0
        self._failures = 0

    def run(self) -> None:
        """Work until told to stop; raise errors that only a person can correct.

        What was read is written before it returns, with one attempt.
        """
        while not self._stop.is_set():
            self._beat()
            try:
                self.step()
                self._failures = 0
            except (Transient, Unknown) as error:
                pause = backoff.seconds(self._failures, self._settings.archive_retry_seconds)
                self._failures += 1
                self._progress.trouble = str(error) if not isinstance(error, Transient) else None
                log.warning("trying again", reason=str(error), seconds=round(pause, 1))
                retry.pause(pause, self._stop, self._beat)
        for stream in self._streams.values():
            self._flush(stream)

    def step(self) -> None:
        """One turn. Raises Transient, Permanent, Unknown of Kafka."""
        self._look_if_due()
        self._resume()
        polled = self._poll()
        for partition, records in polled.items():
            self._take(partition, records)
        self._flush_due()
        self._maintain_if_due()
        if 0 < sum(map(len, polled.values())) < FEW_RECORDS:
            self._stop.wait(LINGER_SECONDS)

    def _poll(self) -> Mapping[Partition, Sequence[Record]]:
        try:
            return self._reader.poll(POLL_SECONDS)
        except Stuck as error:
            # What is before it is archived. It may be readable later, as after a repair.
            stream = self._streams[error.partition[0]]
            self._flush(stream)
            stream.fail(error)
            return {}

    def _take(self, partition: Partition, records: Sequence[Record]) -> None:
        stream = self._streams[partition[0]]
        if stream.rests:
            return  # what was before these was forgotten a moment ago
        try:
            with Kinds(f"make rows of {stream.feed.name}"):
                stream.take(self._reader.ids[partition[0]], partition, records)
        except (Transient, Unknown) as error:
            stream.fail(error)

    def _resume(self) -> None:
        """Read feeds again whose tables answer."""
        for topic, stream in self._streams.items():
            if not stream.rests:
                continue
            try:
                if stream.try_again():
                    self._reader.go_back(topic)
            except (Transient, Unknown) as error:
                stream.fail(error)
        self._reader.pause([topic for topic, stream in self._streams.items() if stream.rests])

    def _flush_due(self) -> None:
        for stream in self._streams.values():
            if stream.is_due():
                self._flush(stream)
        while (
            sum(one.bytes for one in self._streams.values()) >= self._settings.archive_flush_bytes
        ):
            self._flush(max(self._streams.values(), key=lambda one: one.bytes))

    def _flush(self, stream: Stream) -> None:
        """Write a feed's rows; after an error it rests, and others go on."""
        try:
            if not stream.flush(self._beat):
                return
        except (Transient, Unknown) as error:
            stream.fail(error)
            return
        # For the lag to be seen; nothing is read from there.
        with suppress(Transient, Unknown, Permanent):
            self._reader.commit(stream.table.offsets)

    def _maintain_if_due(self) -> None:
        """One table in a turn: the others are read in between."""
        for stream in self._streams.values():
            if stream.is_maintenance_due():
                for one in self._streams.values():
                    self._flush(one)  # maintenance takes as much memory as rows
                stream.maintain(self._beat)
                return

    def _look_if_due(self) -> None:
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        missing = self._reader.find([*self._streams])
        found = self._reader.progress()
        resting = {topic for topic, stream in self._streams.items() if stream.rests}
        stand = [p for p in found if p[0] in resting]
        self._progress.look(found, missing, stand)
        self._progress.trouble = None
        self._metrics.lag.show(found)
        for stream in self._streams.values():
            stream.show()
