"""The simulator: Metals-API and Alpha Vantage as Millrace uses them, with simulated prices.

It follows their contracts, including the awkward parts, and simulates their failures on request:
`POST /faults/<api>/<fault>[/<count>]` makes the next requests fail; `GET /faults` lists the faults.
Every answer has a header that marks it as simulated, and the sources mark their events.
"""

import time
from collections.abc import Callable

from flask import Flask, Response

from millrace.config import Settings, about
from millrace.simulator import alpha_vantage, faults, metals_api
from millrace.sources.http import SIMULATOR_HEADER, SIMULATOR_KEY


def create_app(refresh: float = 60.0, clock: Callable[[], float] = time.time) -> Flask:
    """The WSGI application; tests pass a clock to choose the time."""
    app = Flask(__name__)
    metals, metals_faults = metals_api.blueprint(SIMULATOR_KEY, refresh, clock)
    stocks, stocks_faults = alpha_vantage.blueprint(SIMULATOR_KEY, refresh, clock)
    app.register_blueprint(metals)
    app.register_blueprint(stocks)
    app.register_blueprint(
        faults.blueprint({"metals_api": metals_faults, "alpha_vantage": stocks_faults})
    )

    @app.get("/live")
    def live() -> tuple[str, int]:
        return "", 204

    @app.after_request
    def mark(response: Response) -> Response:
        response.headers[SIMULATOR_HEADER] = "1"
        return response

    return app


def serve(settings: Settings) -> None:
    """Serve until SIGTERM."""
    from millrace.runtime import gunicorn, logging

    logging.configure("simulator", settings.log_level, settings.secrets())
    with about("simulator_tls_cert", "simulator_tls_key"):
        gunicorn.serve(
            create_app(settings.simulator_refresh_seconds),
            settings.simulator_port,
            settings.simulator_tls_cert,
            settings.simulator_tls_key,
        )
