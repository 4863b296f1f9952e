"""What the HTTP side can tell of each profile: the last analysis in full, packed, and never more than fits.

An answer is given to whoever knows the profile's uid. It is random and part of the object, so that those who may read the
profile get what was found out about it, whichever way they reach the port; and there is no list to ask for. Besides the
object, Events about it carry the uid (``regarding``), and an audit log of the API server carries the query of whoever
asked through it: those who read these have it too.
"""

from __future__ import annotations

import hmac
import threading
import zlib
from collections.abc import Collection
from dataclasses import dataclass

MOST_BYTES = 64 * 1024 * 1024  # packed; about 10,000 workflows


@dataclass(frozen=True, slots=True)
class _Kept:
    uid: str
    packed: bytes


class Details:
    """Documents by namespace and name of the profile. Safe to use from several threads."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], _Kept] = {}  # in the order of the analyses
        self._bytes = 0

    def put(self, namespace: str, name: str, uid: str, document: bytes) -> None:
        """Keep a document; the ones that were not renewed for longest make room."""
        kept = _Kept(uid, zlib.compress(document, 6))
        with self._lock:
            self._drop((namespace, name))
            if len(kept.packed) > self._most:
                return
            self._kept[namespace, name] = kept
            self._bytes += len(kept.packed)
            while self._bytes > self._most:
                self._drop(next(iter(self._kept)))

    def get(self, namespace: str, name: str, uid: str) -> bytes | None:
        """The document, for those who know the uid; None as well when there is none."""
        with self._lock:
            kept = self._kept.get((namespace, name))
        if kept is None or not hmac.compare_digest(kept.uid.encode(), uid.encode()):
            return None
        return zlib.decompress(kept.packed)

    def keep_only(self, uids: Collection[str]) -> None:
        """Forget profiles that are gone."""
        with self._lock:
            for key in [k for k, kept in self._kept.items() if kept.uid not in uids]:
                self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self._bytes -= len(gone.packed)
