"""Incoming requests. Only gunicorn's parser interprets their bytes."""

from http import HTTPStatus
from typing import Any

from gunicorn.config import Config
from gunicorn.http import errors
from gunicorn.http.body import LengthReader
from gunicorn.http.parser import RequestParser

from millrace.serving.limits import KIB, Limits

END = b"\r\n\r\n"
PIECE = 16 * KIB
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
STATUS = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
}


class Refused(Exception):
    """The bytes are not an acceptable request; it has the status to answer."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


def take_head(inbox: bytearray, limits: Limits) -> bytes | None:
    """Remove a request's head from the received bytes; None if incomplete. May raise Refused."""
    # One empty line before a request is ignored, as in the parser.
    end = inbox.find(END, 2 if inbox.startswith(b"\r\n") else 0)
    if end > limits.head_bytes or (end < 0 and len(inbox) > limits.head_bytes):
        raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    if end < 0:
        return None
    head = bytes(inbox[: end + len(END)])
    del inbox[: end + len(END)]
    return head


class Request:
    """A request with a complete head; raises Refused if the head is invalid."""

    def __init__(self, head: bytes, cfg: Config, address: Any, limits: Limits) -> None:
        self.held = 0
        """Number of received bytes of the body."""
        self._parts: list[bytearray] = []
        try:
            message: Any = next(RequestParser(cfg, [head], address))
        except (errors.ParseException, errors.NoMoreData, StopIteration) as error:
            raise Refused(STATUS.get(type(error), HTTPStatus.BAD_REQUEST)) from None
        self.message = message
        reader = message.body.reader
        length = reader.length if isinstance(reader, LengthReader) else None
        self.is_whole = length is not None and length <= limits.body_bytes
        """Whether the body is read; if not, it is too large or of unknown size."""
        self.missing = length if length is not None and self.is_whole else 0
        self.awaits_continue = self.missing > 0 and any(
            name == "EXPECT" for name, _ in message.headers
        )

    def feed(self, inbox: bytearray) -> None:
        """Remove the missing part of the body from the received bytes."""
        while self.missing and inbox:
            # Pieces of equal size: growing buffers would fragment memory.
            if not self._parts or len(self._parts[-1]) == PIECE:
                self._parts.append(bytearray())
            part = inbox[: min(self.missing, PIECE - len(self._parts[-1]))]
            del inbox[: len(part)]
            self._parts[-1] += part
            self.held += len(part)
            self.missing -= len(part)

    def take_body(self) -> bytes:
        """The body; it can be read once."""
        body = b"".join(self._parts)
        self._parts.clear()
        self.held = 0
        return body
