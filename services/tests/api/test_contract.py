"""The API against its own OpenAPI document: whatever is asked, it answers as the document says."""

from typing import Any

import pytest
import schemathesis
from hypothesis import settings
from schemathesis.checks import positive_data_acceptance
from services.tests.api.world import AUTHORIZED, World, document

schema = schemathesis.openapi.from_wsgi(
    "/openapi.json", World(*(document(n, symbol) for n in range(6) for symbol in "AB")).app()
)


@schema.parametrize()
@settings(max_examples=100, deadline=None)
def test_no_request_has_an_answer_that_the_document_does_not_describe(
    case: schemathesis.Case[Any],
) -> None:
    # A cursor that the API has not made is a mistake that no schema can describe.
    excluded = [positive_data_acceptance] if "cursor" in (case.query or {}) else []
    case.call_and_validate(headers=AUTHORIZED, excluded_checks=excluded)


@pytest.mark.parametrize("path", ["/live", "/health", "/v1/feeds", "/v1/{feed}/events"])
def test_what_is_tried_is_what_the_document_names(path: str) -> None:
    assert path in schema
