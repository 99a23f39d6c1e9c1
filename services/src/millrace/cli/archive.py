"""`millrace archive`."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

import typer

from millrace.cli import described
from millrace.cli.described import DAY, FILES, KAFKA, KAFKA_FILES, SERVERS, Check, Json
from millrace.cli.numbers import number
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


@described.command(
    group,
    "verify",
    settings=(*SERVERS, *TABLES, "MILLRACE_PROCESSOR_GROUP_ID", "MILLRACE_DEAD_LETTERS_TOPIC"),
    files=(*FILES, *TABLES_FILES),
    example="millrace archive verify --json",
    ok="rows were compared, and none differs from the log or from MongoDB",
    failed="something differs, nothing could be compared, or something does not answer",
)
def archive_verify(as_json: Json = False) -> None:
    """Compare the tables with the log and with MongoDB, and name what differs."""
    check_image()
    from millrace import config
    from millrace.archive import showing

    with once():
        is_ok = showing.run(config.load(), as_json=as_json)
    if not is_ok:
        raise typer.Exit(Exit.FAILED)


@described.command(
    group,
    "replay",
    settings=(*SERVERS, *TABLES),
    files=(*FILES, *TABLES_FILES),
    example="millrace archive replay --feed stocks --from 2026-01-01 --check",
    ok="everything in the range is in Kafka or in MongoDB; with --check, what would be sent is"
    " counted",
    failed="a topic lacks a partition, a file or a row cannot be read, or something does not"
    " answer: run it again, and it goes on with what MongoDB lacks",
)
def archive_replay(
    feeds: Annotated[
        list[str] | None,
        typer.Option("--feed", help="A feed; may be repeated. Left out: all of MILLRACE_FEEDS."),
    ] = None,
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=DAY, help="The first day of event time, in UTC."),
    ] = None,
    end: Annotated[
        datetime | None, typer.Option("--to", formats=DAY, help="The day before which it ends.")
    ] = None,
    per_second: Annotated[
        float, typer.Option(parser=number(1), help="How many events a second at most, from 1.")
    ] = 5000.0,
    check: Check = False,
) -> None:
    """Publish again what MongoDB lacks: an emptied pipeline is filled with the same events."""
    check_image()
    from millrace import config
    from millrace.archive import showing
    from millrace.archive.replaying import Range

    settings = config.load()
    if unknown := sorted({*(feeds or [])} - {*settings.feeds}):
        known = ", ".join(settings.feeds)
        raise typer.BadParameter(f"{unknown[0]} is not among MILLRACE_FEEDS: {known}")
    wanted = Range(feeds or settings.feeds, first and first.date(), end and end.date())
    with once():
        showing.run_replay(settings, wanted, per_second=per_second, check=check)


@contextmanager
def once() -> Iterator[None]:
    """End at the first error, with one line: there is somebody who can try again."""
    from millrace.processor.errors import Transient, Unknown

    try:
        yield
    except (Transient, Unknown) as error:
        raise MillraceError(str(error)) from None
