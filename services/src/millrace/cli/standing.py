"""`millrace standing`."""

from typing import Annotated

import typer

from millrace.cli import described
from millrace.cli.described import KAFKA, KAFKA_FILES, OPERATOR, Check
from millrace.cli.numbers import whole

group = described.group("Tell the processor how to go on where a partition stands still.")
SETTINGS = (*KAFKA, *OPERATOR)
OK = "the command is given; the last line says whether it is carried out already"
FAILED = "the command is refused, or Kafka or the processor does not answer"
Reason = Annotated[
    str, typer.Option(help="Why: it is logged, and said in each dead letter that comes of it.")
]


@described.command(
    group,
    "skip",
    settings=SETTINGS,
    files=KAFKA_FILES,
    example="millrace standing skip stock-data/0/17 --reason 'no event' --check",
    ok=OK,
    failed=FAILED,
)
def standing_skip(
    position: Annotated[str, typer.Argument(help="Where it stands: topic/partition/offset.")],
    reason: Reason,
    last: Annotated[
        int | None,
        typer.Option("--to", parser=whole(), help="The last offset to skip; left out: that one."),
    ] = None,
    fatal: Annotated[
        bool,
        typer.Option(
            "--fatal",
            help="The record ends the processor, each time, before that can say that it stands.",
        ),
    ] = False,
    check: Check = False,
) -> None:
    """Make the record at which a partition stands a dead letter, and go on behind it."""
    from millrace import config
    from millrace.control import processor

    processor.skip(config.load(), position, last=last, reason=reason, check=check, fatal=fatal)


@described.command(
    group,
    "resume",
    settings=SETTINGS,
    files=KAFKA_FILES,
    example="millrace standing resume stock-data --reason 'they are known' --check",
    ok=OK,
    failed=FAILED,
)
def standing_resume(
    topic: Annotated[str, typer.Argument(help="The topic of a feed of which too much is bad.")],
    reason: Reason,
    check: Check = False,
) -> None:
    """Read all that is in a topic now, however many records become dead letters."""
    from millrace import config
    from millrace.control import processor

    processor.resume(config.load(), topic, reason=reason, check=check)
