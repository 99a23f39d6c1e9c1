"""The API: stored and new events over HTTPS, for clients with a token."""

from millrace.config import Settings, about


def serve(settings: Settings) -> None:
    """Serve until SIGTERM."""
    import threading

    from millrace.api.app import create_app
    from millrace.api.auth import load_tokens
    from millrace.api.dependencies import Dependencies
    from millrace.api.ingest import MAX_REQUESTS
    from millrace.api.stream import MAX_STREAMS
    from millrace.clients import authority
    from millrace.feeds import FEEDS
    from millrace.runtime import gunicorn, logging

    settings.require("kafka_username", "kafka_password", "mongodb_username", "mongodb_password")
    if settings.redis_host:
        settings.require("redis_username", "redis_password")
    logging.configure("api", settings.log_level, settings.secrets())
    stop = threading.Event()
    with about("api_tokens_file"):
        tokens = load_tokens(settings.api_tokens_file)
    # Clients are created when they are needed, which would be too late for this error.
    redis = ("redis_ca_file",) if settings.redis_host else ()
    authority.check(settings, "kafka_ca_file", "mongodb_ca_file", *redis)
    app = create_app(
        feeds=[FEEDS[name] for name in settings.feeds],
        tokens=tokens,
        dependencies=Dependencies(settings),
        stale_seconds=settings.stale_seconds,
        stop=stop,
        origins=settings.api_origins,
    )
    with about("api_tls_cert", "api_tls_key"):
        gunicorn.serve(
            app,
            settings.api_port,
            settings.api_tls_cert,
            settings.api_tls_key,
            # Threads in addition to those that streams and ingestion may hold.
            threads=gunicorn.THREADS + MAX_STREAMS + MAX_REQUESTS,
            stop=stop,
        )
