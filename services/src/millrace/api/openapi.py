"""The OpenAPI document: what the routes of this API take and answer."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import msgspec
from flask import Blueprint, Response

from millrace.api.auth import public
from millrace.api.events import DEFAULT_LIMIT, MAX_LIMIT
from millrace.api.problems import MEDIA_TYPE

Node = dict[str, Any]


def blueprint(feed_names: Sequence[str]) -> Blueprint:
    """The route that serves the document. It holds nothing that a client must not know."""
    routes = Blueprint("openapi", __name__)
    text = msgspec.json.encode(document(feed_names))

    @routes.get("/openapi.json")
    @public
    def openapi() -> Response:
        return Response(text, mimetype="application/json")

    return routes


def document(feed_names: Sequence[str]) -> Node:
    """The document for an API that serves these feeds."""
    feed = _parameter("feed", {"type": "string", "enum": list(feed_names)}, place="path")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Millrace",
            "version": version("millrace"),
            "description": "Stored market events. Event time is `timestamp_utc`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/live": {"get": _operation("live", "Whether the API runs.", "Live", public_=True)},
            "/health": {
                "get": {
                    **_operation(
                        "health",
                        "Whether what the API depends on answers. Details only with a token.",
                        "Health",
                        public_=True,
                        unavailable="Health",
                    ),
                    "security": [{}, {"bearer": []}],
                }
            },
            "/openapi.json": {
                "get": _operation("openapi", "This document.", "Document", public_=True)
            },
            "/v1/feeds": {"get": _operation("feeds", "The feeds that are served.", "Feeds")},
            "/v1/{feed}/latest": {
                "get": _operation(
                    "latest",
                    "The newest event of each symbol.",
                    "Latest",
                    parameters=[feed, _parameter("symbol", NAME)],
                )
            },
            "/v1/{feed}/events": {
                "get": _operation(
                    "events",
                    "Events by event time, in pages. A page shifts for nothing that arrives later.",
                    "Page",
                    parameters=[feed, *_EVENTS_PARAMETERS],
                )
            },
            "/v1/token_usage/cost": {
                "get": _operation(
                    "cost",
                    "What tokens cost by minute or hour: price of the GPUs * hours / tokens.",
                    "Costs",
                    parameters=_COST_PARAMETERS,
                )
            },
            "/gpu/info": {
                "get": {
                    **(info := _operation("gpu_info", "What GPUs told last.", "GpuInfo")),
                    "responses": {
                        **info["responses"],
                        "400": _answer("It takes no parameter.", "Problem"),
                        "404": _answer("There is nothing yet.", "Problem"),
                    },
                }
            },
        },
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": _SCHEMAS,
        },
    }


def _operation(
    name: str,
    summary: str,
    schema: str,
    *,
    parameters: Sequence[Node] = (),
    public_: bool = False,
    unavailable: str = "Problem",
) -> Node:
    responses = {"200": _answer("Success.", schema)}
    if parameters:
        responses["400"] = _answer("A parameter is not understood.", "Problem")
        responses["404"] = _answer("There is no such feed.", "Problem")
    responses["401"] = _answer("The token is missing or not known.", "Problem")
    if not public_:
        responses["403"] = _answer("The token lacks the scope `read`.", "Problem")
    responses["503"] = _answer("A dependency does not answer.", unavailable)
    return {
        "operationId": name,
        "summary": summary,
        "parameters": list(parameters),
        "responses": responses,
        "security": [{}] if public_ else [{"bearer": []}],
    }


def _answer(description: str, schema: str) -> Node:
    media_type = MEDIA_TYPE if schema == "Problem" else "application/json"
    reference = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    return {"description": description, "content": {media_type: reference}}


def _parameter(name: str, schema: Node, text: str = "", place: str = "query") -> Node:
    node: Node = {"name": name, "in": place, "required": place == "path", "schema": schema}
    return {**node, "description": text} if text else node


def _object(required: dict[str, Node], optional: dict[str, Node] | None = None) -> Node:
    return {
        "type": "object",
        "required": sorted(required),
        "properties": {**required, **(optional or {})},
        "additionalProperties": False,
    }


def _list(schema: Node) -> Node:
    return {"type": "array", "items": schema}


def _ref(name: str) -> Node:
    return {"$ref": f"#/components/schemas/{name}"}


STRING: Node = {"type": "string"}
TIME: Node = {"type": "string", "format": "date-time"}
COUNT: Node = {"type": "integer", "minimum": 0}
NAME: Node = {"type": "string", "minLength": 1, "maxLength": 200}
STATUS: Node = {"enum": ["ok", "unavailable"]}

_EVENTS_PARAMETERS = [
    _parameter("symbol", NAME),
    _parameter("source", NAME),
    _parameter("from", TIME, "Not before this time."),
    _parameter("to", TIME, "Before this time."),
    _parameter("order", {"enum": ["newest", "oldest"], "default": "newest"}, "Which come first."),
    _parameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
    _parameter("cursor", {"type": "string", "maxLength": 1024}, "`next` of the page before."),
]

_COST_PARAMETERS = [
    _parameter("by", {"enum": ["model", "gpu", "host"], "default": "model"}, "What is grouped."),
    _parameter("bucket", {"enum": ["minute", "hour"], "default": "hour"}),
    _parameter("from", TIME, "Not before this time; else the 24 buckets before `to`."),
    _parameter("to", TIME, "Before this time; else now."),
    _parameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        "How many are shown, the newest first.",
    ),
]

_DOLLARS: Node = {"type": ["number", "null"], "minimum": 0}
_LATENCY: Node = {"type": "number", "minimum": 0}

_SCHEMAS: Node = {
    "Event": {
        **_object(
            {
                "event_id": STRING,
                "schema_version": {"type": "integer"},
                "feed": STRING,
                "source": STRING,
                "simulated": {"type": "boolean"},
                "symbol": STRING,
                "timestamp_utc": TIME,
                "produced_at": TIME,
                "meta": {"type": "object", "description": "Values that Millrace has derived."},
            },
            {"price": _object({"value": {"type": "number"}, "currency": STRING})},
        ),
        "additionalProperties": True,
        "description": "An event. A feed adds fields of its own.",
    },
    "GpuInfo": {
        "allOf": [
            _ref("Event"),
            {
                "type": "object",
                "required": ["gpus", "host", "gpu_index"],
                "properties": {"gpus": _list(_ref("Event"))},
            },
        ],
        "description": "The newest event of all GPUs, and in `gpus` the newest of each.",
    },
    "Costs": _object(
        {
            "by": STRING,
            "bucket": STRING,
            "costs": _list(
                _object(
                    {
                        "start": TIME,
                        "end": TIME,
                        "group": STRING,
                        "prompt_tokens": COUNT,
                        "completion_tokens": COUNT,
                        "tokens": COUNT,
                        "events": COUNT,
                        "gpus": COUNT,
                        "hours": {
                            "type": "number",
                            "minimum": 0,
                            "maximum": 1,
                            "description": "How much of the bucket was asked for and is over.",
                        },
                        "price_per_hour_usd": {
                            **_DOLLARS,
                            "description": "Of all its GPUs; null if that of one is not known.",
                        },
                        "cost_per_token": {
                            **_DOLLARS,
                            "description": "price_per_hour_usd * hours / tokens; null without.",
                        },
                    }
                )
            ),
        }
    ),
    "Latest": _object({"events": _list(_ref("Event"))}),
    "Page": _object(
        {
            "events": _list(_ref("Event")),
            "next": {"type": ["string", "null"], "description": "Cursor of the next page."},
        }
    ),
    "Feeds": _object(
        {"feeds": _list(_object({"name": STRING, "latest": STRING, "events": STRING}))}
    ),
    "Live": _object({"status": {"const": "ok"}}),
    "Health": _object(
        {
            "status": STATUS,
            "checks": _object(
                {
                    "mongodb": _object({"status": STATUS}, {"latency_ms": _LATENCY}),
                    "kafka": _object(
                        {"status": STATUS},
                        {
                            "latency_ms": _LATENCY,
                            "lag": COUNT,
                            "partitions": _list(
                                _object(
                                    {
                                        "topic": STRING,
                                        "partition": COUNT,
                                        "end": COUNT,
                                        "lag": COUNT,
                                    }
                                )
                            ),
                        },
                    ),
                }
            ),
        }
    ),
    "Document": {"type": "object"},
    "Problem": _object(
        {
            "type": STRING,
            "title": STRING,
            "status": {"type": "integer"},
            "detail": STRING,
        }
    ),
}
