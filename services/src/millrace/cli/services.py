"""`millrace produce`, `process`, `api` and `simulate`: the services."""

from datetime import datetime
from typing import Annotated

import typer

from millrace.cli.described import DAY, FILES, KAFKA, KAFKA_FILES, REDIS, SERVERS, command
from millrace.runtime.exit_codes import Exit

ENDED = "stopped by SIGTERM, with everything in flight completed"
FAILED = "a wrong setting, refused credentials, or an unknown error"


def add(app: typer.Typer) -> None:
    """Add the commands."""

    @command(
        app,
        "produce",
        settings=(
            *KAFKA,
            "MILLRACE_PRODUCER_*",
            "MILLRACE_METALS_API_*",
            "MILLRACE_ALPHA_VANTAGE_*",
            "MILLRACE_REPLAY_FILE",
            "MILLRACE_HTTP_PORT",
        ),
        files=(*KAFKA_FILES, "metals_api_key", "alpha_vantage_api_key"),
        example="millrace produce --from 2013-01-01 --to 2013-02-01",
        ok=f"{ENDED}, or the range is published",
        failed=FAILED,
        also=(Exit.HUNG,),
    )
    def produce(
        first: Annotated[
            datetime | None,
            typer.Option("--from", formats=DAY, help="Publish the past from this day, and end."),
        ] = None,
        end: Annotated[
            datetime | None, typer.Option("--to", formats=DAY, help="The day before which it ends.")
        ] = None,
    ) -> None:
        """Poll a source and publish its events, continuously or for a range of past days."""
        from millrace import config, producer
        from millrace.producer import backfill

        if first is None and end is None:
            producer.run(config.load())
        else:
            backfill.run(config.load(), first and first.date(), end and end.date())

    @command(
        app,
        "process",
        settings=(
            *SERVERS,
            *REDIS,
            "MILLRACE_PROCESSOR_*",
            "MILLRACE_FEEDS",
            "MILLRACE_HTTP_PORT",
        ),
        files=(*FILES, "redis_password"),
        example="millrace process",
        ok=ENDED,
        failed=FAILED,
        also=(Exit.HUNG,),
    )
    def process() -> None:
        """Consume events, derive values and store documents."""
        from millrace import config
        from millrace.processor import service

        service.run(config.load())

    @command(
        app,
        "api",
        settings=(*SERVERS, *REDIS, "MILLRACE_API_*", "MILLRACE_FEEDS"),
        files=(*FILES, "redis_password", "tls.crt", "tls.key", "api_tokens.json"),
        example="millrace api",
        ok=ENDED,
        failed=FAILED,
        also=(),
    )
    def api() -> None:
        """Serve stored events over HTTPS, and take new ones."""
        from millrace import api, config

        api.serve(config.load())

    @command(
        app,
        "simulate",
        settings=("MILLRACE_SIMULATOR_*",),
        files=("tls.crt", "tls.key"),
        example="millrace simulate",
        ok=ENDED,
        failed=FAILED,
        also=(),
    )
    def simulate() -> None:
        """Serve the upstream APIs with invented prices."""
        from millrace import config, simulator

        simulator.serve(config.load())
