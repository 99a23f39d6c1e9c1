"""`millrace producer`."""

from collections.abc import Callable
from typing import Annotated

import typer

from millrace.cli import described
from millrace.cli.described import Check, Function, Json
from millrace.cli.numbers import number

group = described.group("Look at the producer of this container, and give it commands.")


def command(name: str, arguments: str = "") -> Callable[[Function], Function]:
    """Declare a command to the producer."""

    def declare(function: Function) -> Function:
        return described.command(
            group,
            name,
            settings=("MILLRACE_PRODUCER_*", "MILLRACE_HTTP_PORT"),
            example=f"millrace producer {name}{arguments} --check",
            ok="the command is kept, or is in force already; the line says whether it is noticed",
            failed="this producer cannot do that, or a setting is wrong",
        )(function)

    return declare


@described.command(
    group,
    "show",
    settings=("MILLRACE_PRODUCER_NAME", "MILLRACE_PRODUCER_SOURCE", "MILLRACE_HTTP_PORT"),
    example="millrace producer show --json",
    ok="shown, even if the producer does not answer",
    failed="a setting is wrong: this is no producer's container",
)
def producer_show(as_json: Json = False) -> None:
    """Show the producer's state, its next poll and the rest of its quota."""
    from millrace import config
    from millrace.control import producer

    producer.show(config.load(), as_json=as_json)


@command("pause")
def producer_pause(check: Check = False, as_json: Json = False) -> None:
    """Poll nothing until the command to resume."""
    from millrace import config
    from millrace.control import producer

    producer.give(config.load(), producer.pause, check=check, as_json=as_json)


@command("resume")
def producer_resume(check: Check = False, as_json: Json = False) -> None:
    """Go on polling."""
    from millrace import config
    from millrace.control import producer

    producer.give(config.load(), producer.resume, check=check, as_json=as_json)


@command("run-now")
def producer_run_now(check: Check = False, as_json: Json = False) -> None:
    """Poll once, out of turn."""
    from millrace import config
    from millrace.control import producer

    producer.give(config.load(), producer.run_now, check=check, as_json=as_json)


@command("rate", " 5")
def producer_rate(
    per_second: Annotated[
        float | None,
        typer.Argument(parser=number(), help="Left out: the rate that is declared."),
    ] = None,
    check: Check = False,
    as_json: Json = False,
) -> None:
    """Set the number of events a second of a source that invents them."""
    from millrace import config
    from millrace.control import producer

    producer.give(config.load(), producer.rate(per_second), check=check, as_json=as_json)


@command("interval", " 60")
def producer_interval(
    seconds: Annotated[
        float | None,
        typer.Argument(parser=number(), help="Left out: the interval that is declared."),
    ] = None,
    check: Check = False,
    as_json: Json = False,
) -> None:
    """Set the seconds between polls."""
    from millrace import config
    from millrace.control import producer

    producer.give(config.load(), producer.interval(seconds), check=check, as_json=as_json)
