"""The OpenAPI document of the API's routes."""

from collections.abc import Sequence
from importlib.metadata import version

import msgspec
from flask import Blueprint, Response

from millrace.api.auth import public
from millrace.api.ingest import QUOTES
from millrace.api.openapi.nodes import NAME, Node, parameter
from millrace.api.openapi.operations import ingest, ingest_quote, reading, stream_operation
from millrace.api.openapi.parameters import COSTS, EVENTS, PAGE, SYMBOL
from millrace.api.openapi.schemas import SCHEMAS
from millrace.api.openapi.sent import batch
from millrace.feeds import FEEDS


def blueprint(feed_names: Sequence[str]) -> Blueprint:
    """The route that serves the document, which contains nothing confidential."""
    routes = Blueprint("openapi", __name__)
    text = msgspec.json.encode(document(feed_names))

    @routes.get("/openapi.json")
    @public
    def openapi() -> Response:
        return Response(text, mimetype="application/json")

    return routes


def document(feed_names: Sequence[str]) -> Node:
    """The document for an API that serves these feeds."""
    feed = parameter("feed", {"type": "string", "enum": list(feed_names)}, place="path")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Millrace",
            "version": version("millrace"),
            "description": "Events as they were stored, as they are stored, and new ones. "
            "Event time is `timestamp_utc`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/live": {"get": reading("live", "Whether the API runs.", "Live", public_=True)},
            "/ready": {
                "get": {
                    **reading(
                        "ready",
                        "Whether what the API depends on answers. Details only with a token.",
                        "Health",
                        public_=True,
                        unavailable="Health",
                    ),
                    "security": [{}, {"bearer": []}],
                }
            },
            "/health": {
                "get": {
                    **reading(
                        "health",
                        "Whether what the API depends on answers, and the processor reads and"
                        " stores all that comes. Details only with a token.",
                        "Health",
                        public_=True,
                        unavailable="Health",
                    ),
                    "security": [{}, {"bearer": []}],
                }
            },
            "/openapi.json": {
                "get": reading("openapi", "This document.", "Document", public_=True)
            },
            "/v1/feeds": {"get": reading("feeds", "The feeds that are served.", "Feeds")},
            "/v1/{feed}/latest": {
                "get": reading(
                    "latest",
                    "The newest event of each symbol, by symbol, in pages.",
                    "Latest",
                    parameters=[feed, parameter("symbol", NAME), *PAGE],
                )
            },
            "/v1/{feed}/events": {
                "get": reading(
                    "events",
                    "Events by event time, in pages. A page shifts for nothing that arrives later."
                    " With `source` a page may have fewer events than `limit`, or none, although"
                    " `next` leads on: for a second, those of a source are looked for.",
                    "Page",
                    parameters=[feed, *EVENTS],
                )
            },
            "/market_data/last_price/{symbol}": {
                "get": reading(
                    "last_price",
                    "The latest price of a symbol, from Redis or, where it has none, MongoDB.",
                    "LastPrice",
                    parameters=[SYMBOL],
                    missing="No quote of this symbol is known.",
                )
            },
            "/market_data/last_quote/{symbol}": {
                "get": reading(
                    "last_quote",
                    "The latest quote of a symbol, as `last_price`.",
                    "LastQuote",
                    parameters=[SYMBOL],
                    missing="No quote of this symbol is known.",
                )
            },
            "/v1/{feed}/stream": {"get": stream_operation(feed)},
            "/v1/ingest/{feed}": {"post": ingest(feed)},
            **({"/ingest/quote": {"post": ingest_quote()}} if QUOTES in feed_names else {}),
            "/v1/token_usage/cost": {
                "get": reading(
                    "cost",
                    "What tokens cost by minute or hour, in pages, the newest first: price of the"
                    " GPUs * hours / tokens.",
                    "Costs",
                    parameters=COSTS,
                )
            },
            "/gpu/info": {
                "get": reading(
                    "gpu_info",
                    "What GPUs told last, in pages by host and index.",
                    "GpuInfo",
                    parameters=PAGE,
                    missing="There is nothing yet.",
                )
            },
        },
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {**SCHEMAS, "Items": batch([FEEDS[name] for name in feed_names])},
        },
    }
