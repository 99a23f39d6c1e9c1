"""`millrace dashboard`: Streamlit with our login in front of it."""

from pathlib import Path
from typing import Any

import streamlit as st
import structlog
from starlette.middleware import Middleware

from millrace.clients import authority
from millrace.config import Settings
from millrace.dashboard.gate import Gate
from millrace.dashboard.login import Door, Sessions
from millrace.errors import ConfigurationError
from millrace.runtime import logging

log = structlog.get_logger(__name__)

SCRIPT = Path(__file__).with_name("app.py")
CACHE = "64mb"
"""All that is kept of answers and queries, over all sessions."""


def run(settings: Settings) -> None:
    """Serve until SIGTERM. Raises ConfigurationError."""
    settings.require("api_token", "dashboard_password_hash")
    authority.check(settings, "mongodb_ca_file")
    for file in (settings.dashboard_tls_cert, settings.dashboard_tls_key):
        if not file.is_file():
            raise ConfigurationError(f"there is no {file}: the certificate or key of the dashboard")
    logging.configure("dashboard", settings.log_level, settings.secrets())
    try:
        made = application(settings.dashboard_password_hash.get_secret_value())
    except ValueError as error:
        raise ConfigurationError(f"dashboard_password_hash is no hash: {error}") from None
    made.run(config=options(settings))


def application(password_hash: str) -> st.App:
    """The pages behind the login."""
    gate = Middleware(Gate, door=Door(password_hash), sessions=Sessions())
    return st.App(SCRIPT, middleware=[gate], on_script_error=_log_error)


def options(settings: Settings) -> dict[str, Any]:
    """Streamlit's options; what is not here is as it is by default: XSRF protection is on, web
    pages of other origins are refused, and no files are served."""
    return {
        "browser.gatherUsageStats": False,
        # Each table has its own, with times in UTC.
        "client.disableDataExport": True,
        "client.showErrorDetails": "none",
        "client.showErrorLinks": "false",
        "client.toolbarMode": "viewer",
        "global.developmentMode": False,
        "logger.hideWelcomeMessage": True,
        "logger.level": "warning",
        "runner.magicEnabled": False,
        "server.address": "0.0.0.0",  # noqa: S104 - of its container; what is published is elsewhere
        "server.enableCORS": True,
        "server.enableXsrfProtection": True,
        "server.fileWatcherType": "none",
        "server.headless": True,
        "server.maxCacheDataSize": CACHE,
        "server.maxMessageSize": 20,
        "server.maxUploadSize": 1,
        "server.port": settings.dashboard_port,
        "server.sslCertFile": str(settings.dashboard_tls_cert),
        "server.sslKeyFile": str(settings.dashboard_tls_key),
    }


def _log_error(error: Exception) -> bool:
    """Log an error that no page expects; the page says that there is one, without details."""
    log.error("a page failed", exc_info=error)
    return False
