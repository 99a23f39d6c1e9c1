"""Decompresses batches of records, up to a limit: a small batch may expand without end."""

import gzip
import io
from collections.abc import Callable, Iterator

import cramjam
import lz4.frame
import zstandard

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
"""The codecs' numbers in a batch's attributes."""
LARGEST_BYTES = 16 * 1024 * 1024
"""Brokers limit only the compressed batch (1 MiB by default), in which a gigabyte of zeros fits."""
PORTION = 1024 * 1024
XERIAL, XERIAL_HEADER_BYTES = b"\x82SNAPPY\x00", 16


class Incompressible(ValueError):
    """The data cannot be decompressed, or becomes too large."""


def decompress(kind: int, data: bytes) -> bytes:
    """The content of a batch compressed by this codec. Incompressible, or the codec's error."""
    if kind == SNAPPY:
        return _snappy(data)
    if kind not in _PORTIONS:
        raise Incompressible(f"there is no codec with the number {kind}")
    found: list[bytes] = []
    size = 0
    for portion in _PORTIONS[kind](data):
        size += len(portion)
        _check(size)
        found.append(portion)
    return found[0] if len(found) == 1 else b"".join(found)


def _check(size: int) -> None:
    if size > LARGEST_BYTES:
        raise Incompressible(f"the batch becomes larger than {LARGEST_BYTES:,} bytes")


def _gzip(data: bytes) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as reader:
        while portion := reader.read(PORTION):
            yield portion


def _zstd(data: bytes) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor()
    with decompressor.stream_reader(data, read_across_frames=True) as reader:
        while portion := reader.read(PORTION):
            yield portion


def _lz4(data: bytes) -> Iterator[bytes]:
    decompressor = lz4.frame.LZ4FrameDecompressor()
    while not decompressor.eof:
        portion = decompressor.decompress(data, max_length=PORTION)
        if not portion and not decompressor.eof:
            raise Incompressible("the lz4 frame ends early")
        data = b""
        yield portion


_PORTIONS: dict[int, Callable[[bytes], Iterator[bytes]]] = {GZIP: _gzip, LZ4: _lz4, ZSTD: _zstd}


def _snappy(data: bytes) -> bytes:
    """Decompress Snappy, which starts with the size; Java clients (xerial) send it in blocks."""
    if not data.startswith(XERIAL):
        _check(cramjam.snappy.decompress_raw_len(data))
        return bytes(cramjam.snappy.decompress_raw(data))
    found = io.BytesIO()
    at = XERIAL_HEADER_BYTES
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        block = data[at + 4 : at + 4 + size]
        at += 4 + size
        _check(found.tell() + cramjam.snappy.decompress_raw_len(block))
        found.write(cramjam.snappy.decompress_raw(block))
    return found.getvalue()
