"""`millrace dead-letters`."""

from typing import Annotated

import typer

from millrace.cli import described
from millrace.cli.described import KAFKA, KAFKA_FILES, Json
from millrace.cli.numbers import whole

group = described.group("Records that could not be processed.")
SETTINGS = (*KAFKA, "MILLRACE_DEAD_LETTERS_TOPIC")
POSITION = "As the list has it: partition/offset."
FAILED = "Kafka does not answer, or there is no such dead letter"


@described.command(
    group,
    "list",
    settings=SETTINGS,
    files=KAFKA_FILES,
    example="millrace dead-letters list --limit 5",
    ok="listed, even if there are none",
    failed="Kafka does not answer",
)
def dead_letters_list(
    limit: Annotated[int, typer.Option(parser=whole(1), help="How many at most, from 1.")] = 20,
    as_json: Json = False,
) -> None:
    """List the newest dead letters."""
    from millrace import config, dead_letters

    dead_letters.list_letters(config.load(), limit=limit, as_json=as_json)


@described.command(
    group,
    "show",
    settings=SETTINGS,
    files=KAFKA_FILES,
    example="millrace dead-letters show 0/17",
    ok="shown",
    failed=FAILED,
)
def dead_letters_show(position: Annotated[str, typer.Argument(help=POSITION)]) -> None:
    """Show the dead letter at a position of the list: its reason, its origin and its bytes."""
    from millrace import config, dead_letters

    dead_letters.show(config.load(), position=position)


@described.command(
    group,
    "replay",
    settings=SETTINGS,
    files=KAFKA_FILES,
    example="millrace dead-letters replay 0/17",
    ok="sent; of all, those that cannot be sent are named and skipped",
    failed=f"{FAILED}, or it cannot be sent",
)
def dead_letters_replay(
    position: Annotated[str | None, typer.Argument(help=f"{POSITION} Left out: all.")] = None,
) -> None:
    """Send one dead letter to its topic again, or all that have not been sent yet."""
    from millrace import config, dead_letters

    dead_letters.replay(config.load(), position=position)
