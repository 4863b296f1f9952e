"""Times and names in Kubernetes objects, for comparisons."""

from __future__ import annotations

from datetime import datetime
from typing import Any

Object = dict[str, Any]
RESOLUTION = 1.0  # seconds: what Kubernetes objects and kube-state-metrics give


def unix(text: str | None) -> float | None:
    """Unix seconds of a timestamp in an object; None where there is none."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if text else None


def near(found: float | None, truth: float | None, within: float = RESOLUTION) -> bool:
    """Whether two times agree; an unknown one agrees with an unknown one only."""
    if found is None or truth is None:
        return found is truth
    return abs(found - truth) <= within


def created(pod: Object) -> float | None:
    """Creation of the pod object."""
    return unix(pod["metadata"]["creationTimestamp"])


def scheduled(pod: Object) -> float | None:
    """Binding to a node."""
    rows = [c for c in pod["status"].get("conditions", ()) if c["type"] == "PodScheduled" and c["status"] == "True"]
    return unix(rows[0]["lastTransitionTime"]) if rows else None


def _states(pod: Object, which: str, beside: tuple[str, ...] = ()) -> list[Object]:
    rows = [s.get(which) or {} for s in pod["status"].get("containerStatuses", ()) if s["name"] not in beside]
    return [state.get("terminated") or state.get("running") or {} for state in rows]


def started(pod: Object, beside: tuple[str, ...] = ("wait",)) -> float | None:
    """First start of a container other than ``beside``, also when it was restarted since."""
    states = [*_states(pod, "lastState", beside), *_states(pod, "state", beside)]
    return min((t for t in (unix(s.get("startedAt")) for s in states) if t is not None), default=None)


def finished(pod: Object) -> float | None:
    """Last end of a container; None while one runs."""
    found = [unix(s.get("finishedAt")) for s in _states(pod, "state")]
    known = [t for t in found if t is not None]
    return max(known) if known and len(known) == len(found) else None
