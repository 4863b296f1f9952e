"""Common steps in tests of changes: proposed, approved, applied, verified later."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from concertmaster.core.model import RunRecord
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


def with_image(run: RunRecord, image: str) -> RunRecord:
    """The run with that image in all its containers."""
    steps = [replace(e, containers=tuple([replace(c, image=image) for c in e.containers])) for e in run.steps]
    return replace(run, steps=tuple(steps))
