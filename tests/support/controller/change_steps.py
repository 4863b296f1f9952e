"""Common steps in tests of changes: proposed, approved, applied, verified later."""

from __future__ import annotations

from typing import Any

from tests.support.controller.changes_bed import (
    Bed,
)

HOUR = 3600.0


def applied(bed: Bed | None = None, **apply: Any) -> Bed:
    """A bed with one change just applied, after 30 runs."""
    bed = bed or Bed(**apply)
    bed.run()
    assert bed.cpu() == "1500m"
    assert bed.one().phase == "Verifying"
    return bed


def later(bed: Bed, count: int, seconds: float = 600.0, **more: Any) -> None:
    """Add ``count`` runs after the change, then run a cycle."""
    bed.now += count * HOUR + 60.0
    bed.runs(count, seconds, seed=2 + len(bed.history.runs_of["etl"]), **more)
    bed.run(0.0)
