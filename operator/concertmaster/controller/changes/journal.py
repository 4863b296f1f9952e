"""The journal of changes: what is about to be written, and which plans were proposed, kept in the history's file.

Written before the cluster is. It is used to recover a change whose object was deleted, and a write that was interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from concertmaster.core.units import DAY

_FLYING = "change/"
_MADE = "made/"
_DELETED = "deleted/"
_KEPT = "kept/"
_REMEMBERED = 30 * DAY


def _deleted(change: Mapping[str, Any]) -> str:
    spec = change["spec"]
    return f"{_DELETED}{change['metadata']['namespace']}/{spec['profileRef']['name']}/{spec['recommendation']}"


class JournalPages(Protocol):
    """Where the journal is kept; the history's store is one."""

    def write_journal(self, key: str, body: str, at: float) -> None:
        """Keep ``body`` under ``key``."""

    def drop_journal(self, key: str) -> None:
        """Forget an entry."""

    def journal(self, prefix: str = "") -> dict[str, str]:
        """Entries whose key begins with ``prefix``."""


class Journal:
    """Entries by the uid of their WorkflowChange. ``pages`` gives the present store, which may be opened anew."""

    def __init__(self, pages: Callable[[], JournalPages]) -> None:
        self._pages = pages

    def put(self, change: Mapping[str, Any], at: float) -> None:
        """Keep a change as it will be, before anything is written."""
        uid = str(change["metadata"]["uid"])
        slim = {k: change[k] for k in ("apiVersion", "kind", "spec", "status") if k in change}
        meta = {k: v for k, v in change["metadata"].items() if k in ("name", "namespace", "uid", "creationTimestamp")}
        self._pages().write_journal(_FLYING + uid, json.dumps({**slim, "metadata": meta}), at)

    def drop(self, uid: str) -> None:
        """Remove a finished change."""
        self._pages().drop_journal(_FLYING + uid)

    def keep(self, change: Mapping[str, Any], at: float) -> None:
        """Note that a change was kept, and is monitored."""
        meta, spec = change["metadata"], change["spec"]
        body = {"namespace": meta["namespace"], "spec": {"planDigest": spec["planDigest"]}}
        self._pages().write_journal(f"{_KEPT}{meta['uid']}", json.dumps(body), at)

    def kept(self) -> dict[str, str]:
        """The namespaces of kept changes that are monitored, by uid."""
        rows = self._pages().journal(_KEPT)
        return {key.removeprefix(_KEPT): str(json.loads(body)["namespace"]) for key, body in rows.items()}

    def release(self, uid: str) -> None:
        """Monitor a kept change no longer."""
        self._pages().drop_journal(f"{_KEPT}{uid}")

    def in_flight(self) -> dict[str, dict[str, Any]]:
        """Changes that were begun and not finished, by uid."""
        rows = self._pages().journal(_FLYING)
        return {key.removeprefix(_FLYING): json.loads(body) for key, body in rows.items()}

    def holds(self, uid: str, digest: str) -> bool:
        """Whether the change ``uid`` was begun with the plan of this digest and is not finished, or is monitored."""
        bodies = (self._pages().journal(key + uid).get(key + uid) for key in (_FLYING, _KEPT))
        return bool(digest) and any(json.loads(b)["spec"].get("planDigest") == digest for b in bodies if b is not None)

    def note_proposed(self, digest: str, at: float) -> None:
        """Remember that the operator proposed the plan of this digest."""
        self._pages().write_journal(_MADE + digest, "{}", at)

    def proposed(self, digest: str) -> bool:
        """Whether the operator is known to have proposed the plan of this digest."""
        return bool(digest) and f"{_MADE}{digest}" in self._pages().journal(_MADE + digest)

    def note_deleted(self, change: Mapping[str, Any], at: float) -> None:
        """Somebody deleted a change under verification: its rule must ask before it changes this workflow again. Notes that
        are older than 30 days are dropped."""
        pages = self._pages()
        pages.write_journal(_deleted(change), json.dumps(at), at)
        for key, body in pages.journal(_DELETED).items():
            if at - float(json.loads(body)) >= _REMEMBERED:
                pages.drop_journal(key)

    def deleted(self, namespace: str, profile: str, now: float) -> dict[str, float]:
        """When changes of a workflow were deleted under verification (unix seconds), by recommendation; the last 30 days."""
        prefix = f"{_DELETED}{namespace}/{profile}/"
        rows = {
            key.removeprefix(prefix): float(json.loads(body)) for key, body in self._pages().journal(prefix).items()
        }
        return {key: at for key, at in rows.items() if now - at < _REMEMBERED}

    def forget_proposed(self, digest: str) -> None:
        """Forget the proposal with this digest."""
        self._pages().drop_journal(_MADE + digest)
