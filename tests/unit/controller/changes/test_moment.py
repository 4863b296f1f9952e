"""When a change was written, and what the runs of that very moment were made from."""

from __future__ import annotations

import pytest

from concertmaster.core.times import format_time
from concertmaster.kube.client import FIELD_MANAGER
from tests.support.controller.change_steps import HOUR, applied, later
from tests.support.controller.changes_bed import NOW, Bed

WRITTEN = NOW + 85.0  # the cycle begins at NOW + 60


def bed_written_by(manager: str) -> Bed:
    """A bed whose API server says that ``manager`` wrote the target late in the cycle."""
    bed = Bed()
    entry = {"manager": manager, "operation": "Update", "time": format_time(WRITTEN), "fieldsV1": {"f:spec": {}}}
    bed.target["metadata"]["managedFields"] = [entry]
    return applied(bed)


def test_a_change_is_dated_by_the_clock_that_dates_the_runs() -> None:
    assert bed_written_by(FIELD_MANAGER).one().applied == WRITTEN


def test_what_somebody_else_wrote_does_not_date_it() -> None:
    assert bed_written_by("kubectl-edit").one().applied == NOW + 60.0


@pytest.mark.parametrize(
    ("start", "cpu", "runs"),
    [
        (-20.0, 2.0, 0),  # begun in this cycle, before the write
        (0.0, 2.0, 0),
        (0.0, 1.5, 1),
        (1.0, 1.5, 1),
    ],
)
def test_only_runs_of_the_changed_definition_verify_it(start: float, cpu: float, runs: int) -> None:
    bed = bed_written_by(FIELD_MANAGER)
    bed.runs(1, end=WRITTEN + start + HOUR, cpu=cpu)
    bed.run(HOUR)
    assert (bed.one().status["baselineRuns"], bed.one().status["verifiedRuns"]) == (30, runs)


def test_a_rollback_is_dated_by_it_too() -> None:
    bed = bed_written_by(FIELD_MANAGER)
    later(bed, 3, 1500.0, cpu=1.5)
    change = bed.one()
    assert (change.status["restored"], change.restored) == (True, WRITTEN)
