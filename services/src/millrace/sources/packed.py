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
    """What is in the file cannot be unpacked: it is damaged, or is being written."""


def is_packed(path: Path) -> bool:
    """Whether it is compressed, by its name."""
    return path.suffix in OPENERS


def around(path: Path, offset: int, most: int) -> tuple[bytes, bytes]:
    """The bytes before an offset, TAIL at most, and so many behind it.

    Broken if these cannot be unpacked, OSError if the file cannot be read.
    """
    if is_packed(path) and not path.stat().st_size:
        # Of gzip it would be the whole of nothing; who compresses begins so.
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
        # That of gzip and bz2, whatever the system says of the file.
        raise Broken from None
    return data[: offset - start], data[offset - start :]
