"""The command line: `millrace <command>`. Commands import what they need when they run."""

import sys
import traceback
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from millrace.errors import MillraceError
from millrace.redaction import scrub

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
dead_letters = typer.Typer(help="Records that could not be processed.", no_args_is_help=True)
standing = typer.Typer(
    help="Tell the processor how to go on where a partition stands still.", no_args_is_help=True
)
producer = typer.Typer(
    help="Look at the producer of this container, and give it orders.", no_args_is_help=True
)
admin = typer.Typer(
    help="Bring a server to the state described in JSON on standard input.", no_args_is_help=True
)
verify = typer.Typer(help="Prove what the pipeline promises.", no_args_is_help=True)
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(standing, name="standing")
app.add_typer(producer, name="producer")
app.add_typer(admin, name="admin")
app.add_typer(verify, name="verify")

Check = Annotated[bool, typer.Option("--check", help="Say what would change, change nothing.")]
DAY = ["%Y-%m-%d"]
Reason = Annotated[
    str, typer.Option(help="Why: it is logged, and said in each dead letter that comes of it.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def show_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"millrace {version('millrace')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Say which it is."),
    ] = False,
) -> None:
    """The programs of a deployment. Settings are MILLRACE_* variables: `millrace config`."""


@app.command()
def produce(
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=DAY, help="Publish the past from this day, and end."),
    ] = None,
    end: Annotated[
        datetime | None, typer.Option("--to", formats=DAY, help="The day before which it ends.")
    ] = None,
) -> None:
    """Poll a source and publish its events, for ever or for a range of past days."""
    from millrace import config, producer
    from millrace.producer import backfill

    if first is None and end is None:
        producer.run(config.load())
    else:
        backfill.run(config.load(), first and first.date(), end and end.date())


@app.command()
def process() -> None:
    """Consume events, derive values and store documents."""
    from millrace import config
    from millrace.processor import service

    service.run(config.load())


@app.command()
def api() -> None:
    """Serve stored events over HTTPS."""
    from millrace import api, config

    api.serve(config.load())


@app.command()
def simulate() -> None:
    """Serve the upstream APIs with invented prices."""
    from millrace import config, simulator

    simulator.serve(config.load())


@app.command(name="config")
def show_config() -> None:
    """Print the effective settings; secrets are masked."""
    from millrace import config

    typer.echo(config.load().model_dump_json(indent=2))


@app.command()
def status(as_json: Json = False) -> None:
    """Show services, lag, dead letters and counts."""
    from millrace import config, status

    status.run(config.load(), as_json=as_json)


@app.command()
def watch(
    once: Annotated[bool, typer.Option("--once", help="Show one frame and end.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Draw one frame into this file.")] = None,
) -> None:
    """Show what flows, the latest prices and costs, and how the services are, each second."""
    from millrace import config, watch

    watch.run(config.load(), once=once, svg=svg)


@app.command()
def health(
    url: Annotated[str, typer.Argument()] = "http://localhost:8081/live",
    ca_file: Annotated[Path, typer.Option()] = Path("/run/secrets/ca.pem"),
) -> None:
    """Exit with 0 if a local endpoint answers with success."""
    from millrace import health

    health.check(url, ca_file)


@dead_letters.command(name="list")
def dead_letters_list(limit: int = 20, as_json: Json = False) -> None:
    """List the newest dead letters."""
    from millrace import config, dead_letters

    dead_letters.list_letters(config.load(), limit=limit, as_json=as_json)


@dead_letters.command(name="show")
def dead_letters_show(position: str) -> None:
    """Show the dead letter at a position of the list: its reason, its origin and its bytes."""
    from millrace import config, dead_letters

    dead_letters.show(config.load(), position=position)


@dead_letters.command(name="replay")
def dead_letters_replay(position: Annotated[str | None, typer.Argument()] = None) -> None:
    """Send one dead letter to its topic again, or all that have not been sent yet."""
    from millrace import config, dead_letters

    dead_letters.replay(config.load(), position=position)


@standing.command(name="skip")
def standing_skip(
    position: Annotated[str, typer.Argument(help="Where it stands: topic/partition/offset.")],
    reason: Reason,
    last: Annotated[
        int | None, typer.Option("--to", help="The last offset to skip; left out: that one.")
    ] = None,
    check: Check = False,
) -> None:
    """Make the record at which a partition stands a dead letter, and go on behind it."""
    from millrace import config, standing

    standing.skip(config.load(), position, last=last, reason=reason, check=check)


