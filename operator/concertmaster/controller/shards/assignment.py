"""Assignment of namespaces to shards: rendezvous hashing over the live shards.

Every process computes the same result from the same set. When a shard disappears, only its own namespaces move, spread over
all others; when it returns, it gets exactly those back.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

CLUSTER = ""
"""Stands for objects of no namespace, which have one owner like a namespace."""


def owner(namespace: str, shards: Iterable[str]) -> str | None:
    """The shard of ``shards`` responsible for ``namespace``; None when there are no shards."""
    return max(shards, key=lambda shard: (_weight(namespace, shard), shard), default=None)


def _weight(namespace: str, shard: str) -> bytes:
    return blake2b(f"{shard}\0{namespace}".encode(), digest_size=8).digest()
