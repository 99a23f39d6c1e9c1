"""The API against its own OpenAPI document: whatever is asked, it answers as the document says."""

from typing import Any

import pytest
import schemathesis
from hypothesis import settings
from schemathesis.checks import negative_data_rejection, positive_data_acceptance
from services.tests.api.world import (
    AUTHORIZED,
    SENDING,
    World,
    document,
    gpu_document,
    usage_document,
)

from millrace.api.bodies import LINES

world = World(
    *(document(n, symbol) for n in range(6) for symbol in "AB"),
    *(document(n, feed="quotes") for n in range(6)),
    *(gpu_document(n, index=n % 2) for n in range(6)),
    *(usage_document(n, 3 * n, n) for n in range(6)),
)


@schemathesis.serializer(LINES[0])
def lines(_context: Any, value: str) -> bytes:
    """The body as it was drawn, if it has bytes at all."""
    return str(value).encode(errors="replace")


# Streams end at once.
world.stop.set()
schema = schemathesis.openapi.from_wsgi("/openapi.json", world.app())


@schema.parametrize()
@settings(max_examples=100, deadline=None)
def test_no_request_has_an_answer_that_the_document_does_not_describe(
    case: schemathesis.Case[Any],
) -> None:
    # No schema can describe that the API has made a cursor or a position, which times it takes, nor
    # that one time is before another.
    query = case.query or {}
    given = {*query, *(case.headers or {})}
    is_open = {"cursor", "from", "to", "Last-Event-ID"} & given or case.path == "/ingest/quote"
    excluded: list[Any] = [positive_data_acceptance] if is_open else []
    # A parameter without any value is not sent, and lines are text whatever is drawn: nothing is
    # left to refuse.
    if any(value in ([], {}) for value in query.values()) or case.media_type == LINES[0]:
        excluded.append(negative_data_rejection)
    headers = SENDING if case.method == "POST" else AUTHORIZED
    case.call_and_validate(headers=headers, excluded_checks=excluded)


@pytest.mark.parametrize(
    "path",
    [
        "/live",
        "/ready",
        "/health",
        "/v1/feeds",
        "/v1/{feed}/events",
        "/v1/{feed}/stream",
        "/v1/ingest/{feed}",
        "/v1/token_usage/cost",
        "/gpu/info",
    ],
)
def test_what_is_tried_is_what_the_document_names(path: str) -> None:
    assert path in schema
