"""Sums over the statuses of the healthy workflows."""

from __future__ import annotations

import time

from benchmarks.chaos.bed import HEALTHY, Bed, Operator


def until_recommended(bed: Bed, op: Operator) -> None:
    """Wait until every healthy workflow has recommendations."""
    until = time.monotonic() + 420.0
    while bed.with_recommendations() < HEALTHY and time.monotonic() < until and op.process.running:
        time.sleep(1)


def observed(bed: Bed) -> dict[str, int]:
    """Number of observed runs by workflow."""
    return {
        item["metadata"]["name"]: int(((item.get("status") or {}).get("runs") or {}).get("observed") or 0)
        for item in bed.profiles()
    }


def dated(bed: Bed) -> int:
    """Number of workflows whose status dates its data."""
    return sum(bool((item.get("status") or {}).get("dataUntil")) for item in bed.profiles())


def stale(bed: Bed) -> int:
    """Number of workflows with missing or late metrics."""
    found = 0
    for item in bed.profiles():
        conditions = (item.get("status") or {}).get("conditions") or ()
        found += any(c["type"] == "MetricsAvailable" and c["status"] != "True" for c in conditions)
    return found
