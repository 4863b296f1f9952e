"""The journal of changes: what is about to be written, and which plans were proposed, kept in the history's file.

Written before the cluster is. It is used to recover a change whose object was deleted, and a write that was interrupted.
An entry that cannot be read (a damaged disk, a row of another version) counts as none and is kept: its change is left as it
is, and the others go on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from concertmaster.core.changes.plan import ChangeTarget
from concertmaster.core.changes.verification.start_times import StartTimes
from concertmaster.core.model import TASK
from concertmaster.core.units import DAY
from concertmaster.history import Store

_IN_PROGRESS = "change/"
_MADE = "made/"
_DELETED = "deleted/"
_KEPT = "kept/"
_REFUSED = "refused/"
_TIMES = "times/"
_KEEP_SECONDS = 30 * DAY
_KEEP_REFUSAL_SECONDS = 2 * DAY  # later ones are not in a row with it
_KEEP_PROPOSAL_SECONDS = 90 * DAY  # a proposal that is decided later must be the same plan exactly


def _deleted(change: Mapping[str, Any]) -> str:
    """The key of the note about it: by what it changed, which may get another profile; a Task is that of others, too."""
    spec, target = change["spec"], ((change.get("status") or {}).get("plan") or {}).get("target") or {}
    named = "name" in target and target["kind"] != TASK
    whose = _object(target["kind"], target["name"]) if named else spec["profileRef"]["name"]
    return f"{_DELETED}{change['metadata']['namespace']}/{whose}/{spec['recommendation']}"


def _object(kind: str, name: str) -> str:
    return f"{kind}:{name}"  # no name of a profile, which has no colon


WriteKey = tuple[str, ...]
"""Whose writes: namespace, profile and recommendation, and a word for those that are not of its target."""


@dataclass(frozen=True, slots=True)
class _RefusedWrite:
    """When a write was refused (unix seconds), for how many seconds none is tried since, and why."""

    at: float
    pause: float
    why: str = ""


def _refusal(write: WriteKey) -> str:
    return _REFUSED + "/".join(write)


@dataclass(frozen=True, slots=True)
class BegunChanges:
    """Changes that were begun and not finished: their entries by uid, and the uids of those that cannot be read."""

    entries: Mapping[str, Mapping[str, Any]]
    unreadable: frozenset[str]


class Journal:
    """Entries by the uid of their WorkflowChange. ``store`` gives the present one, which may be opened anew."""

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store

    def put(self, change: Mapping[str, Any], at: float) -> None:
        """Keep a change as it will be, before anything is written."""
        uid = str(change["metadata"]["uid"])
        slim = {k: change[k] for k in ("apiVersion", "kind", "spec", "status") if k in change}
        meta = {k: v for k, v in change["metadata"].items() if k in ("name", "namespace", "uid", "creationTimestamp")}
        self._store().write_journal(_IN_PROGRESS + uid, json.dumps({**slim, "metadata": meta}), at)

    def drop(self, uid: str) -> None:
        """Remove a finished change, but what the monitoring of a kept one goes on with."""
        if uid not in self._entries(_KEPT, uid):
            self._store().drop_journal(_TIMES + uid)
        self._store().drop_journal(_IN_PROGRESS + uid)

    def keep(self, change: Mapping[str, Any], at: float) -> None:
        """Note that a change was kept, and is monitored."""
        meta, spec = change["metadata"], change["spec"]
        body = {"namespace": meta["namespace"], "spec": {"planDigest": spec["planDigest"]}}
        self._store().write_journal(f"{_KEPT}{meta['uid']}", json.dumps(body), at)

    def kept(self) -> dict[str, str]:
        """The namespaces of kept changes that are monitored, by uid."""
        return {uid: str(entry["namespace"]) for uid, entry in self._entries(_KEPT).items() if "namespace" in entry}

    def release(self, uid: str) -> None:
        """Monitor a kept change no longer."""
        self._store().drop_journal(_TIMES + uid)
        self._store().drop_journal(f"{_KEPT}{uid}")

    def in_flight(self) -> BegunChanges:
        """Changes that were begun and not finished, of one reading."""
        rows = self._store().journal(_IN_PROGRESS)
        read = {key.removeprefix(_IN_PROGRESS): _read(body) for key, body in rows.items()}
        entries = {uid: entry for uid, entry in read.items() if _names(entry)}
        return BegunChanges(entries, frozenset(read.keys() - entries.keys()))

    def holds(self, uid: str, digest: str) -> bool:
        """Whether the change ``uid`` was begun with the plan of this digest and is not finished, or is monitored."""
        entries = (self._entries(prefix, uid).get(uid, {}) for prefix in (_IN_PROGRESS, _KEPT))
        return bool(digest) and any(_digest(entry) == digest for entry in entries)

    def note_proposed(self, digest: str, at: float) -> None:
        """Remember that the operator proposed the plan of this digest."""
        self._store().write_journal(_MADE + digest, "{}", at)
        self._store().prune_journal(_MADE, at - _KEEP_PROPOSAL_SECONDS)

    def proposed(self, digest: str) -> bool:
        """Whether the operator is known to have proposed the plan of this digest."""
        return bool(digest) and f"{_MADE}{digest}" in self._store().journal(_MADE + digest)

    def note_deleted(self, change: Mapping[str, Any], at: float) -> None:
        """Somebody deleted a change under verification: its rule must ask before it changes this workflow again."""
        self._store().write_journal(_deleted(change), json.dumps(at), at)
        self._store().prune_journal(_DELETED, at - _KEEP_SECONDS)

    def deleted(self, namespace: str, profile: str, target: ChangeTarget, now: float) -> dict[str, float]:
        """When changes of a workflow were deleted under verification (unix seconds), by recommendation; the last 30 days:
        those of the object ``target``, whichever profile it had, and those noted of its ``profile``."""
        known: dict[str, float] = {}
        prefix, ours = f"{_DELETED}{namespace}/", (profile, _object(target.kind, target.name))
        for key, body in self._store().journal(prefix).items():
            whose, _, recommendation = key.removeprefix(prefix).partition("/")
            if whose in ours:
                at = _read(body)
                known[recommendation] = max(known.get(recommendation, 0.0), at if isinstance(at, int | float) else now)
        return {key: at for key, at in known.items() if now - at < _KEEP_SECONDS}

    def note_start_times(self, uid: str, times: StartTimes, at: float) -> None:
        """Note when the workflow of a change in progress could be started since; forgotten 30 days after the last time."""
        self._store().write_journal(_TIMES + uid, json.dumps(times.document()), at)
        self._store().prune_journal(_TIMES, at - _KEEP_SECONDS)

    def start_times(self, uid: str) -> StartTimes | None:
        """What was noted last; None for nothing that can be read."""
        return StartTimes.read(self._entries(_TIMES, uid).get(uid))

    def paused(self, write: WriteKey, now: float, most: float) -> bool:
        """Whether the API server did not take a write, so recently (``most`` seconds) that it is not tried again yet."""
        refused = self._refused(write, now)
        return refused is not None and 0.0 <= now - refused.at < min(most, refused.pause)

    def why_refused(self, write: WriteKey, now: float) -> str:
        """What was noted of the last refusal; empty for nothing."""
        refused = self._refused(write, now)
        return "" if refused is None else refused.why

    def note_refused(self, write: WriteKey, now: float, first: float, most: float, why: str = "") -> None:
        """The API server did not take a write, for the reason ``why``: pause for ``first`` seconds, or twice as long as the
        last time, up to ``most``."""
        last = self._refused(write, now)
        pause = first if last is None else min(most, max(first, 2.0 * last.pause))
        self._store().write_journal(_refusal(write), json.dumps({"at": now, "pause": pause, "why": why}), now)
        self._store().prune_journal(_REFUSED, now - _KEEP_REFUSAL_SECONDS)

    def forget_refused(self, write: WriteKey, now: float) -> None:
        """The API server has taken a write: a later refusal is a first one."""
        if self._refused(write, now) is not None:
            self._store().drop_journal(_refusal(write))

    def _refused(self, write: WriteKey, now: float) -> _RefusedWrite | None:
        """The last write that the API server did not take, of the last two days."""
        key = _refusal(write)
        entry = _read(self._store().journal(key).get(key, ""))
        at, pause = (entry.get("at"), entry.get("pause")) if isinstance(entry, dict) else (None, None)
        if not isinstance(at, int | float) or not isinstance(pause, int | float) or now - at >= _KEEP_REFUSAL_SECONDS:
            return None
        return _RefusedWrite(at, pause, str(entry.get("why") or ""))

    def forget_proposed(self, digest: str) -> None:
        """Forget the proposal with this digest."""
        self._store().drop_journal(_MADE + digest)

    def _entries(self, prefix: str, uid: str = "") -> dict[str, dict[str, Any]]:
        """The entries that can be read, by uid: all, or that of ``uid`` and of those whose uid begins with it."""
        read = {key.removeprefix(prefix): _read(body) for key, body in self._store().journal(prefix + uid).items()}
        return {key: entry for key, entry in read.items() if isinstance(entry, dict)}


def _read(body: str) -> Any:
    """What an entry says; None where that cannot be read."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _names(entry: Any) -> bool:
    """Whether an entry says of which change it is."""
    if not isinstance(entry, dict):
        return False
    meta, spec = entry.get("metadata"), entry.get("spec")
    return isinstance(meta, dict) and isinstance(spec, dict) and all(map(meta.get, ("namespace", "name", "uid")))


def _digest(entry: Mapping[str, Any]) -> Any:
    spec = entry.get("spec")
    return spec.get("planDigest") if isinstance(spec, dict) else None
