"""Decoding and derivation: from a partition's records to documents, alerts and dead letters."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from millrace.clients.topic_ids import FIRST
from millrace.feeds.base import CLAIMED_FIELD, Feed, Series
from millrace.processor import conflicts
from millrace.processor.batch import Batch, Message, Partition, Record
from millrace.processor.decode import Taken, taker
from millrace.processor.errors import BadRecord
from millrace.processor.generations import Generations
from millrace.processor.points import Moment, Points
from millrace.processor.ports import Below, LogPosition
from millrace.processor.recall import Recall


class Derivation:
    """One partition of a feed: processes its records, in order, into parts of a batch.

    Derived values depend only on earlier records of this partition. Needed values that are stored
    are read from the database: when a record needs one, those that later records need are read
    with it.
    """

    def __init__(
        self,
        feed: Feed[Any],
        partition: Partition,
        threshold: float,
        recall: Recall,
        log: str = FIRST,
    ) -> None:
        self._feed = feed
        self._partition = partition
        self._threshold = threshold
        self._recall = recall
        self._log = log
        self._named = {"log": log} if log else {}
        self._take = taker(feed)
        self._asked: set[Points] = set()
        self.histories: Generations[tuple[str, str], Any] = Generations()

    def take(
        self, records: Sequence[Record], batch: Batch, in_flight: Mapping[str, Taken], stored: int
    ) -> None:
        """Add the records' results to the batch; events in flight, by their ids, are duplicates.

        Only stored documents of this partition below the offset `stored` count. After Transient,
        Permanent or Interrupted the batch has what was complete by then.
        """
        feed, partial = self._feed, self._recall.has_points
        take, derive, value = self._take, feed.derive, feed.value
        make, alert, histories = feed.document, feed.alert, self.histories.young
        add_document, add_record = batch.documents.append, batch.records.append
        seen = batch.events
        below = Below(self._partition[1], stored, self._log)
        taken = 0
        try:
            places = self._places(records)
            for index, record in enumerate(records):
                taken = index
                try:
                    event, claimed_at = one = take(record)
                except BadRecord as error:
                    batch.dead.append((record, error))
                    continue
                event_id = event.event_id
                if claimed_at is not None and self._recall.expect_repetitions():
                    places = self._places(records[index:])
                known = seen.get(event_id) or in_flight.get(event_id)
                if known is not None:
                    self._repeat(record, known, one, batch)
                    continue
                repeated = self._is_repeated(places.get(event_id), record.offset)
                series = (event.source, event.symbol)
                history: Any = feed.history(feed.window) if repeated else histories.get(series)
                if history is None:
                    history = self.histories.find(series)
                    if history is None:
                        if self._remember(records[index:], below):
                            places = self._places(records[index:])
                            repeated = self._is_repeated(places.get(event_id), record.offset)
                        history = feed.history(feed.window) if repeated else histories[series]
                meta = derive(event, history)
                if repeated:
                    pass  # the writer compares it with the stored document
                elif partial:
                    while history.lacking:
                        self._learn(records[index:], below)
                        meta = derive(event, history)
                    history.add(event.observed_at, value(event), record.offset, stored)
                else:
                    history.add(event.observed_at, value(event))
                seen[event_id] = one
                document = make(event, meta)
                document["_id"] = event_id
                if claimed_at is not None:
                    document[CLAIMED_FIELD] = claimed_at
                    batch.is_ahead(event.source, claimed_at - event.observed_at)
                document["kafka"] = {
                    "topic": record.topic,
                    "partition": record.partition,
                    "offset": record.offset,
                    **self._named,
                }
                add_document(document)
                add_record(record)
                if alert is not None and not repeated:
                    found = alert(event, meta, self._threshold)
                    if found is not None:
                        batch.alerts[len(batch.documents) - 1] = Message(
                            feed.alert_topic or "",
                            found.symbol.encode(),
                            msgspec.json.encode(found),
                            (),
                        )
            taken = len(records)
        finally:
            if taken:
                batch.first.setdefault(self._partition, records[0].offset)
                batch.positions[self._partition] = records[taken - 1].offset + 1
                batch.consumed += taken
        while self._asked:
            self._asked.pop().settle()

    def _repeat(self, record: Record, known: Taken, again: Taken, batch: Batch) -> None:
        feed, event = self._feed, again.event
        conflict = conflicts.between_events(feed, known, again)
        if conflict is None:
            batch.duplicates += 1
        else:
            meta = feed.derive(event, feed.history(feed.window))
            document = {"_id": event.event_id, **feed.document(event, meta)}
            if again.claimed_at is not None:
                document[CLAIMED_FIELD] = again.claimed_at
            batch.conflicts.append((record, document, conflict))

    def _remember(self, records: Sequence[Record], below: Below) -> bool:
        """Read the histories that these records need and that are not in memory.

        Returns whether the places of stored events matter from now on.
        """
        before = self._recall.asks_places
        unknown = {
            Series(*series): None
            for series, _ in self._events(records)
            if self.histories.find(series) is None
        }
        for series, history in self._recall.histories(unknown, below):
            self.histories.young[series] = history
        return self._recall.asks_places and not before

    def _learn(self, records: Sequence[Record], below: Below) -> None:
        """Read values that the histories lack and these records need, as far as known by now."""
        lacking: dict[tuple[Series, Moment | None], Points] = {}
        for series, event in self._events(records):
            history = self.histories.find(series)
            if history is None:
                continue
            history.lacking = None
            self._feed.derive(event, history)
            for moment in history.lacking or ():
                lacking[Series(*series), moment] = history
            history.lacking = None
        for asked, moment, found in self._recall.newest(lacking, below):
            history = lacking[asked, moment]
            history.learn(moment, found, below.offset)
            self._asked.add(history)

    def _places(self, records: Sequence[Record]) -> Mapping[str, LogPosition]:
        """The places where these records' events are already stored, if they matter."""
        return self._recall.places(lambda: [event.event_id for _, event in self._events(records)])

    def _is_repeated(self, place: LogPosition | None, offset: int) -> bool:
        """Whether an event stored from this place came before this offset, or from elsewhere."""
        own = self._log, self._partition[1]
        return place is not None and (place[:2] != own or place.offset < offset)

    def _events(self, records: Sequence[Record]) -> Iterator[tuple[tuple[str, str], Any]]:
        for record in records:
            try:
                event = self._take(record).event
            except BadRecord:
                continue
            yield (event.source, event.symbol), event
