"""Decompression of a node table. Argo identifies the algorithm only by the magic number: gzip and zstd have one,
anything else is brotli. Both libraries are imported when a table needs them, which most clusters do not have."""

from __future__ import annotations

import io
import zlib

from concertmaster.core.units import MIB

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_WINDOW = 32 * MIB  # bytes: no frame may request more memory


class PackedError(Exception):
    """Compressed data that cannot be decompressed; the message is a sentence."""


def unpack(packed: bytes, most: int) -> bytes:
    """The decompressed content. Raises PackedError if it exceeds ``most`` bytes or is damaged."""
    if packed.startswith(_GZIP):
        content, whole = _gzip(packed, most + 1)
    elif packed.startswith(_ZSTD):
        content, whole = _zstd(packed, most + 1)
    else:
        content, whole = _brotli(packed, most + 1)
    if len(content) > most:
        raise PackedError(f"it unpacks to more than {most // MIB} MB")
    if not whole:
        raise PackedError("it is cut short")
    return content


def _gzip(packed: bytes, most: int) -> tuple[bytes, bool]:
    """At most ``most`` bytes, and whether the end of the data was reached; so do the other two."""
    stream = zlib.decompressobj(wbits=31)
    try:
        return stream.decompress(packed, most), stream.eof
    except zlib.error as error:
        raise _damaged(error) from error


def _zstd(packed: bytes, most: int) -> tuple[bytes, bool]:
    import zstandard

    try:
        with zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(io.BytesIO(packed)) as reader:
            return reader.read(most), True  # a truncated frame raises, or yields invalid JSON
    except zstandard.ZstdError as error:
        raise _damaged(error) from error


def _brotli(packed: bytes, most: int) -> tuple[bytes, bool]:
    import brotli

    stream = brotli.Decompressor()
    try:
        return stream.process(packed, output_buffer_limit=most), stream.is_finished()
    except brotli.error as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> PackedError:
    return PackedError(f"it is packed with none of gzip, zstd and brotli, or damaged ({error})")
