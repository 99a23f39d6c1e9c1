"""Stands for a database that keeps what the log no longer has."""

from collections.abc import Collection, Sequence
from typing import Any

from millrace.feeds.base import Series


class Remembered:
    """What is stored of records that the log has not got: see oracle.Unlogged."""

    def __init__(self, documents: Sequence[dict[str, Any]]) -> None:
        self._documents = documents

    def documents(self, partition: int, series: Series) -> list[dict[str, Any]]:
        return [
            d
            for d in self._documents
            if (d["kafka"]["partition"], d["source"], d["symbol"]) == (partition, *series)
        ]

    def known(self, event_ids: Collection[str]) -> set[str]:
        return {*event_ids} & {d["_id"] for d in self._documents}
