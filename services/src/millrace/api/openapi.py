"""The OpenAPI document: what the routes of this API take and answer."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import msgspec
from flask import Blueprint, Response

from millrace.api import bodies, follow, items, stream
from millrace.api.auth import public
from millrace.api.costs import HOUR, LONGEST
from millrace.api.events import DEFAULT_LIMIT, MAX_CURSOR, MAX_LIMIT
from millrace.api.ingest import QUOTES
from millrace.api.reading import MAX_ITEMS
from millrace.events import Event
from millrace.feeds import FEEDS, Feed
from millrace.forms import EXAMPLE, NUMBER
from millrace.problem import MEDIA_TYPE

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
            "description": "Events as they were stored, as they are stored, and new ones. "
            "Event time is `timestamp_utc`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/live": {"get": _operation("live", "Whether the API runs.", "Live", public_=True)},
            "/ready": {
                "get": {
                    **_operation(
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
                    **_operation(
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
                "get": _operation("openapi", "This document.", "Document", public_=True)
            },
            "/v1/feeds": {"get": _operation("feeds", "The feeds that are served.", "Feeds")},
            "/v1/{feed}/latest": {
                "get": _operation(
                    "latest",
                    "The newest event of each symbol, by symbol, in pages.",
                    "Latest",
                    parameters=[feed, _parameter("symbol", NAME), *_PAGE_PARAMETERS],
                )
            },
            "/v1/{feed}/events": {
                "get": _operation(
                    "events",
                    "Events by event time, in pages. A page shifts for nothing that arrives later."
                    " With `source` a page may have fewer events than `limit`, or none, although"
                    " `next` leads on: for a second, those of a source are looked for.",
                    "Page",
                    parameters=[feed, *_EVENTS_PARAMETERS],
                )
            },
            "/market_data/last_price/{symbol}": {
                "get": _operation(
                    "last_price",
                    "The latest price of a symbol, from Redis or, where it has none, MongoDB.",
                    "LastPrice",
                    parameters=[_SYMBOL],
                    missing="No quote of this symbol is known.",
                )
            },
            "/market_data/last_quote/{symbol}": {
                "get": _operation(
                    "last_quote",
                    "The latest quote of a symbol, as `last_price`.",
                    "LastQuote",
                    parameters=[_SYMBOL],
                    missing="No quote of this symbol is known.",
                )
            },
            "/v1/{feed}/stream": {"get": _stream(feed)},
            "/v1/ingest/{feed}": {"post": _ingest(feed)},
            **({"/ingest/quote": {"post": _ingest_quote()}} if QUOTES in feed_names else {}),
            "/v1/token_usage/cost": {
                "get": _operation(
                    "cost",
                    "What tokens cost by minute or hour, in pages, the newest first: price of the"
                    " GPUs * hours / tokens.",
                    "Costs",
                    parameters=_COST_PARAMETERS,
                )
            },
            "/gpu/info": {
                "get": {
                    **_operation(
                        "gpu_info",
                        "What GPUs told last, in pages by host and index.",
                        "GpuInfo",
                        parameters=_PAGE_PARAMETERS,
                        missing="There is nothing yet.",
                    )
                }
            },
        },
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {**_SCHEMAS, "Items": _items([FEEDS[name] for name in feed_names])},
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
    missing: str = "There is no such feed.",
) -> Node:
    responses = {"200": _answer("Success.", schema)}
    if parameters:
        responses["400"] = _answer("A parameter is not understood.", "Problem")
        responses["404"] = _answer(missing, "Problem")
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


def _stream(feed: Node) -> Node:
    operation = _operation(
        "stream",
        "Events as they are stored, as server-sent events: `id` is where to resume, `event` is "
        "`event`, `data` is what /events shows. It begins with what comes from now on.",
        "Event",
        parameters=[
            feed,
            _parameter("symbol", NAME),
            _parameter(
                "Last-Event-ID",
                {"type": "string", "pattern": f"^{follow.FORM.pattern}$"},
                "Begin after this `id`.",
                "header",
            ),
        ],
    )
    operation["responses"] |= {
        "200": {"description": "Success.", "content": {stream.MEDIA_TYPE: {"schema": STRING}}},
        "429": _answer("Too many streams are open.", "Problem"),
    }
    return operation


def _ingest(feed: Node) -> Node:
    answers = {
        "202": _answer("All are acknowledged by Kafka.", "Results"),
        "207": _answer("Not all are accepted.", "Results"),
        "404": _answer("There is no such feed.", "Problem"),
    }
    summary = "Take events. The result of each is in the place of its item."
    operation = _taking("ingest", summary, _ref("Batch"), answers, [feed])
    content = operation["requestBody"]["content"]
    content[bodies.LINES[0]] = {
        "schema": {**STRING, "pattern": "\\S", "description": "An item a line."}
    }
    return operation


def _ingest_quote() -> Node:
    answers = {"202": _answer("It is acknowledged by Kafka.", "Accepted")}
    return _taking("ingestQuote", "Take one quote.", _ref("Quote"), answers)


def _taking(
    name: str,
    summary: str,
    body: Node,
    answers: Mapping[str, Node],
    parameters: Sequence[Node] = (),
) -> Node:
    """An operation that takes events."""
    problems = {
        "400": "The body is not understood.",
        "401": "The token is missing or not known.",
        "403": "The token lacks the scope `ingest`.",
        "411": "The size of the body is not known before it is read.",
        "413": f"The body is larger than {bodies.LARGEST} bytes.",
        "415": "The body is not JSON, not in UTF-8, or compressed.",
        "429": "Too many requests wait for Kafka. None of the events is accepted.",
        "503": "Kafka does not acknowledge. None of the events is accepted.",
    }
    return {
        "operationId": name,
        "summary": summary,
        "parameters": list(parameters),
        "requestBody": {"required": True, "content": {bodies.MEDIA_TYPE: {"schema": body}}},
        "responses": {
            **answers,
            **{status: _answer(text, "Problem") for status, text in problems.items()},
        },
        "security": [{"bearer": []}],
    }


def _items(feeds: Sequence[Feed[Any]]) -> Node:
    """What a request may hold: anything, each item being answered for by itself."""
    wanted = [{**_item(feed), "title": feed.name} for feed in feeds]
    events: Node = {
        **_list({"anyOf": [*wanted, {"description": "Anything else is rejected by itself."}]}),
        "minItems": 1,
        "maxItems": MAX_ITEMS,
    }
    return events


def _item(feed: Feed[Any]) -> Node:
    """An item that can become an event of the feed: see items.mint."""
    _, definitions = msgspec.json.schema_components([feed.event_type])
    described = definitions[feed.event_type.__name__]
    own = {
        name: schema
        for name, schema in described["properties"].items()
        if name not in Event.__struct_fields__
    }
    required = {name for name in own if name in described["required"]} - {feed.sent_by}
    symbol = described["properties"]["symbol"]
    id_: Node = {"type": "string", "minLength": 1, "maxLength": items.LONGEST_ID}
    times = items.time_names(feed)
    own |= {name: _or_text(own[name]) for name in items.numbers(feed)}
    return {
        "type": "object",
        "required": sorted(required | ({"symbol"} if feed.symbol_of is None else set())),
        "properties": {**own, "symbol": symbol, "event_id": id_, **dict.fromkeys(times, SENT_TIME)},
        "oneOf": [{"required": [name]} for name in times],
        "additionalProperties": False,
    }


def _or_text(schema: Node) -> Node:
    """A number, which may be sent as text too."""
    text = {"type": "string", "pattern": f"^{NUMBER}$"}
    return {"anyOf": [*schema.get("anyOf", [schema]), text]}


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
SENT_TIME: Node = {
    "type": ["string", "number"],
    "description": f"A time with its offset from UTC, like {EXAMPLE}, or a Unix time since 1980 in"
    " seconds, milliseconds, microseconds or nanoseconds.",
}
ASKED_TIME: Node = {"type": "string", "description": SENT_TIME["description"]}
COUNT: Node = {"type": "integer", "minimum": 0}
NAME: Node = {"type": "string", "minLength": 1, "maxLength": 200}
NEXT: Node = {"type": ["string", "null"], "description": "Cursor of the next page; null: none."}
STATUS: Node = {"enum": ["ok", "unavailable"]}
SHORT_STATUS: Node = {"enum": ["OK", "FAIL"]}

_PAGE_PARAMETERS = [
    _parameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
    _parameter("cursor", {"type": "string", "maxLength": MAX_CURSOR}, "`next` of the page before."),
]
_EVENTS_PARAMETERS = [
    _parameter("symbol", NAME),
    _parameter("source", NAME),
    _parameter("from", ASKED_TIME, "Not before this time."),
    _parameter("to", ASKED_TIME, "Before this time."),
    _parameter("order", {"enum": ["newest", "oldest"], "default": "newest"}, "Which come first."),
    *_PAGE_PARAMETERS,
]

_SYMBOL = _parameter(
    "symbol",
    {"type": "string", "minLength": 1},
    "A slash in it may be written as it is, or as %2F.",
    "path",
)
_QUOTE = ("symbol", "price", "volume")

_COST_PARAMETERS = [
    _parameter("by", {"enum": ["model", "gpu", "host"], "default": "model"}, "What is grouped."),
    _parameter("bucket", {"enum": ["minute", "hour"], "default": "hour"}),
    _parameter(
        "from",
        ASKED_TIME,
        "Not before this time; else the 24 buckets before `to`. Before `to` it is by "
        + ", by ".join(f"{name} at most {long / HOUR:.0f} hours" for name, long in LONGEST.items())
        + ".",
    ),
    _parameter("to", ASKED_TIME, "Before this time; else now."),
    *_PAGE_PARAMETERS,
]

_DOLLARS: Node = {"type": ["number", "null"], "minimum": 0}
_LATENCY: Node = {"type": "number", "minimum": 0}

_FRESHNESS: Node = {
    "age_ms": {
        "type": ["integer", "null"],
        "minimum": 0,
        "description": "Time since it was observed; null if it is dated more than a minute ahead"
        " of the server's clock.",
    },
    "stale": {
        "type": "boolean",
        "description": "Whether it is older than it should be, or its age is not known.",
    },
    "from": {"enum": ["cache", "store"], "description": "Whether Redis or MongoDB answered."},
}

_PLACE: Node = {"index": {**COUNT, "description": "Its place among the items, from 0."}}

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
            {
                "price": _object({"value": {"type": "number"}, "currency": STRING}),
                "claimed_at": {
                    **TIME,
                    "description": "The time that the event gave, where it was too far ahead of"
                    " Kafka's clock: `timestamp_utc` is then when Kafka took it.",
                },
            },
        ),
        "additionalProperties": True,
        "description": "An event. A feed adds fields of its own.",
    },
    "GpuInfo": {
        "allOf": [
            _ref("Event"),
            {
                "type": "object",
                "required": ["gpus", "host", "gpu_index", "next"],
                "properties": {"gpus": _list(_ref("Event")), "next": NEXT},
            },
        ],
        "description": "The newest event of all GPUs, and in `gpus` the newest of each, by symbol.",
    },
    "Costs": _object(
        {
            "by": STRING,
            "bucket": STRING,
            "next": NEXT,
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
    "Latest": _object({"events": _list(_ref("Event")), "next": NEXT}),
    "Page": _object({"events": _list(_ref("Event")), "next": NEXT}),
    "Feeds": _object(
        {
            "feeds": _list(
                _object({"name": STRING, "latest": STRING, "events": STRING, "stream": STRING})
            )
        }
    ),
    "Quote": _object(
        {
            **{name: _item(FEEDS[QUOTES])["properties"][name] for name in _QUOTE},
            "timestamp": SENT_TIME,
        },
        {
            "currency": {
                **_item(FEEDS[QUOTES])["properties"]["currency"],
                "description": "Without it USD, or XXX if the symbol names an exchange (XYZ.LON).",
            }
        },
    ),
    "Accepted": _object({"status": {"const": "accepted"}, "symbol": STRING, "event_id": STRING}),
    "Batch": {"anyOf": [_object({"events": _ref("Items")}), _ref("Items")]},
    "Results": _object(
        {
            "results": _list(
                {
                    "oneOf": [
                        _object({**_PLACE, "status": {"const": "accepted"}, "event_id": STRING}),
                        _object({**_PLACE, "status": {"const": "rejected"}, "reason": STRING}),
                        {
                            **_object({**_PLACE, "status": {"const": "failed"}, "reason": STRING}),
                            "description": "Send it again: it is the same event then.",
                        },
                    ]
                }
            )
        }
    ),
    "LastPrice": _object(
        {"symbol": STRING, "price": {"type": "number"}, "timestamp": TIME, **_FRESHNESS}
    ),
    "LastQuote": _object({"quote": _ref("Event"), **_FRESHNESS}),
    "Live": _object({"status": {"const": "ok"}}),
    "Health": _object(
        {
            "status": STATUS,
            "mongodb_status": SHORT_STATUS,
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
                                        "held": {
                                            "type": "boolean",
                                            "description": "Whether a processor reads it.",
                                        },
                                        "log": {
                                            "type": ["string", "null"],
                                            "description": "The topic's id in Kafka.",
                                        },
                                    }
                                )
                            ),
                        },
                    ),
                    "processor": _object({"status": STATUS}, {"problem": STRING}),
                },
                {"redis": _object({"status": STATUS}, {"latency_ms": _LATENCY})},
            ),
        },
        {"redis_status": {**SHORT_STATUS, "description": "Only where there is a Redis."}},
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
