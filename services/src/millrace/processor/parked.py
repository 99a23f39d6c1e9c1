"""Returns records that were read of a partition before it was paused, once it is resumed.

The library parks such records, and resumes them only if it has no current records. But it keeps
current records also after returning all of them, so that the partition would never be read again
unless another one is paused.
Importing this module applies the repair.
"""

from typing import Any

import kafka.consumer.group
from kafka.consumer.fetcher import Fetcher


class Resuming(Fetcher):  # type: ignore[misc]
    """A fetcher that drops records that it has returned."""

    _next_partition_records: Any

    def fetched_records(self, *args: Any, **options: Any) -> Any:
        """See Fetcher."""
        if not self._next_partition_records:
            self._next_partition_records = None
        return super().fetched_records(*args, **options)


kafka.consumer.group.Fetcher = Resuming
