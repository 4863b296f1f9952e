"""The series of single workflows on /metrics: opt-in by policy, capped, and rendered from finished lines.

The client library keeps an object per series; for 5,000 workflows of 50 series each that is more memory than the rest of the
operator, so that lines are kept as text and put together when somebody scrapes.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from concertmaster.core.fair_share import item_to_evict
from concertmaster.core.model import WorkflowKey
from concertmaster.report.workflow_series import FAMILIES, PREFIX, RUN_LATE, Sample, head, line

MAX_WORKFLOWS = 5000
_LEFT_OUT = "left_out"
LEFT_OUT = (
    _LEFT_OUT,
    f"Workflows without series of their own although their policy asks for them: {MAX_WORKFLOWS} have.",
)


class WorkflowSeries:
    """Lines by family and profile. Safe to use from several threads."""

    def __init__(self, most: int = MAX_WORKFLOWS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._lines: dict[str, dict[str, str]] = {family: {} for family in FAMILIES}
        self._keys: dict[str, WorkflowKey] = {}
        self._refused: set[str] = set()
        self._late: dict[str, int] = {}

    def put(self, uid: str, key: WorkflowKey, samples: Sequence[Sample]) -> None:
        """Replace the series of a profile; none where its policy does not ask for any, or there is no room."""
        by_family: dict[str, str] = {}
        for sample in samples:
            by_family[sample.family] = by_family.get(sample.family, "") + line(key, sample)
        self.restore(uid, key, by_family)

    def lines(self, uid: str) -> dict[str, str]:
        """The lines of a profile by family, for the next process."""
        with self._lock:
            return {family: lines[uid] for family, lines in self._lines.items() if uid in lines}

    def restore(self, uid: str, key: WorkflowKey, by_family: Mapping[str, str]) -> None:
        """Replace the series of a profile by finished lines."""
        with self._lock:
            self._drop(uid)
            if not by_family:
                return
            if len(self._keys) >= self._most and not self._make_room(key.namespace):
                self._refused.add(uid)
                return
            self._keys[uid] = key
            for family, lines in by_family.items():
                self._lines[family][uid] = lines

    def late(self, runs: Mapping[str, int]) -> None:
        """Runs in progress that are late, by the uid of the profile; profiles without any are left out."""
        with self._lock:
            self._late = dict(runs)

    def keep_only(self, uids: Collection[str]) -> None:
        """Forget profiles that are gone."""
        with self._lock:
            for uid in [u for u in (*self._keys, *self._refused) if u not in uids]:
                self._drop(uid)

    def render(self) -> str:
        """The exposition text; empty while no workflow has series."""
        with self._lock:
            if not self._keys and not self._refused:
                return ""
            parts = [
                head(family, about) + "".join(self._lines[family].values())
                for family, about in FAMILIES.items()
                if self._lines[family]
            ]
            late = (line(key, Sample(RUN_LATE[0], float(self._late.get(uid, 0)))) for uid, key in self._keys.items())
            parts += [head(*RUN_LATE), *late]
            parts.append(f"{head(*LEFT_OUT)}{PREFIX}{_LEFT_OUT} {len(self._refused)}\n")
        return "".join(parts)

    def _make_room(self, namespace: str) -> bool:
        """Whether the namespace with the most series gave up those of its newest workflow for a namespace with fewer."""
        by_namespace = Counter[str | None](key.namespace for key in self._keys.values())
        if max(by_namespace.values()) <= by_namespace[namespace] + 1:
            return False
        newest = item_to_evict(reversed(self._keys), lambda uid: self._keys[uid].namespace, by_namespace)
        self._drop(newest)
        self._refused.add(newest)
        return True

    def _drop(self, uid: str) -> None:
        self._refused.discard(uid)
        if self._keys.pop(uid, None) is not None:
            for lines in self._lines.values():
                lines.pop(uid, None)
