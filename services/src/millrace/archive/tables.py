"""A feed's table: what it has of the log, and commits of rows with the offsets behind them."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from millrace.archive import offsets, schema
from millrace.archive.catalog import namespace
from millrace.archive.failures import Fenced, Kinds
from millrace.archive.offsets import Offsets
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.feeds.base import Feed
from millrace.processor.errors import Transient, Unknown

log = structlog.get_logger(__name__)

OWNER = "millrace.feed"
"""The property that marks a table as ours; it names the feed."""
MAINTAINED = "millrace.maintained"
"""The property with the time of the last maintenance, in seconds since 1970."""
PROPERTIES = {
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
    # An hourly commit adds a manifest and a metadata file: neither grows for ever.
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "50",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
}
ATTEMPTS = 10
"""Of a commit, each on the snapshot of somebody else, such as maintenance."""


class ForeignTable(MillraceError):
    """A table of this name that somebody else made."""


class Unknowable(MillraceError):
    """A table that has rows, and no snapshot that says which."""


class FeedTable:
    """A table of the archive. Everything raises Transient, Permanent, Unknown."""

    def __init__(self, catalog: Catalog, settings: Settings, feed: Feed[Any]) -> None:
        """Open the table, or create it. Raises ForeignTable, Incompatible, Unknowable."""
        self.feed = feed
        self._uncertain: tuple[int, Offsets] | None = None
        with Kinds(f"open its table {feed.name}"):
            self.table = _opened(catalog, settings, feed)
            self.offsets = held(self.table, feed)
            try:
                schema.evolve(self.table, feed)
            except CommitFailedException as error:
                raise Transient(f"the schema of {feed.name} is being changed: {error}") from error

    def reload(self) -> None:
        """See what is there now, after an error. Raises Fenced if it is another archiver's."""
        with Kinds(f"read its table {self.feed.name}"):
            self.table.refresh()
        found = held(self.table, self.feed)
        if self._uncertain:
            snapshot, moved = self._uncertain
            if self.table.snapshot_by_id(snapshot):
                log.info("the commit was made", feed=self.feed.name)
                self.offsets = moved
        self._uncertain = None
        self._check_mine(found)

    def _check_mine(self, found: Offsets) -> None:
        if found != self.offsets:
            raise Fenced(
                f"another archiver writes the table {self.feed.name}: it has come to"
                f" {found.written()}, and this one to {self.offsets.written()}"
            )

    def append(self, files: Sequence[DataFile], moved: Offsets) -> None:
        """Commit rows in files, and the offsets behind them. Raises Fenced.

        After an error it is unknown whether the commit was made, until `reload`.
        """
        for _ in range(ATTEMPTS):
            try:
                self._append(files, moved)
            except CommitFailedException as error:
                # The server of a catalog may say so of a commit that was made: its answer got lost,
                # and the client asked again.
                log.info("the commit is made again", feed=self.feed.name, reason=str(error))
                self.reload()
                if self.offsets == moved:
                    return
            else:
                self.offsets, self._uncertain = moved, None
                return
        raise Transient(f"the table {self.feed.name} was changed during {ATTEMPTS} commits")

    def _append(self, files: Sequence[DataFile], moved: Offsets) -> None:
        # Maintenance may have seen the commit of another archiver.
        self._check_mine(held(self.table, self.feed))
        properties = {offsets.PROPERTY: moved.written()}
        what = f"commit to its table {self.feed.name}"
        with Kinds(what), self.table.transaction() as transaction:
            update = transaction.update_snapshot(snapshot_properties=properties)
            with update.merge_append() as snapshot:
                for file in files:
                    snapshot.append_data_file(file)
            self._uncertain = snapshot.snapshot_id, moved

    def replace(
        self, old: Sequence[DataFile], new: Sequence[DataFile], is_there: Callable[[], bool]
    ) -> bool:
        """Commit files in place of others with the same rows; False if those are there no more."""
        for _ in range(ATTEMPTS):
            if not is_there():
                return False
            try:
                self._replace(old, new)
            except CommitFailedException as error:
                log.info("the commit is made again", feed=self.feed.name, reason=str(error))
                with Kinds(f"read its table {self.feed.name}"):
                    self.table.refresh()
            else:
                return True
        raise Transient(f"the table {self.feed.name} was changed during {ATTEMPTS} commits")

    def carry_offsets_on(self) -> None:
        """Let the last snapshot say the offsets: the ancestor that does may expire."""
        snapshot = self.table.current_snapshot()
        if snapshot and _said(snapshot) is None:
            self._replace([], [])

    def _replace(self, old: Sequence[DataFile], new: Sequence[DataFile]) -> None:
        properties = {offsets.PROPERTY: held(self.table, self.feed).written()}
        what = f"commit to its table {self.feed.name}"
        with Kinds(what), self.table.transaction() as transaction:
            update = transaction.update_snapshot(snapshot_properties=properties)
            with update.overwrite() as snapshot:
                for file in old:
                    snapshot.delete_data_file(file)
                for file in new:
                    snapshot.append_data_file(file)


def _opened(catalog: Catalog, settings: Settings, feed: Feed[Any]) -> Table:
    name = namespace(settings), feed.name
    try:
        return existing(catalog, settings, feed)
    except NoSuchTableError:
        wanted = schema.of_feed(feed)
        try:
            return catalog.create_table(
                name,
                wanted,
                location=f"{settings.archive_warehouse}/{feed.name}",
                partition_spec=schema.partitions(wanted, feed),
                sort_order=schema.order(wanted),
                properties=PROPERTIES | {OWNER: feed.name, MAINTAINED: str(int(time.time()))},
            )
        except TableAlreadyExistsError:  # another process made it
            return existing(catalog, settings, feed)


def existing(catalog: Catalog, settings: Settings, feed: Feed[Any]) -> Table:
    """A feed's table, as it is. Raises NoSuchTableError and ForeignTable."""
    name = namespace(settings), feed.name
    table = catalog.load_table(name)
    if table.properties.get(OWNER) != feed.name:
        raise ForeignTable(
            f"the table {'.'.join(name)} is not the archive's: it lacks the property"
            f" {OWNER}={feed.name}; rename it, or use another catalog"
        )
    return table


def held(table: Table, feed: Feed[Any]) -> Offsets:
    """The offsets that a table has come to.

    A snapshot of another program, which changes no rows, may lack them: its ancestors have them.
    """
    snapshot = table.current_snapshot()
    if snapshot is None:
        return Offsets(feed.topic)
    while snapshot is not None:
        found = _said(snapshot)
        if found is not None:
            try:
                return offsets.read(found)
            except ValueError as error:
                raise Unknown(f"the table {feed.name}: {error}") from None
        parent = snapshot.parent_snapshot_id
        snapshot = table.snapshot_by_id(parent) if parent is not None else None
    raise Unknowable(
        f"the table {feed.name} has rows, but none of its snapshots says how far in the log they"
        f" reach ({offsets.PROPERTY}): go back to one that does"
    )


def _said(snapshot: Snapshot) -> str | None:
    summary = snapshot.summary
    return summary.additional_properties.get(offsets.PROPERTY) if summary else None
