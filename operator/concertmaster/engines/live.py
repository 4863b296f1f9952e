"""What live objects say about runs, whichever engine they belong to.

Live objects are read as they finish and kept: they know edges taken, attempts, cache hits, skipped branches, exit codes
and messages, none of which the metrics can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from concertmaster.core.model import RunRecord, StepExecution


@dataclass(frozen=True, slots=True)
class LiveRun:
    """What a live object says about one run. ``complete``: it has ended and its steps are all there. ``problems``:
    sentences about what could not be read."""

    record: RunRecord
    complete: bool
    problems: tuple[str, ...] = ()


def span(steps: Sequence[StepExecution]) -> tuple[float | None, float | None]:
    """First creation and last end of the pods of a run: computed like this for live and history records alike, so that
    the two can be compared."""
    pods = [e for e in steps if e.pod is not None]
    begins = [e.created for e in pods if e.created is not None]
    ends = [e.finished for e in pods if e.finished is not None]
    return min(begins, default=None), max(ends, default=None)
