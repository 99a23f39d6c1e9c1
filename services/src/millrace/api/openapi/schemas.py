"""The schemas of requests and answers."""

from millrace.api.ingest import QUOTES
from millrace.api.openapi.nodes import (
    COUNT,
    NEXT,
    SENT_TIME,
    SHORT_STATUS,
    STATUS,
    STRING,
    TIME,
    Node,
    list_of,
    object_of,
    ref,
)
from millrace.api.openapi.sent import item
from millrace.feeds import FEEDS

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

SCHEMAS: Node = {
    "Event": {
        **object_of(
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
                "price": object_of({"value": {"type": "number"}, "currency": STRING}),
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
            ref("Event"),
            {
                "type": "object",
                "required": ["gpus", "host", "gpu_index", "next"],
                "properties": {"gpus": list_of(ref("Event")), "next": NEXT},
            },
        ],
        "description": "The newest event of all GPUs, and in `gpus` the newest of each, by symbol.",
    },
    "Costs": object_of(
        {
            "by": STRING,
            "bucket": STRING,
            "next": NEXT,
            "costs": list_of(
                object_of(
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
    "Latest": object_of({"events": list_of(ref("Event")), "next": NEXT}),
    "Page": object_of({"events": list_of(ref("Event")), "next": NEXT}),
    "Feeds": object_of(
        {
            "feeds": list_of(
                object_of({"name": STRING, "latest": STRING, "events": STRING, "stream": STRING})
            )
        }
    ),
    "Quote": object_of(
        {
            **{
                name: item(FEEDS[QUOTES])["properties"][name]
                for name in ("symbol", "price", "volume")
            },
            "timestamp": SENT_TIME,
        },
        {
            "currency": {
                **item(FEEDS[QUOTES])["properties"]["currency"],
                "description": "Without it USD, or XXX if the symbol names an exchange (XYZ.LON).",
            }
        },
    ),
    "Accepted": object_of({"status": {"const": "accepted"}, "symbol": STRING, "event_id": STRING}),
    "Batch": {"anyOf": [object_of({"events": ref("Items")}), ref("Items")]},
    "Results": object_of(
        {
            "results": list_of(
                {
                    "oneOf": [
                        object_of({**_PLACE, "status": {"const": "accepted"}, "event_id": STRING}),
                        object_of({**_PLACE, "status": {"const": "rejected"}, "reason": STRING}),
                        {
                            **object_of(
                                {**_PLACE, "status": {"const": "failed"}, "reason": STRING}
                            ),
                            "description": "Send it again: it is the same event then.",
                        },
                    ]
                }
            )
        }
    ),
    "LastPrice": object_of(
        {
            "symbol": STRING,
            "price": {"type": "number"},
            "timestamp": TIME,
            "simulated": {"type": "boolean", "description": "Whether the price is invented."},
            **_FRESHNESS,
        }
    ),
    "LastQuote": object_of({"quote": ref("Event"), **_FRESHNESS}),
    "Live": object_of({"status": {"const": "ok"}}),
    "Health": object_of(
        {
            "status": STATUS,
            "mongodb_status": SHORT_STATUS,
            "checks": object_of(
                {
                    "mongodb": object_of({"status": STATUS}, {"latency_ms": _LATENCY}),
                    "kafka": object_of(
                        {"status": STATUS},
                        {
                            "latency_ms": _LATENCY,
                            "lag": COUNT,
                            "dead_letters": COUNT,
                            "partitions": list_of(
                                object_of(
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
                    "processor": object_of({"status": STATUS}, {"problem": STRING}),
                },
                {"redis": object_of({"status": STATUS}, {"latency_ms": _LATENCY})},
            ),
        },
        {"redis_status": {**SHORT_STATUS, "description": "Only where there is a Redis."}},
    ),
    "Document": {"type": "object"},
    "Problem": object_of(
        {
            "type": STRING,
            "title": STRING,
            "status": {"type": "integer"},
            "detail": STRING,
        }
    ),
}
