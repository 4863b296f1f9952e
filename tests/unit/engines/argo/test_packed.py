"""Compressed node tables: every way Argo packs them, and what is too large or damaged."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import brotli
import pytest
import zstandard

from concertmaster.engines.argo.packed import PackedError, unpack

PACKERS = pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress, brotli.compress])
# As Argo 4.1.2 writes it (klauspost/compress zstd, andybalholm/brotli): a frame without a content size, flushed streams.
TABLE = b'{"a":{"id":"a","name":"run.a","phase":"Succeeded"}}' * 200


@PACKERS
def test_what_was_packed_is_unpacked(pack: Callable[[bytes], bytes]) -> None:
    assert unpack(pack(TABLE), len(TABLE)) == TABLE


@PACKERS
def test_more_than_the_bound_is_refused(pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(PackedError, match="more than"):
        unpack(pack(bytes(64 * 1024**2)), 1024**2)


@PACKERS
def test_what_is_cut_short_is_not_taken_for_all_of_it(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(TABLE)
    try:
        content = unpack(packed[: len(packed) // 2], len(TABLE))
    except PackedError:
        return
    assert content != TABLE


def test_a_frame_without_its_size_is_read() -> None:
    stream = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    assert unpack(stream.compress(TABLE) + stream.flush(), len(TABLE)) == TABLE


@pytest.mark.parametrize("packed", [b"", b"hello", b"\x1f\x8b", b"\x28\xb5\x2f\xfd1234"])
def test_what_is_not_packed_is_named(packed: bytes) -> None:
    with pytest.raises(PackedError):
        unpack(packed, 1024)
