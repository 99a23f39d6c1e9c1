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


class Broken(Exception):
    """The file cannot be unpacked: it is damaged, or still being written."""


def is_packed(path: Path) -> bool:
    """Whether the file is compressed, by its name."""
    return path.suffix in OPENERS


def around(path: Path, offset: int, most: int) -> tuple[bytes, bytes]:
    """The bytes before an offset, at most TAIL, and `most` bytes after it.

    Raises Broken if these cannot be unpacked, OSError if the file cannot be read.
    """
    if is_packed(path) and not path.stat().st_size:
        # For gzip an empty file is valid and empty; compression programs start with one.
        raise Broken
    start = max(0, offset - TAIL)
    try:
        with cast("BinaryIO", OPENERS.get(path.suffix, open)(path, "rb")) as file:
            file.seek(start)
            data = file.read(offset - start + most)
    except (EOFError, zlib.error, lzma.LZMAError):
        raise Broken from None
    except OSError as error:
        if error.errno is not None:
            raise
        # gzip and bz2 raise OSError for damaged data.
        raise Broken from None
    return data[: offset - start], data[offset - start :]
