"""Times and names in Kubernetes objects, for comparisons."""

from __future__ import annotations

from datetime import datetime
from typing import Any

Object = dict[str, Any]
RESOLUTION = 1.0  # seconds: resolution of times in Kubernetes objects and kube-state-metrics


def unix(text: str | None) -> float | None:
    """Unix seconds of a timestamp in an object; None if missing."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if text else None


def near(found: float | None, truth: float | None, within: float = RESOLUTION) -> bool:
    """Whether two times agree; None only agrees with None."""
    if found is None or truth is None:
        return found is truth
    return abs(found - truth) <= within


def created(pod: Object) -> float | None:
    """Creation of the pod object in unix seconds."""
    return unix(pod["metadata"]["creationTimestamp"])


def scheduled(pod: Object) -> float | None:
    """Time of the binding to a node in unix seconds."""
    rows = [c for c in pod["status"].get("conditions", ()) if c["type"] == "PodScheduled" and c["status"] == "True"]
    return unix(rows[0]["lastTransitionTime"]) if rows else None


def _states(pod: Object, which: str, beside: tuple[str, ...] = ()) -> list[Object]:
    rows = [s.get(which) or {} for s in pod["status"].get("containerStatuses", ()) if s["name"] not in beside]
    return [state.get("terminated") or state.get("running") or {} for state in rows]


def started(pod: Object, beside: tuple[str, ...] = ("wait",)) -> float | None:
    """First start of a container other than ``beside``, even if it has been restarted since."""
    states = [*_states(pod, "lastState", beside), *_states(pod, "state", beside)]
    return min((t for t in (unix(s.get("startedAt")) for s in states) if t is not None), default=None)


def finished(pod: Object) -> float | None:
    """End of the last container; None while one is running."""
    found = [unix(s.get("finishedAt")) for s in _states(pod, "state")]
    known = [t for t in found if t is not None]
    return max(known) if known and len(known) == len(found) else None
