"""Problem documents (RFC 9457): the content of HTTP errors."""

from http import HTTPStatus

import msgspec

from millrace.runtime.redaction import shown

MEDIA_TYPE = "application/problem+json"
LONGEST_DETAIL = 500
"""A limit, because it may quote the client's data."""


def document(status: int, detail: str) -> bytes:
    """The document for a status."""
    title = HTTPStatus(status).phrase
    said = shown(detail, LONGEST_DETAIL)
    return msgspec.json.encode(
        {"type": "about:blank", "title": title, "status": int(status), "detail": said}
    )
