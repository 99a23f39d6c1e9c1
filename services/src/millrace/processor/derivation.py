"""Decoding and deriving: from the records of a partition to documents, alerts and dead letters."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from millrace.feeds.base import Feed, Series
from millrace.feeds.history import Past
from millrace.processor.batch import Batch, Documents, Message, Record
from millrace.processor.decode import decoder
from millrace.processor.errors import BadRecord

Recall = Callable[[Series], Past]
"""The history of a series as of where the partition is read from."""


class Lane:
    """One partition of a feed: its records become parts of a batch, in order.

    Derived values depend on the records before in this partition alone. The past of a series comes
    from the database when the series is first seen, and is kept from then on.
    """

    def __init__(self, feed: Feed[Any], threshold: float, recall: Recall) -> None:
        self._feed = feed
        self._threshold = threshold
        self._recall = recall
        self._decode = decoder(feed)
        self._histories: dict[tuple[str, str], Past] = {}

    def take(self, records: Sequence[Record], batch: Batch, in_flight: set[str]) -> None:
        """Add what the records become to the batch; event ids in flight are duplicates."""
        feed = self._feed
        decode, derive, value = self._decode, feed.derive, feed.value
        make, alert, histories = feed.document, feed.alert, self._histories
        target = batch.collections.setdefault(feed.collection, Documents())
        add_document, add_record = target.documents.append, target.records.append
        seen = batch.event_ids
        for record in records:
            try:
                event = decode(record.value)
            except BadRecord as error:
                batch.dead.append((record, error))
                continue
            event_id = event.event_id
            if event_id in in_flight or event_id in seen:
                batch.duplicates += 1
                continue
            series = (event.source, event.symbol)
            history = histories.get(series)
            if history is None:
                history = histories[series] = self._recall(Series(*series))
            meta = derive(event, history)
            history.add(event.observed_at, value(event))
            seen.add(event_id)
            document = make(event, meta)
            document["_id"] = event_id
            document["kafka"] = {
                "topic": record.topic,
                "partition": record.partition,
                "offset": record.offset,
            }
            add_document(document)
            add_record(record)
            if alert is not None:
                found = alert(event, meta, self._threshold)
                if found is not None:
                    target.alerts[len(target.documents) - 1] = Message(
                        feed.alert_topic or "",
                        found.symbol.encode(),
                        msgspec.json.encode(found),
                        (),
                    )
        batch.consumed += len(records)
