"""Files are on the disk before a table says that they are its own."""

from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from services.tests.archive.world import Log, archive_all, settings_in

from millrace.archive.durable import DurableFileIO


def test_everything_is_synced_before_the_catalog_is_changed(
    tmp_path: Path, synced: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, settings = Log(), settings_in(tmp_path)
    log.quotes(100)
    committed = SqlCatalog.commit_table
    before: list[set[Path]] = []

    def commit(*arguments: object) -> object:
        done = committed(*arguments)  # type: ignore[arg-type]
        before.append({*synced})
        return done

    monkeypatch.setattr(SqlCatalog, "commit_table", commit)
    archive_all(settings, log)
    written = {path for path in (tmp_path / "warehouse").rglob("*") if path.is_file()}
    assert {path.suffix for path in written} == {".parquet", ".avro", ".json"}
    assert written <= before[-1]
    # And the names of files and folders.
    assert {path.parent for path in (tmp_path / "warehouse").rglob("*")} <= before[-1]


def test_a_file_is_synced_once_it_is_closed(tmp_path: Path, synced: list[Path]) -> None:
    output = DurableFileIO().new_output(f"file://{tmp_path}/a/b/c")
    with output.create() as file:
        file.write(b"content")
        assert synced == []
    path = tmp_path / "a/b/c"
    assert synced == [path, path.parent, path.parent.parent, tmp_path]
    assert output.to_input_file().open().read() == b"content"
    with pytest.raises(FileExistsError):
        output.create()
    with output.create(overwrite=True) as file:
        file.write(b"other")
    assert path.read_bytes() == b"other"