@standing.command(name="resume")
def standing_resume(
    topic: Annotated[str, typer.Argument(help="The topic of a feed of which too much is bad.")],
    reason: Reason,
    check: Check = False,
) -> None:
    """Read all that is in a topic now, however many records become dead letters."""
    from millrace import config, standing

    standing.resume(config.load(), topic, reason=reason, check=check)


@producer.command(name="show")
def producer_show(as_json: Json = False) -> None:
    """Show what it does, when it polls next and what is left of its quota."""
    from millrace import config
    from millrace.producer import orders

    orders.show(config.load(), as_json=as_json)


@producer.command(name="pause")
def producer_pause(check: Check = False, as_json: Json = False) -> None:
    """Poll nothing until it is told to resume."""
    from millrace import config
    from millrace.producer import orders

    orders.give(config.load(), orders.pause, check=check, as_json=as_json)


@producer.command(name="resume")
def producer_resume(check: Check = False, as_json: Json = False) -> None:
    """Go on polling."""
    from millrace import config
    from millrace.producer import orders

    orders.give(config.load(), orders.resume, check=check, as_json=as_json)


@producer.command(name="run-now")
def producer_run_now(check: Check = False, as_json: Json = False) -> None:
    """Poll once, out of turn."""
    from millrace import config
    from millrace.producer import orders

    orders.give(config.load(), orders.run_now, check=check, as_json=as_json)


@producer.command(name="rate")
def producer_rate(
    per_second: Annotated[
        float | None, typer.Argument(help="Left out: the rate that is declared.")
    ] = None,
    check: Check = False,
    as_json: Json = False,
) -> None:
    """Make so many events a second: sources that invent them."""
    from millrace import config
    from millrace.producer import orders

    orders.give(config.load(), orders.rate(per_second), check=check, as_json=as_json)


@producer.command(name="interval")
def producer_interval(
    seconds: Annotated[
        float | None, typer.Argument(help="Left out: the interval that is declared.")
    ] = None,
    check: Check = False,
    as_json: Json = False,
) -> None:
    """Poll every so many seconds."""
    from millrace import config
    from millrace.producer import orders

    orders.give(config.load(), orders.interval(seconds), check=check, as_json=as_json)


@admin.command(name="kafka")
def admin_kafka(check: Check = False) -> None:
    """Topics, users, access rules and quotas."""
    from millrace.admin import kafka

    kafka.run(check=check)


@admin.command(name="mongodb")
def admin_mongodb(check: Check = False) -> None:
    """Replica set, roles and users."""
    from millrace.admin import mongodb

    mongodb.run(check=check)


@admin.command(name="rewind")
def admin_rewind(check: Check = False) -> None:
    """A consumer group that nobody is in starts at the beginning again."""
    from millrace.admin import rewind

    rewind.run(check=check)


@verify.command(name="data")
def verify_data(as_json: Json = False) -> None:
    """Every event is stored or a dead letter, once, and equal to its source."""
    from millrace import config, verify

    verify.data(config.load(), as_json=as_json)


@verify.command(name="access")
def verify_access(as_json: Json = False) -> None:
    """Clients without the right to are refused."""
    from millrace import config, verify

    verify.access(config.load(), as_json=as_json)


@verify.command(name="kafka")
def verify_kafka(as_json: Json = False) -> None:
    """Brokers answer, topics are as declared, every replica is in sync."""
    from millrace import config, verify

    verify.kafka(config.load(), as_json=as_json)


@verify.command(name="mongodb")
def verify_mongodb(as_json: Json = False) -> None:
    """Members serve, one is primary, collections have their indexes."""
    from millrace import config, verify

    verify.mongodb(config.load(), as_json=as_json)


@verify.command(name="processor")
def verify_processor(as_json: Json = False) -> None:
    """The processor is ready and has caught up, and the API answers."""
    from millrace import config, verify

    verify.processor(config.load(), as_json=as_json)


@verify.command(name="workflow")
def verify_workflow(
    seconds: Annotated[float, typer.Option(help="How long to wait for the next event.")] = 180.0,
    as_json: Json = False,
) -> None:
    """The next events of the producers arrive in the database."""
    from millrace import config, verify

    verify.workflow(config.load(), seconds=seconds, as_json=as_json)


def main() -> None:
    """Run a command; an error that a person has to put right is one line, and exit code 1."""
    try:
        app()
    except MillraceError as error:
        sys.exit(f"millrace: {scrub(str(error))}")
    except Exception:
        # Python would show it as it is, with the URLs and keys that libraries put into its text.
        sys.exit(scrub(traceback.format_exc()))
