"""The bytes of a file that may be compressed."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

TAIL = 1024
OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
BROKEN = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
"""What is raised where a file cannot be unpacked."""


def is_packed(path: Path) -> bool:
    """Whether it is compressed, by its name."""
    return path.suffix in OPENERS


def around(path: Path, offset: int, most: int) -> tuple[bytes, bytes]:
    """The bytes before an offset, TAIL at most, and so many behind it."""
    start = max(0, offset - TAIL)
    with cast("BinaryIO", OPENERS.get(path.suffix, open)(path, "rb")) as file:
        file.seek(start)
        data = file.read(offset - start + most)
    return data[: offset - start], data[offset - start :]


def head(path: Path) -> bytes:
    """The first TAIL bytes; none of a file that cannot be unpacked: it is being written."""
    try:
        return around(path, 0, TAIL)[1]
    except BROKEN:
        return b""
