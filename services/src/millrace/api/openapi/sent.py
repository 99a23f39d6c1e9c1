"""Schemas of events that clients send: the fields of each feed."""

from collections.abc import Sequence
from typing import Any

import msgspec

from millrace.api import items
from millrace.api.openapi.nodes import SENT_TIME, Node, list_of
from millrace.api.reading import MAX_ITEMS
from millrace.events import Event
from millrace.feeds import Feed
from millrace.parsing.scalars import NUMBER


def batch(feeds: Sequence[Feed[Any]]) -> Node:
    """The schema of a request: any items, because each has its own result."""
    wanted = [{**item(feed), "title": feed.name} for feed in feeds]
    events: Node = {
        **list_of({"anyOf": [*wanted, {"description": "Anything else is rejected by itself."}]}),
        "minItems": 1,
        "maxItems": MAX_ITEMS,
    }
    return events


def item(feed: Feed[Any]) -> Node:
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
    """A number, which may also be sent as text."""
    text = {"type": "string", "pattern": f"^{NUMBER}$"}
    return {"anyOf": [*schema.get("anyOf", [schema]), text]}
