"""Decompression of a node table. Argo identifies the algorithm only by the magic number: gzip and zstd have one,
anything else is brotli."""

from __future__ import annotations

import io
import zlib

import brotli
import zstandard

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_WINDOW = 32 * 1024**2  # bytes: no frame may request more memory


class PackedError(Exception):
    """Compressed data that cannot be decompressed; the message is a sentence."""


def unpack(packed: bytes, most: int) -> bytes:
    """The decompressed content. Raises PackedError if it exceeds ``most`` bytes or is damaged."""
    try:
        if packed.startswith(_GZIP):
            gzip = zlib.decompressobj(wbits=31)
            content = gzip.decompress(packed, most + 1)
            whole = gzip.eof
        elif packed.startswith(_ZSTD):
            with zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(io.BytesIO(packed)) as reader:
                content = reader.read(most + 1)
            whole = True  # a truncated frame raises, or yields invalid JSON
        else:
            stream = brotli.Decompressor()
            content = stream.process(packed, output_buffer_limit=most + 1)
            whole = stream.is_finished()
    except (zlib.error, zstandard.ZstdError, brotli.error) as error:
        raise PackedError(f"it is packed with none of gzip, zstd and brotli, or damaged ({error})") from error
    if len(content) > most:
        raise PackedError(f"it unpacks to more than {most // 1024**2} MB")
    if not whole:
        raise PackedError("it is cut short")
    return content
