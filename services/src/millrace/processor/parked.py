"""Hands out what was read of a partition before it was paused, once it is resumed.

The library parks such records, and takes them up again only while it has nothing at hand. What it
has at hand stays there when all of it was handed out: the partition would never be read again,
unless another one is paused.
Importing this module is what makes the library resume so.
"""

from typing import Any

import kafka.consumer.group
from kafka.consumer.fetcher import Fetcher


class Resuming(Fetcher):  # type: ignore[misc]
    """A fetcher that lets go of what it has handed out."""

    _next_partition_records: Any

    def fetched_records(self, *args: Any, **options: Any) -> Any:
        """See Fetcher."""
        if not self._next_partition_records:
            self._next_partition_records = None
        return super().fetched_records(*args, **options)


kafka.consumer.group.Fetcher = Resuming
