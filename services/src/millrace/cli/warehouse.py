"""`millrace warehouse`."""

from pathlib import Path
from typing import Annotated

import typer

from millrace.cli import described
from millrace.cli.archive import TABLES_FILES, check_image, once

group = described.group("Make a database of what the archive has, for analysis: dbt on DuckDB.")
WAREHOUSE = ("MILLRACE_WAREHOUSE_*", "MILLRACE_STOCK_ALERT_THRESHOLD")
NO_MODEL = "a model that cannot be built, or a test that failed"


@described.command(
    group,
    "build",
    settings=("MILLRACE_ARCHIVE_*", *WAREHOUSE),
    files=TABLES_FILES,
    example="millrace warehouse build",
    ok="built and tested; readers that open the database now see it",
    failed=f"a wrong setting, an archive that cannot be read, another build that is running, "
    f"{NO_MODEL}: the database is as it was",
)
def warehouse_build(
    full: Annotated[
        bool, typer.Option("--full", help="Read the whole archive, and build everything anew.")
    ] = False,
) -> None:
    """Add what the archive has got since the last build, test it, and show it to readers."""
    check_image()
    from millrace import config
    from millrace.warehouse import building

    with once():
        building.build(config.load(), full=full)


@described.command(
    group,
    "test",
    settings=WAREHOUSE,
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
    failed="a wrong setting, no database, another build that is running, or a folder that cannot be"
    " written",
)
def warehouse_docs(
    to: Annotated[Path, typer.Option(help="The folder for index.html.")],
) -> None:
    """Write a page that describes every model and column, and what each is made from."""
    check_image()
    from millrace import config
    from millrace.warehouse import building

    building.docs(config.load(), to)
