"""`millrace warehouse`."""

import sys
from contextlib import nullcontext, redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from millrace.cli import described
from millrace.cli.archive import TABLES_FILES, check_image, once
from millrace.cli.described import Json
from millrace.errors import MillraceError
from millrace.runtime.exit_codes import Exit

group = described.group(
    "Make a database of what the archive has, for analysis: dbt on DuckDB or Snowflake.", Exit.HUNG
)
WAREHOUSE = ("MILLRACE_WAREHOUSE_*", "MILLRACE_SNOWFLAKE_*", "MILLRACE_STOCK_ALERT_THRESHOLD")
WAREHOUSE_FILES = ("snowflake_key.pem",)
SOURCE = ("MILLRACE_ARCHIVE_*", *WAREHOUSE)
SOURCE_FILES = (*TABLES_FILES, *WAREHOUSE_FILES)
NO_MODEL = "a model that cannot be built, or a test that failed"


@described.command(
    group,
    "run",
    settings=(*SOURCE, "MILLRACE_HTTP_PORT"),
    files=SOURCE_FILES,
    example="millrace warehouse run",
    ok="stopped by SIGTERM; a build that was under way was given up, and the database is that of"
    " the build before",
    failed="a wrong setting, or an unknown error; a build that fails is tried again",
    also=(Exit.HUNG,),
)
def warehouse_run() -> None:
    """Build again and again, and say what came of it."""
    check_image()
    from millrace import config
    from millrace.warehouse import service

    service.run(config.load())


@described.command(
    group,
    "build",
    settings=SOURCE,
    files=SOURCE_FILES,
    example="millrace warehouse build",
    ok="built and tested; readers that open the database now see it",
    failed=f"a wrong setting, an archive that cannot be read, another build that is running, "
    f"{NO_MODEL}: the database is as it was",
)
def warehouse_build(
    full: Annotated[
        bool, typer.Option("--full", help="Read the whole archive, and build everything anew.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what came of it as JSON, and nothing else.")
    ] = False,
) -> None:
    """Add what the archive has got since the last build, test it, and show it to readers."""
    check_image()
    import msgspec

    from millrace import config
    from millrace.warehouse import building

    with once(), redirect_stdout(sys.stderr) if as_json else nullcontext():
        built = building.build(config.load(), full=full)
    if as_json:
        typer.echo(msgspec.json.encode(built))


@described.command(
    group,
    "show",
    settings=WAREHOUSE,
    files=WAREHOUSE_FILES,
    example="millrace warehouse show",
    ok="shown",
    failed="a wrong setting, no database, or one that cannot be read",
)
def warehouse_show(as_json: Json = False) -> None:
    """Show when the database was built, and what it has of each feed."""
    check_image()
    from millrace import config
    from millrace.warehouse import showing

    showing.run(config.load(), as_json=as_json)


@described.command(
    group,
    "verify",
    settings=SOURCE,
    files=SOURCE_FILES,
    example="millrace warehouse verify",
    ok="every count is that of the archive",
    failed="a count differs, a wrong setting, no database, or an archive that cannot be read, or"
    " that has dropped what was read",
)
def warehouse_verify(as_json: Json = False) -> None:
    """Compare the counts of the last build with those of the snapshots that it read."""
    check_image()
    from millrace import config, verify
    from millrace.verify import tables
    from millrace.warehouse import agreement

    with once():
        report = agreement.verify(config.load())
    verify.show(report, tables.part, as_json=as_json)


@described.command(
    group,
    "test",
    settings=WAREHOUSE,
    files=WAREHOUSE_FILES,
    example="millrace warehouse test",
    ok="every test passed",
    failed=f"a wrong setting, no database, another build that is running, {NO_MODEL}",
)
def warehouse_test() -> None:
    """Test a copy of the database, and its calculations on values that were worked out by hand."""
    check_image()
    from millrace import config
    from millrace.warehouse import building

    building.test(config.load())


@described.command(
    group,
    "docs",
    settings=WAREHOUSE,
    example="millrace warehouse docs --to /tmp/warehouse",
    ok="written",
    failed="a wrong setting, no database, one in Snowflake, another build that is running, or a"
    " folder that cannot be written",
)
def warehouse_docs(
    to: Annotated[Path, typer.Option(help="The folder for index.html.")],
) -> None:
    """Write a page that describes every model and column, and what each is made from."""
    check_image()
    from millrace import config
    from millrace.warehouse import building

    building.docs(config.load(), to)


class Part(StrEnum):
    """Of what sets an account of Snowflake up."""

    INTEGRATION = "integration"
    OBJECTS = "objects"
    IN_PLACE = "in-place"


@described.command(
    group,
    "snowflake-sql",
    settings=("MILLRACE_ARCHIVE_*", "MILLRACE_SNOWFLAKE_*"),
    example="millrace warehouse snowflake-sql objects --public-key snowflake_key.pub",
    ok="printed, with nothing secret in it; nobody was asked",
    failed="a wrong setting or option",
)
def warehouse_snowflake_sql(
    part: Annotated[
        Part,
        typer.Argument(
            help="`integration` lets Snowflake read the archive; `objects` is everything else;"
            " `in-place` reads tables where they lie, and has never been tried."
        ),
    ],
    aws_role: Annotated[
        str, typer.Option(help="ARN of the IAM role for Snowflake, not for objects.")
    ] = "",
    public_key: Annotated[
        Path | None, typer.Option(help="File with the service's public key, for objects.")
    ] = None,
    monthly_credits: Annotated[
        int,
        typer.Option(
            "--credits", help="Credits a month after which the virtual warehouse is suspended."
        ),
    ] = 10,
    retention_days: Annotated[
        int, typer.Option(help="Days for which the past is kept; the edition Standard has 1.")
    ] = 7,
) -> None:
    """Print the statements for an administrator that set an account of Snowflake up."""
    from millrace import config
    from millrace.warehouse.snowflake import setup

    settings = config.load()
    if part is Part.IN_PLACE:
        statements = setup.in_place(settings, aws_role)
    elif part is Part.INTEGRATION:
        statements = setup.integration(settings, aws_role).statements
    else:
        key = _text(public_key) if public_key else ""
        statements = setup.objects(
            settings, key, monthly_credits=monthly_credits, retention_days=retention_days
        ).statements
    typer.echo(setup.script(statements), nl=False)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise MillraceError(f"cannot read {path}: {getattr(error, 'strerror', error)}") from None
