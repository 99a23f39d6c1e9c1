"""`millrace dashboard`."""

import typer

from millrace.cli.archive import check_image
from millrace.cli.described import command


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(
        app,
        "dashboard",
        settings=(
            "MILLRACE_DASHBOARD_*",
            "MILLRACE_API_URL",
            "MILLRACE_WAREHOUSE_FILE",
            "MILLRACE_STATUS_HOSTS",
            "MILLRACE_ARCHIVER_HOST",
            "MILLRACE_WAREHOUSE_HOST",
            "MILLRACE_HTTP_PORT",
        ),
        files=("ca.pem", "tls.crt", "tls.key", "api_token", "dashboard_password_hash"),
        example="millrace dashboard",
        ok="stopped by SIGTERM",
        failed="a wrong setting, or an unknown error",
        also=(),
    )
    def dashboard() -> None:
        """Show the data and the pipeline in a browser, behind a login."""
        check_image()
        from millrace import config
        from millrace.dashboard import server

        server.run(config.load())
