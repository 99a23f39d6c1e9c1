"""A growing file of JSON values, one per line, with common variations.

Also accepted are the lines of a stream of server-sent events, an array over many lines, values that
are indented over several lines, line ends of Windows and old Macs, byte order marks, and UTF-16, as
Windows writes it. An invalid line does not affect others.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from millrace.parsing.json_text import Unreadable, value

BOMS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
BOM = b"\xef\xbb\xbf"
NOTHING = (b"", b"[", b"]", b"],", b"[DONE]")
"""The delimiters of an array, and the end of a stream."""
FIELDS = (b"event:", b"id:", b"retry:", b":")
"""Fields of a stream other than its data."""
DATA = b"data:"


class Line(NamedTuple):
    """One line without its end, in UTF-8."""

    offset: int
    """Bytes before the line in the file."""
    before: int | None
    """Lines before this one in the file; None: not counted."""
    text: bytes

    def where(self, file: str) -> str:
        """The position of the line, for messages."""
        return place(file, self.before, self.offset)


class Record(NamedTuple):
    """The text of one JSON value, in one line or in several."""

    offset: int
    where: str
    text: bytes
    raw: bytes
    """The unchanged bytes in the file."""


class Part(NamedTuple):
    """The result of reading a part of a file."""

    records: list[Record]
    size: int
    """Bytes of the part that were read."""
    lines: int | None
    """Lines of the file up to the end of these bytes."""
    inside: bool = False
    """Whether this position is within a line that is skipped."""


def place(file: str, before: int | None, offset: int) -> str:
    """The position in a file after a number of lines, or of bytes if lines are not counted."""
    return f"{file}, byte {offset}" if before is None else f"{file}, line {before + 1}"


def read(
    data: bytes,
    encoding: str,
    file: str,
    offset: int,
    before: int | None,
    *,
    behind: bytes,
    is_over: bool,
    is_all: bool,
) -> Part:
    """The values in a part of a file that starts after `offset` bytes and `before` lines.

    `behind` are the last bytes before the part. `is_all`: nothing follows the part yet, so that an
    unterminated last line is read if it completes a value; `is_over`: nothing will ever follow, so
    that it is read in any case.
    """
    lines, rest = split(data, encoding, offset, before, behind)
    counted = None if before is None else before + len(lines)
    if rest and is_over:
        lines, rest = [*lines, rest], None
    found, open_ = records(lines, file, last=is_over)
    if rest and is_all:
        more, _ = records([*lines, rest], file, last=True)
        if len(more) > len(found) and is_whole(more[-1].text):
            found, open_, rest = more, None, None
    if unread := open_ or rest:
        return Part(found, unread.offset - offset, unread.before)
    return Part(found, len(data), counted)


def skip(data: bytes, encoding: str, before: int | None) -> Part:
    """Skip the rest of the line in which the part begins."""
    for _, end in _ends(data, encoding):
        return Part([], end, None if before is None else before + 1)
    width = len("\n".encode(encoding))
    return Part([], len(data) // width * width, before, inside=True)


def encoding(start: bytes) -> str:
    """The encoding of a file that begins with these bytes."""
    return BOMS.get(start[:2], "utf-8")


def split(
    data: bytes, encoding: str, offset: int, before: int | None, behind: bytes
) -> tuple[list[Line], Line | None]:
    """The lines in a part of a file, and the beginning of an unterminated line, if any.

    `offset` and `before` are the numbers of bytes and lines before this part, `behind` the last of
    these bytes.
    """

    def line(end: int | None) -> Line:
        # A power loss, or truncation while a writer has the file open, leaves zero bytes before a
        # line.
        text = _in_utf_8(data[begin:end], encoding).lstrip(b"\0")
        return Line(offset + begin, before, text)

    lines: list[Line] = []
    begin = 0
    if behind.endswith("\r".encode(encoding)) and data.startswith("\n".encode(encoding)):
        # The line ended in the previous part: the writer was between CR and LF.
        begin = len("\n".encode(encoding))
    for end, after in _ends(data, encoding, begin):
        lines.append(line(end))
        begin = after
        before = None if before is None else before + 1
    return lines, line(None) if begin < len(data) else None


def _ends(data: bytes, encoding: str, at: int = 0) -> Iterator[tuple[int, int]]:
    """The positions where lines end and the next ones begin; partial characters are no line ends.

    A CR is part of its line, so that the line is the same with or without a following LF.
    """
    cr, lf = "\r".encode(encoding), "\n".encode(encoding)
    end = re.compile(b"%b(?!%b)|%b" % (cr, lf, lf))
    while found := end.search(data, at):
        if found.start() % len(lf):
            at = found.start() + 1
            continue
        at = found.end()
        yield (found.start() if found[0] == lf else at), at


def _in_utf_8(text: bytes, encoding: str) -> bytes:
    """A line in UTF-8 without a leading byte order mark."""
    if encoding in BOMS.values():
        text = text.decode(encoding, "replace").encode()
    return text.removeprefix(BOM)


def is_whole(text: bytes) -> bool:
    """Whether a value is complete: no proper prefix of an object is an object."""
    if not text.endswith((b"}", b"]")):
        return False
    try:
        return isinstance(value(text), dict | list)
    except Unreadable:
        return False


def records(lines: Sequence[Line], file: str, *, last: bool) -> tuple[list[Record], Line | None]:
    """The values in these lines, and the first line of an unfinished value, if any.

    An indented value consists of all lines further right than its first line, a bare brace; `last`:
    no more lines will follow.
    """
    found: list[Record] = []
    block: list[Line] = []

    def close() -> None:
        whole = b"\n".join(line.text for line in block)
        found.append(Record(block[0].offset, block[0].where(file), _value(whole.strip()), whole))
        block.clear()

    for line in lines:
        content = line.text.strip()
        if block and content:
            if _indent(line.text) > _indent(block[0].text):
                block.append(line)
                continue
            is_end = content in (b"}", b"},")
            if is_end:
                block.append(line)
            close()
            if is_end:
                continue
        if content == b"{":
            block.append(line)
        elif (text := _value(content)) not in NOTHING and not content.startswith(FIELDS):
            found.append(Record(line.offset, line.where(file), text, line.text))
    if block and last:
        close()
    return found, block[0] if block else None


def _indent(text: bytes) -> int:
    return len(text) - len(text.lstrip())


def _value(content: bytes) -> bytes:
    text = content.removeprefix(DATA).strip().removesuffix(b",").rstrip()
    if text.startswith(b"[{") and not text.endswith(b"]"):
        # The first or last value of an array over many lines has the array's bracket.
        return text.removeprefix(b"[")
    return text.removesuffix(b"]") if text.startswith(b"{") and text.endswith(b"}]") else text
