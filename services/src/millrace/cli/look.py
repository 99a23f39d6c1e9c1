"""`millrace config`, `status`, `watch` and `health`: read-only commands."""

from pathlib import Path
from typing import Annotated

import typer

from millrace.cli.described import FILES, OPERATOR, REDIS, SERVERS, Json, command


def add(app: typer.Typer) -> None:
    """Add the commands."""

    @command(
        app,
        "config",
        settings=("MILLRACE_*",),
        files=("any secret",),
        example="millrace config",
        ok="the settings can be used",
        failed="a setting is wrong or unknown",
    )
    def show_config() -> None:
        """Print the effective settings; secrets are masked."""
        import json

        from millrace import config
        from millrace.producer import timing
        from millrace.runtime.redaction import scrub

        settings = config.load()
        timing.from_settings(settings)
        shown = settings.model_dump(mode="json")
        typer.echo(scrub(json.dumps(shown, indent=2, ensure_ascii=False)))

    @command(
        app,
        "status",
        settings=(*SERVERS, *OPERATOR, "MILLRACE_API_URL"),
        files=(*FILES, "api_token"),
        example="millrace status --json",
        ok="every service is ready, and Kafka and MongoDB answered",
        failed="something is not ready or cannot be asked: the last line names it",
    )
    def status(as_json: Json = False) -> None:
        """Show services, lag, dead letters and counts."""
        from millrace import config
        from millrace.watch import status

        status.run(config.load(), as_json=as_json)

    @command(
        app,
        "watch",
        settings=(*SERVERS, *REDIS, *OPERATOR),
        files=(*FILES, "redis_password", "api_token"),
        example="millrace watch --once",
        ok="shown, problems of the pipeline included",
        failed="a wrong setting, or a file that cannot be written",
    )
    def watch(
        once: Annotated[bool, typer.Option("--once", help="Show one frame and end.")] = False,
        svg: Annotated[Path | None, typer.Option(help="Draw one frame into this file.")] = None,
    ) -> None:
        """Show what flows, the latest prices and costs, and how the services are, each second."""
        from millrace import config, watch

        watch.run(config.load(), once=once, svg=svg)

    @command(
        app,
        "health",
        files=("ca.pem",),
        example="millrace health http://localhost:8081/ready",
        ok="it answered with success",
        failed="it did not answer, or not with success",
    )
    def health(
        url: Annotated[str, typer.Argument(help="What is asked.")] = "http://localhost:8081/live",
        ca_file: Annotated[
            Path, typer.Option(help="Authority of the certificate that https must have.")
        ] = Path("/run/secrets/ca.pem"),
    ) -> None:
        """Ask a local endpoint whether it is healthy."""
        from millrace.runtime import health_check

        health_check.check(url, ca_file)
