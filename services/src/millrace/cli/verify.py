"""`millrace verify`."""

from typing import Annotated

import typer

from millrace.cli import described
from millrace.cli.described import (
    FILES,
    KAFKA,
    KAFKA_FILES,
    MONGODB,
    OPERATOR,
    REDIS,
    SERVERS,
    Json,
)
from millrace.cli.numbers import number

LONGEST_WAIT_SECONDS = 86_400
group = described.group("Prove what the pipeline promises.")
OK = "every check passed"
FAILED = "a check did not pass, or something does not answer"


@described.command(
    group,
    "data",
    settings=(*SERVERS, *REDIS, *OPERATOR),
    files=(*FILES, "redis_password"),
    example="millrace verify data --json",
    ok=OK,
    failed=FAILED,
)
def verify_data(as_json: Json = False) -> None:
    """Every event is stored or a dead letter, once, and equal to its source."""
    from millrace import config, verify

    verify.show_data(config.load(), as_json=as_json)


@described.command(
    group,
    "access",
    settings=(*SERVERS, *REDIS, "MILLRACE_API_URL", "MILLRACE_VERIFY_CLOSED"),
    files=(*FILES, "redis_password", "api_token", "api_ingest_token"),
    example="millrace verify access",
    ok="every attempt was refused",
    failed="an attempt was not refused, or something does not answer",
)
def verify_access(as_json: Json = False) -> None:
    """Clients without the right are refused."""
    from millrace import config, verify

    verify.show_access(config.load(), as_json=as_json)


@described.command(
    group,
    "kafka",
    settings=(*KAFKA, "MILLRACE_FEEDS", "MILLRACE_VERIFY_REPLICATION_FACTOR"),
    files=KAFKA_FILES,
    example="millrace verify kafka",
    ok=OK,
    failed=FAILED,
)
def verify_kafka(as_json: Json = False) -> None:
    """Brokers answer, topics are as declared, every replica is in sync."""
    from millrace import config, verify

    verify.show_kafka(config.load(), as_json=as_json)


@described.command(
    group,
    "mongodb",
    settings=(*MONGODB, "MILLRACE_FEEDS"),
    files=("ca.pem", "mongodb_password"),
    example="millrace verify mongodb",
    ok=OK,
    failed=FAILED,
)
def verify_mongodb(as_json: Json = False) -> None:
    """Members serve, one is primary, collections have their indexes."""
    from millrace import config, verify

    verify.show_mongodb(config.load(), as_json=as_json)


@described.command(
    group,
    "processor",
    settings=(*KAFKA, *OPERATOR, "MILLRACE_PROCESSOR_GROUP_ID", "MILLRACE_API_URL"),
    files=(*FILES, "api_token"),
    example="millrace verify processor",
    ok=OK,
    failed=FAILED,
)
def verify_processor(as_json: Json = False) -> None:
    """The processor is ready and has caught up, and the API answers."""
    from millrace import config, verify

    verify.show_processor(config.load(), as_json=as_json)


@described.command(
    group,
    "workflow",
    settings=(*SERVERS, *OPERATOR),
    files=FILES,
    example="millrace verify workflow --seconds 60",
    ok="events came, and all of them are stored",
    failed="none came in time, one is lost, or something does not answer",
)
def verify_workflow(
    seconds: Annotated[
        float,
        typer.Option(
            parser=number(0, LONGEST_WAIT_SECONDS),
            help=f"How long to wait for the next event; {LONGEST_WAIT_SECONDS:g} at most.",
        ),
    ] = 180.0,
    as_json: Json = False,
) -> None:
    """The next events of the producers arrive in the database."""
    from millrace import config, verify

    verify.show_workflow(config.load(), seconds=seconds, as_json=as_json)
