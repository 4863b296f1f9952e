"""Time in which nothing could be read of a workflow says nothing of its change."""

from __future__ import annotations

import pytest

from concertmaster.api.conditions import ConditionType as C
from concertmaster.core.model.enums import Verdict
from concertmaster.core.times import format_time
from tests.support.controller.change_steps import HOUR, applied, later
from tests.support.controller.changes_bed import DAY, Bed


def three_runs_after() -> tuple[Bed, float]:
    """A change with three runs since, of the five that a verdict takes, and when it was made."""
    bed = applied(verify={"maxAge": "2d", "onInconclusive": "Restore"})
    later(bed, 3)
    assert bed.one().status["verifiedRuns"] == 3
    return bed, bed.one().applied or 0.0


def test_a_verification_outlasts_the_metrics_source_and_takes_the_runs_that_are_read_afterwards() -> None:
    bed, _ = three_runs_after()
    lost = bed.data_until = bed.now
    for _ in range(4):
        bed.outages = ((lost, bed.now + DAY),)
        bed.run(DAY)
        assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    bed.data_until = None
    bed.runs(12, seed=9, cpu=0.75)
    bed.run()
    assert (bed.one().phase, bed.one().verdict) == ("Completed", Verdict.IMPROVED)


def test_what_the_metrics_source_missed_itself_is_no_time_of_the_verification() -> None:
    bed, at = three_runs_after()
    bed.outages = ((bed.now, bed.now + 4 * DAY),)
    bed.run(4 * DAY + 60.0)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    bed.run(at + 6 * DAY - HOUR - bed.now)
    assert bed.one().phase == "Verifying"
    bed.run(2 * HOUR)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.INCONCLUSIVE, "2")
    assert "30 runs before and 3 after it within 2d00h: too few to tell" in bed.message(C.VERIFIED)


def test_a_new_process_reads_before_it_ends_a_verification_for_its_age() -> None:
    """The stage runs before the metrics are read; the operator was away for longer than a verification may last."""
    bed, _ = three_runs_after()
    bed.start()
    bed.run(4 * DAY, early=True, unread=True)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    bed.runs(12, seed=9, cpu=0.75)
    bed.run()
    assert (bed.one().phase, bed.one().verdict) == ("Completed", Verdict.IMPROVED)


def test_a_new_process_reads_before_it_ends_a_verification_for_an_edit_of_the_template() -> None:
    bed, _ = three_runs_after()
    bed.start()
    bed.now += HOUR
    bed.runs(1, seed=9)
    bed.edit("/spec/jobTemplate/spec/template/spec/containers/0/image", "y")
    edited = {"manager": "kubectl-edit", "fieldsV1": {"f:spec": {}}, "time": format_time(bed.now)}
    bed.target["metadata"]["managedFields"] = [edited]
    bed.run(3 * HOUR, early=True, unread=True)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    bed.run()
    assert (bed.one().phase, bed.one().status["verifiedRuns"]) == ("Completed", 4)


def test_an_edit_ends_no_verification_before_all_of_a_long_absence_is_read() -> None:
    """One cycle reads two days of it."""
    bed, _ = three_runs_after()
    bed.start()
    bed.runs(3, seed=9)
    bed.data_until = bed.now - 2 * HOUR
    bed.edit("/spec/jobTemplate/spec/template/spec/containers/0/image", "y")
    bed.run(3 * DAY)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    bed.data_until = None
    bed.run(60.0)
    assert (bed.one().phase, bed.one().status["verifiedRuns"]) == ("Completed", 6)


@pytest.mark.parametrize("runs", [0, 3])
def test_a_clock_that_is_ahead_ends_no_verification(runs: int) -> None:
    bed = applied(verify={"maxAge": "2d", "onInconclusive": "Restore"})
    later(bed, runs)
    bed.clock_ahead = 30 * DAY
    bed.run(30 * DAY)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")


def test_a_clock_that_jumps_an_hour_forward_and_back_disturbs_no_verification() -> None:
    bed, _ = three_runs_after()
    bed.clock_ahead = HOUR
    bed.run(HOUR)
    bed.clock_ahead = 0.0
    bed.run(60.0 - HOUR)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    later(bed, 12, cpu=0.75)
    assert (bed.one().phase, bed.one().verdict) == ("Completed", Verdict.IMPROVED)
