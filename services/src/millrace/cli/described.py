"""Declaration of commands with their inputs, an example and exit codes, which their help shows.

scripts/command-docs generates docs/operating/commands.md from the same texts.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import typer

from millrace.runtime.exit_codes import Exit

Function = TypeVar("Function", bound=Callable[..., Any])

KAFKA = ("MILLRACE_KAFKA_*",)
MONGODB = ("MILLRACE_MONGODB_*",)
REDIS = ("MILLRACE_REDIS_*",)
SERVERS = (*KAFKA, *MONGODB)
OPERATOR = ("MILLRACE_FEEDS", "MILLRACE_STATUS_HOSTS")
KAFKA_FILES = ("ca.pem", "kafka_password")
FILES = (*KAFKA_FILES, "mongodb_password")
DAY = ["%Y-%m-%d"]
"""How a day is written."""
EVER = (Exit.OK, Exit.FAILED, Exit.MISUSED)
IN_SHORT = {
    Exit.OK: "done, or all is well",
    Exit.FAILED: "not done, or not well",
    Exit.MISUSED: "not understood",
    Exit.HUNG: "hung, for the engine to start it again",
    Exit.FENCED: "another archiver has written the same table",
    Exit.INTERRUPTED: "Ctrl-C",
}

Check = Annotated[bool, typer.Option("--check", help="Say what would change, change nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def group(about: str, *also: Exit) -> typer.Typer:
    """A group of commands; without a command it lists them. `also` as in `group_epilog`."""
    return typer.Typer(help=about, epilog=group_epilog(*also), no_args_is_help=True)


def group_epilog(*also: Exit) -> str:
    """The exit codes of a group's commands; `also` has those in addition to the common ones."""
    unnamed = f"{IN_SHORT[Exit.MISUSED]}, or no command is named"
    codes = _exit_codes({Exit.MISUSED: unnamed}, (*also, Exit.INTERRUPTED))
    return f"{codes}\n\n--help behind a command says what it reads, an example, and its exit codes."


def command(
    parent: typer.Typer,
    name: str,
    *,
    example: str,
    ok: str,
    failed: str,
    settings: Sequence[str] = (),
    files: Sequence[str] = (),
    stdin: str = "",
    also: Sequence[Exit] = (Exit.INTERRUPTED,),
) -> Callable[[Function], Function]:
    """Add a function to a group as the command `name`; its docstring says what it does.

    `settings` are the variables that it reads, `files` those of the secrets directory, `stdin` what
    it reads from standard input; `ok` and `failed` are the meanings of exit codes 0 and 1; `also`
    has further codes, except that of misuse.
    """
    reads = [
        *([", ".join(settings)] if settings else []),
        *([f"in the secrets directory {', '.join(files)}"] if files else []),
        *([f"on standard input {stdin}"] if stdin else []),
    ]
    lines = [
        f"Reads: {'; '.join(reads) or 'nothing'}.",
        f"Example: {example}",
        _exit_codes({Exit.OK: ok, Exit.FAILED: failed}, also),
    ]
    return parent.command(name, epilog="\n\n".join(lines))


def _exit_codes(here: dict[Exit, str], also: Sequence[Exit]) -> str:
    """The meaning of each code, specific or general."""
    meanings = IN_SHORT | here
    ends = [f"{code:d} {meanings[code]}" for code in (*EVER, *also)]
    return f"Exit codes: {'; '.join(ends)}."
