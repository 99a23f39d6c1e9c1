"""Parts of the document: answers, parameters and simple schemas."""

from typing import Any

from millrace.parsing.scalars import EXAMPLE, UNIX_TIME
from millrace.serving.problem import MEDIA_TYPE

Node = dict[str, Any]

STRING: Node = {"type": "string"}
TIME: Node = {"type": "string", "format": "date-time"}
SENT_TIME: Node = {
    "type": ["string", "number"],
    "description": f"A time with its offset from UTC, like {EXAMPLE}, or {UNIX_TIME}.",
}
ASKED_TIME: Node = {"type": "string", "description": SENT_TIME["description"]}
COUNT: Node = {"type": "integer", "minimum": 0}
NAME: Node = {"type": "string", "minLength": 1, "maxLength": 200}
NEXT: Node = {"type": ["string", "null"], "description": "Cursor of the next page; null: none."}
STATUS: Node = {"enum": ["ok", "unavailable"]}
SHORT_STATUS: Node = {"enum": ["OK", "FAIL"]}


def answer(description: str, schema: str) -> Node:
    """A JSON answer with the named schema."""
    media_type = MEDIA_TYPE if schema == "Problem" else "application/json"
    reference = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    return {"description": description, "content": {media_type: reference}}


def parameter(name: str, schema: Node, text: str = "", place: str = "query") -> Node:
    """A parameter of a route; one in the path is required."""
    node: Node = {"name": name, "in": place, "required": place == "path", "schema": schema}
    return {**node, "description": text} if text else node


def object_of(required: dict[str, Node], optional: dict[str, Node] | None = None) -> Node:
    """An object with only these properties."""
    return {
        "type": "object",
        "required": sorted(required),
        "properties": {**required, **(optional or {})},
        "additionalProperties": False,
    }


def list_of(schema: Node) -> Node:
    """A list of one kind of elements."""
    return {"type": "array", "items": schema}


def ref(name: str) -> Node:
    """A reference to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}
