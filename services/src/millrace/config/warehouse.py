"""Where the warehouse is, and what building it may use."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from millrace.config.base import LONGEST_SECONDS


class WarehouseSettings(BaseModel):
    """Where the warehouse is, and what building it may use."""

    warehouse_engine: Literal["duckdb", "snowflake"] = Field(
        default="duckdb", description="Where the warehouse is built."
    )
    warehouse_file: Path = Field(
        default=Path("/warehouse/millrace.duckdb"),
        description="The warehouse, a database of DuckDB; it is built in the same folder. Builds in"
        " Snowflake have their lock there.",
    )
    warehouse_memory_mb: int = Field(
        default=384,
        ge=128,
        description="Memory for DuckDB in MiB; beyond it, it uses the disk. The process takes up to"
        " 550 more.",
    )
    warehouse_threads: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Threads of DuckDB, and models at the same time on either engine.",
    )
    warehouse_interval_seconds: float = Field(
        default=3600.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="Time from the end of a build to the beginning of the next one.",
    )
    warehouse_limit_seconds: float = Field(
        default=3600.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="Time after which a build is ended, as one that has failed.",
    )
