"""The command line: `millrace <command>`, with a module per group. Commands import what they need
when they run."""

import sys
import traceback
from typing import Annotated

import typer

from millrace.cli import (
    admin,
    archive,
    dashboard,
    dead_letters,
    described,
    look,
    producer,
    services,
    standing,
    verify,
    warehouse,
)
from millrace.errors import MillraceError
from millrace.runtime.exit_codes import Exit
from millrace.runtime.redaction import scrub

app = typer.Typer(
    help="The programs of a deployment. Settings are MILLRACE_* variables, secrets are files:"
    " `millrace config` prints what is in force.",
    epilog=described.group_epilog(Exit.HUNG, Exit.FENCED),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
services.add(app)
look.add(app)
dashboard.add(app)
app.add_typer(dead_letters.group, name="dead-letters")
app.add_typer(standing.group, name="standing")
app.add_typer(producer.group, name="producer")
app.add_typer(admin.group, name="admin")
app.add_typer(verify.group, name="verify")
app.add_typer(archive.group, name="archive")
app.add_typer(warehouse.group, name="warehouse")


def show_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"millrace {version('millrace')}")
        raise typer.Exit(Exit.OK)


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Say which it is."),
    ] = False,
) -> None:
    """What all commands have."""


def main() -> None:
    """Run a command; an error that a person has to correct is printed as one line."""
    try:
        app()
    except MillraceError as error:
        sys.stderr.write(f"millrace: {scrub(str(error))}\n")
        sys.exit(error.exit_code)
    except Exception:
        # Python would print it unmasked, with URLs and keys that libraries put into its text.
        sys.stderr.write(scrub(traceback.format_exc()))
    sys.exit(Exit.FAILED)
