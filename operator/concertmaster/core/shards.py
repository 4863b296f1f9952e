"""Which shard looks after a namespace: rendezvous hashing over the shards that are alive.

Every process computes the same answer from the same set. When a shard goes, only its own namespaces move, and they spread
over all that are left; when it comes back, it gets exactly those.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

CLUSTER = ""
"""Stands for objects of no namespace, which have one owner like a namespace."""


def owner(namespace: str, shards: Iterable[str]) -> str | None:
    """The shard of ``shards`` that looks after ``namespace``; None when there is none."""
    return max(shards, key=lambda shard: (_weight(namespace, shard), shard), default=None)


def _weight(namespace: str, shard: str) -> bytes:
    return blake2b(f"{shard}\0{namespace}".encode(), digest_size=8).digest()
