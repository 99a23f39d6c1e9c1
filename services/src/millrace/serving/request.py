"""A request as it comes in. gunicorn's parser alone says what its bytes mean."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from gunicorn.config import Config
from gunicorn.http import errors
from gunicorn.http.body import LengthReader
from gunicorn.http.parser import RequestParser

from millrace.serving.limits import Limits

END = b"\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
STATUS = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
}


class Refused(Exception):
    """The bytes are no request that this server takes; with what to answer."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


def take_head(inbox: bytearray, limits: Limits) -> bytes | None:
    """Take a request's head off what has come, or None if not all of it is here; may be Refused."""
    # One empty line before a request is ignored, also by the parser.
    end = inbox.find(END, 2 if inbox.startswith(b"\r\n") else 0)
    if end > limits.head_bytes or (end < 0 and len(inbox) > limits.head_bytes):
        raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    if end < 0:
        return None
    head = bytes(inbox[: end + len(END)])
    del inbox[: end + len(END)]
    return head


class Request:
    """A request whose head is here; Refused if that is none."""

    def __init__(self, head: bytes, cfg: Config, address: Any, limits: Limits) -> None:
        self.body = bytearray()
        self._head = head
        try:
            message: Any = next(RequestParser(cfg, self._source(), address))
        except (errors.ParseException, errors.NoMoreData, StopIteration) as error:
            raise Refused(STATUS.get(type(error), HTTPStatus.BAD_REQUEST)) from None
        self.message = message
        reader = message.body.reader
        length = reader.length if isinstance(reader, LengthReader) else None
        self.is_whole = length is not None and length <= limits.body_bytes
        """Else its body is not read: it is too large, or nobody knows how large it is."""
        self.missing = length if length is not None and self.is_whole else 0
        self.awaits_continue = self.missing > 0 and any(
            name == "EXPECT" for name, _ in message.headers
        )

    def feed(self, inbox: bytearray) -> None:
        """Take what is missing of the body off what has come."""
        part = inbox[: self.missing]
        del inbox[: self.missing]
        self.body += part
        self.missing -= len(part)

    def _source(self) -> Iterator[bytes]:
        yield self._head
        body, self.body = bytes(self.body), bytearray()
        yield body
