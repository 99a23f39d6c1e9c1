"""DuckDB, within the limits of the settings, whoever opens a database."""

from pathlib import Path
from typing import Any

import duckdb

from millrace.config import Settings

SPILLED = "spilled"
"""A folder beside the database, for what does not fit into memory."""


def limits(settings: Settings, folder: Path) -> dict[str, Any]:
    """The options with which a database in this folder is opened."""
    return {
        "autoinstall_known_extensions": False,
        "memory_limit": f"{settings.warehouse_memory_mb}MiB",
        "threads": settings.warehouse_threads,
        "temp_directory": str(folder / SPILLED),
    }


def connect(
    settings: Settings, database: Path, *, read_only: bool = True
) -> duckdb.DuckDBPyConnection:
    """Open a database. Raises duckdb.Error."""
    config = limits(settings, database.parent)
    return duckdb.connect(database, read_only=read_only, config=config)
