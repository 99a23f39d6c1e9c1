"""The API: stored events over HTTPS, for those who hold a token."""

from millrace.config import Settings


def serve(settings: Settings) -> None:
    """Serve until SIGTERM."""
    from millrace import logging, wsgi
    from millrace.api.app import create_app
    from millrace.api.auth import load_tokens
    from millrace.api.dependencies import Dependencies
    from millrace.feeds import FEEDS

    settings.require("kafka_username", "kafka_password", "mongodb_username", "mongodb_password")
    if settings.redis_host:
        settings.require("redis_username", "redis_password")
    logging.configure("api", settings.log_level, settings.secrets())
    app = create_app(
        feeds=[FEEDS[name] for name in settings.feeds],
        tokens=load_tokens(settings.api_tokens_file),
        dependencies=Dependencies(settings),
        stale_seconds=settings.stale_seconds,
    )
    wsgi.serve(app, settings.api_port, settings.api_tls_cert, settings.api_tls_key)
