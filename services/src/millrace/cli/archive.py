"""`millrace archive`."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from millrace.cli import described
from millrace.cli.described import KAFKA, KAFKA_FILES, Json
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


@described.command(
    group,
    "maintain",
    settings=TABLES,
    files=TABLES_FILES,
    example="millrace archive maintain",
    ok="each table is maintained; what was done is printed as JSON",
    failed="catalog or files cannot be reached or changed, or files of a day cannot be read",
)
def archive_maintain() -> None:
    """Combine small files, drop old snapshots, and remove files that no snapshot has."""
    check_image()
    import msgspec

    from millrace import config
    from millrace.archive import maintenance

    with once():
        reports = maintenance.run(config.load())
    typer.echo(msgspec.json.format(msgspec.json.encode(reports)))
    if any(report.periods_failed for report in reports):
        raise typer.Exit(Exit.FAILED)


@described.command(
    group,
    "tables",
    settings=TABLES,
    files=TABLES_FILES,
    example="millrace archive tables --json",
    ok="listed, even if there are none",
    failed="catalog or files cannot be reached",
)
def archive_tables(as_json: Json = False) -> None:
    """List the tables: what each has, and the file from which other programs read it."""
    check_image()
    from millrace import config
    from millrace.archive import listing

    with once():
        listing.run(config.load(), as_json=as_json)


@contextmanager
def once() -> Iterator[None]:
    """End at the first error, with one line: there is somebody who can try again."""
    from millrace.processor.errors import Transient, Unknown

    try:
        yield
    except (Transient, Unknown) as error:
        raise MillraceError(str(error)) from None
