"""The API against its own OpenAPI document: whatever is asked, it answers as the document says."""

from typing import Any

import pytest
import schemathesis
from hypothesis import settings
from schemathesis.checks import negative_data_rejection, positive_data_acceptance
from services.tests.api.world import AUTHORIZED, World, document, gpu_document, usage_document

DOCUMENTS = [
    *(document(n, symbol) for n in range(6) for symbol in "AB"),
    *(gpu_document(n, index=n % 2) for n in range(6)),
    *(usage_document(n, 3 * n, n) for n in range(6)),
]
schema = schemathesis.openapi.from_wsgi("/openapi.json", World(*DOCUMENTS).app())


@schema.parametrize()
@settings(max_examples=100, deadline=None)
def test_no_request_has_an_answer_that_the_document_does_not_describe(
    case: schemathesis.Case[Any],
) -> None:
    # A cursor that the API has not made is a mistake that no schema can describe.
    # Nor can it that one time is before another.
    query = case.query or {}
    excluded: list[Any] = [positive_data_acceptance] if {"cursor", "from"} & {*query} else []
    # A parameter without any value is not sent: nothing is left to refuse.
    if any(value in ([], {}) for value in query.values()):
        excluded.append(negative_data_rejection)
    case.call_and_validate(headers=AUTHORIZED, excluded_checks=excluded)


@pytest.mark.parametrize(
    "path",
    ["/live", "/health", "/v1/feeds", "/v1/{feed}/events", "/v1/token_usage/cost", "/gpu/info"],
)
def test_what_is_tried_is_what_the_document_names(path: str) -> None:
    assert path in schema
