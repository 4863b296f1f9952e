"""How long a run took: by its pods, and as its engine saw it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import Outcome, RunRecord, Source, StepExecution
from tests.support.builders import KEY, definition, run_record, step

T0 = 1_760_000_000.0


def execution(
    step: str, begin: float, end: float, outcome: Outcome = Outcome.SUCCEEDED, *, pod: bool = True
) -> StepExecution:
    return StepExecution(
        step, pod=step if pod else None, created=T0 + begin, started=T0 + begin, finished=T0 + end, outcome=outcome
    )


def record(*steps: StepExecution, source: Source = Source.LIVE) -> RunRecord:
    pods = [e for e in steps if e.pod is not None]
    begin, end = min(e.created or 0.0 for e in pods), max(e.finished or 0.0 for e in pods)
    return run_record(steps, workflow=KEY, start=begin, end=end, source=source)


WORK = execution("work", 600, 700)


@pytest.mark.parametrize(
    ("beside", "seconds"),
    [
        ((), 100.0),
        ((execution("pause", 0, 600, pod=False),), 700.0),
        ((execution("fetch", 590, 590, Outcome.CACHED, pod=False),), 110.0),
        ((execution("hold", 700, 760, pod=False),), 160.0),
        ((execution("never", 0, 0, Outcome.SKIPPED, pod=False),), 100.0),
    ],
)
def test_run_time_counts_what_leaves_no_pod(beside: tuple[StepExecution, ...], seconds: float) -> None:
    """A pause before the first pod is time of the run; the makespan stays that of the pods, which history has too."""
    live = record(*beside, WORK)
    assert (live.run_time, live.makespan) == (seconds, 100.0)
    assert replace(live, source=Source.HISTORY).run_time == 100.0


def test_the_duration_of_a_workflow_is_its_run_time() -> None:
    runs = [
        replace(record(execution("pause", 0, 600, pod=False), WORK), run=f"r{i}", end=T0 + 700 + i, start=T0 + 600 + i)
        for i in range(6)
    ]
    found = analyze(definition(step("work")), runs, now=T0 + 3600.0)
    assert found.makespan.p50 == pytest.approx(700.0, abs=10.0)
