"""The programs that measure archive and warehouse use them as they are."""

from pathlib import Path
from types import ModuleType

import msgspec
import pytest
from services.tests.archive.world import table_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """They import each other from their folder."""
    from importlib import import_module

    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return {name: import_module(name) for name in ("archive", "quotes", "warehouse")}


def test_every_contender_writes_every_record(
    programs: dict[str, ModuleType], tmp_path: Path
) -> None:
    archive, source = programs["archive"], tmp_path / "quotes.json"
    source.write_bytes(b"".join(archive.records(4010)))
    for name, contender in archive.CONTENDERS.items():
        (folder := tmp_path / name).mkdir()
        contender(source, folder)
        assert archive.size(folder, 4010) > 0


def test_the_archive_of_the_warehouse_is_what_the_archiver_would_write(
    programs: dict[str, ModuleType], tmp_path: Path
) -> None:
    archive, warehouse = programs["archive"], programs["warehouse"]
    source = tmp_path / "quotes.json"
    source.write_bytes(b"".join(archive.records(4010)))
    digests, offsets = [], []
    for name in ("read", "filled"):
        (folder := tmp_path / name).mkdir()
        settings = archive.settings_in(folder)
        if name == "read":
            archive.archiver(source, folder)
        else:
            warehouse.fill(settings, 0, 4010)
        own = table_of(settings)
        rows = own.table.scan().to_arrow().drop_columns(["kafka_timestamp"])
        digests.append(rows.sort_by("event_id").to_pylist())
        offsets.append(msgspec.to_builtins(own.offsets))
    assert digests[0] == digests[1]
    assert offsets[0] == offsets[1]
