"""Whether the inputs of an analysis are those of an earlier one, in this process or another."""

from __future__ import annotations

import hashlib

import msgspec

# Sets and mappings in a fixed order: what is equal has the same bytes in every process.
_ENCODER = msgspec.msgpack.Encoder(order="deterministic", enc_hook=repr)


def fingerprint(*parts: object) -> str:
    """A digest of dataclasses, enums and plain values."""
    return hashlib.blake2b(_ENCODER.encode(parts), digest_size=16).hexdigest()
