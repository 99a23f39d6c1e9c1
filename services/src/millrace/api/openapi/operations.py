"""The operations of the routes."""

from collections.abc import Mapping, Sequence

from millrace.api import bodies, follow, stream
from millrace.api.openapi.nodes import NAME, STRING, Node, answer, parameter, ref


def reading(
    name: str,
    summary: str,
    schema: str,
    *,
    parameters: Sequence[Node] = (),
    public_: bool = False,
    unavailable: str = "Problem",
    missing: str = "There is no such feed.",
) -> Node:
    """An operation that changes nothing."""
    responses = {"200": answer("Success.", schema)}
    if parameters:
        responses["400"] = answer("A parameter is not understood.", "Problem")
        responses["404"] = answer(missing, "Problem")
    responses["401"] = answer("The token is missing or not known.", "Problem")
    if not public_:
        responses["403"] = answer("The token lacks the scope `read`.", "Problem")
    responses["503"] = answer("A dependency does not answer.", unavailable)
    return {
        "operationId": name,
        "summary": summary,
        "parameters": list(parameters),
        "responses": responses,
        "security": [{}] if public_ else [{"bearer": []}],
    }


def stream_operation(feed: Node) -> Node:
    """The operation that follows a feed."""
    operation = reading(
        "stream",
        "Events as they are stored, as server-sent events: `id` is where to resume, `event` is "
        "`event`, `data` is what /events shows. It begins with what comes from now on.",
        "Event",
        parameters=[
            feed,
            parameter("symbol", NAME),
            parameter(
                "Last-Event-ID",
                {"type": "string", "pattern": f"^{follow.FORM.pattern}$"},
                "Begin after this `id`.",
                "header",
            ),
        ],
    )
    operation["responses"] |= {
        "200": {"description": "Success.", "content": {stream.MEDIA_TYPE: {"schema": STRING}}},
        "429": answer("Too many streams are open.", "Problem"),
    }
    return operation


def ingest(feed: Node) -> Node:
    """The operation that accepts events of a feed."""
    answers = {
        "202": answer("All are acknowledged by Kafka.", "Results"),
        "207": answer("Not all are accepted.", "Results"),
        "404": answer("There is no such feed.", "Problem"),
    }
    summary = "Take events. The result of each is in the place of its item."
    operation = _taking("ingest", summary, ref("Batch"), answers, [feed])
    content = operation["requestBody"]["content"]
    content[bodies.LINES[0]] = {
        "schema": {**STRING, "pattern": "\\S", "description": "An item a line."}
    }
    return operation


def ingest_quote() -> Node:
    """The operation that accepts one quote."""
    answers = {"202": answer("It is acknowledged by Kafka.", "Accepted")}
    return _taking("ingestQuote", "Take one quote.", ref("Quote"), answers)


def _taking(
    name: str,
    summary: str,
    body: Node,
    answers: Mapping[str, Node],
    parameters: Sequence[Node] = (),
) -> Node:
    """An operation that accepts events."""
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
            **{status: answer(text, "Problem") for status, text in problems.items()},
        },
        "security": [{"bearer": []}],
    }
