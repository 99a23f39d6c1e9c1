"""`millrace archive`."""

from millrace.cli import described
from millrace.cli.described import KAFKA, KAFKA_FILES
from millrace.errors import MillraceError
from millrace.runtime.exit_codes import Exit

group = described.group(
    "Keep every record of the log as a row of an Apache Iceberg table.", Exit.HUNG, Exit.FENCED
)
TABLES = ("MILLRACE_ARCHIVE_*", "MILLRACE_FEEDS")
TABLES_FILES = ("archive_secret_access_key",)


class OtherImage(MillraceError):
    """The libraries of the archive are not installed."""


def check_image() -> None:
    """Raise OtherImage if the archive's libraries are not here."""
    try:
        import pyiceberg  # noqa: F401
    except ModuleNotFoundError:
        raise OtherImage(
            "the libraries of the archive are not here: its image is millrace-analytics"
        ) from None


@described.command(
    group,
    "run",
    settings=(*KAFKA, *TABLES, "MILLRACE_HTTP_PORT"),
    files=(*KAFKA_FILES, *TABLES_FILES),
    example="millrace archive run",
    ok="stopped by SIGTERM, with everything that was read written",
    failed="a wrong setting, refused credentials, a table that is not the archive's or cannot"
    " follow its feed, or an unknown error",
    also=(Exit.HUNG, Exit.FENCED),
)
def archive_run() -> None:
    """Archive what comes, and maintain the tables."""
    check_image()
    from millrace import config
    from millrace.archive import service

    service.run(config.load())
