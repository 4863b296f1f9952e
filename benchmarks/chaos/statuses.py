"""What the statuses of the healthy workflows say, as sums."""

from __future__ import annotations

from benchmarks.chaos.bed import World


def observed(bed: World) -> dict[str, int]:
    """Runs by workflow."""
    return {
        item["metadata"]["name"]: int(((item.get("status") or {}).get("runs") or {}).get("observed") or 0)
        for item in bed.profiles()
    }


def dated(bed: World) -> int:
    """How many say up to when their recommendations are."""
    return sum(bool((item.get("status") or {}).get("dataUntil")) for item in bed.profiles())


def stale(bed: World) -> int:
    """How many say that metrics are missing or late."""
    found = 0
    for item in bed.profiles():
        conditions = (item.get("status") or {}).get("conditions") or ()
        found += any(c["type"] == "MetricsAvailable" and c["status"] != "True" for c in conditions)
    return found
