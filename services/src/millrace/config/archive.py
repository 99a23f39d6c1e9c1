"""What the archiver writes where, and when."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr
from pydantic_core import PydanticCustomError

from millrace.config.addresses import url
from millrace.config.base import LONGEST_SECONDS

MEBIBYTE = 1024 * 1024
HOUR, DAY = 3600.0, 86_400.0
_CATALOG = re.compile(r"sqlite:///(/[^\s?#]+)|glue://([a-z0-9_]{1,255})")
_WAREHOUSE = re.compile(r"file://(/[^\s?#]+)|s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/[^\s?#]*)?")


def _catalog(text: str) -> str:
    if not _CATALOG.fullmatch(text):
        raise PydanticCustomError(
            "catalog", "write it like sqlite:////archive/catalog.db or glue://database"
        )
    return text


def _warehouse(text: str) -> str:
    if not _WAREHOUSE.fullmatch(text):
        raise PydanticCustomError(
            "warehouse", "write it like file:///archive/warehouse or s3://bucket/prefix"
        )
    return text.rstrip("/")


class ArchiveSettings(BaseModel):
    """What the archiver writes where, and when."""

    archive_catalog: Annotated[str, AfterValidator(_catalog)] = Field(
        default="sqlite:////archive/catalog.db",
        description="Catalog of the archive's tables: a file of SQLite, or a database of AWS Glue"
        " (glue://database).",
    )
    archive_warehouse: Annotated[str, AfterValidator(_warehouse)] = Field(
        default="file:///archive/warehouse",
        description="Where the tables' files are: a folder, or a bucket of S3"
        " (s3://bucket/prefix).",
    )
    archive_region: str = Field(
        default="", description="AWS region of catalog and bucket; empty: as AWS's libraries do."
    )
    archive_endpoint: Annotated[str, url("https://s3.example.org", or_empty=True)] = Field(
        default="", description="URL of the service to use in place of AWS, for Glue and S3."
    )
    archive_access_key_id: str = Field(
        default="",
        description="Id of the access key for Glue and S3; empty: as AWS's libraries find one.",
    )
    archive_secret_access_key: SecretStr = Field(
        default=SecretStr(""), description="That access key."
    )
    archive_group_id: str = Field(
        default="archiver",
        description="Consumer group for which the archiver commits, for its lag to be seen.",
    )
    archive_flush_rows: int = Field(
        default=1_000_000, ge=1, description="Number of a feed's rows at which they are written."
    )
    archive_flush_bytes: int = Field(
        default=48 * MEBIBYTE,
        ge=1,
        description="Memory of all rows, in bytes, at which the feed with most of it is written.",
    )
    archive_flush_seconds: float = Field(
        default=HOUR,
        gt=0,
        le=LONGEST_SECONDS,
        description="Age of a feed's oldest row at which its rows are written.",
    )
    archive_retry_seconds: float = Field(
        default=60.0, gt=0, le=LONGEST_SECONDS, description="Longest pause between two attempts."
    )
    archive_watchdog_seconds: float = Field(
        default=300.0,
        gt=0,
        le=LONGEST_SECONDS,
        description="Time without progress after which the archiver ends itself, to be restarted.",
    )
    archive_maintain_seconds: float = Field(
        default=DAY, gt=0, le=LONGEST_SECONDS, description="Time between two maintenances."
    )
    archive_snapshot_seconds: float = Field(
        default=7 * DAY,
        gt=0,
        le=LONGEST_SECONDS,
        description="Age at which maintenance drops a snapshot: how long a query may take, and how"
        " far back one may ask for the table as it was.",
    )
    archive_orphan_seconds: float = Field(
        default=3 * DAY,
        ge=HOUR,
        le=LONGEST_SECONDS,
        description="Age at which maintenance removes a file that no snapshot has.",
    )
