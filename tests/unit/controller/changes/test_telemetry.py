"""The series of changes on /metrics tell what happened, each thing once."""

from __future__ import annotations

from concertmaster.kube import errors
from tests.support.controller.change_steps import HOUR, applied, later
from tests.support.controller.changes_bed import CHANGES, CPU, DAY, Bed, cheaper
from tests.support.resources import CRONJOB


def test_a_kept_change_is_counted_at_each_step() -> None:
    bed = applied()
    bed.run()
    assert bed.counted("proposed_total") == bed.counted("applied_total") == 1.0
    assert bed.counted("in_flight", phase="Verifying") == 1.0
    assert bed.counted("verdict_seconds_count") == 0.0
    later(bed, 12, cpu=0.5)
    assert bed.counted("verdicts_total", verdict="Improved") == 1.0
    assert bed.counted("restored_total", ground="verification") == 0.0
    assert bed.counted("verdict_seconds_count") == 1.0
    assert bed.counted("verdict_seconds_sum") == bed.now - (bed.one().applied or 0.0) > 12 * HOUR
    bed.run()
    assert bed.counted("in_flight", phase="Verifying") == 0.0
    assert bed.counted("verdicts_total", verdict="Improved") == 1.0


def test_a_change_rolled_back_by_its_verification_by_a_person_and_by_deletion() -> None:
    bed = applied()
    later(bed, 2, 1500.0)
    assert bed.counted("verdicts_total", verdict="Worse") == bed.counted("restored_total", ground="verification") == 1.0
    bed = applied()
    bed.decide("Reject")
    bed.run()
    assert bed.counted("restored_total", ground="rejected") == 1.0
    assert sum(bed.counted("verdicts_total", verdict=v) for v in ("Improved", "Same", "Worse", "Inconclusive")) == 0.0
    bed = applied()
    bed.delete(CHANGES, bed.one().name)
    bed.run()
    assert bed.counted("restored_total", ground="deleted") == 1.0


def test_conflicts_and_forgeries_are_counted() -> None:
    bed = applied()
    bed.edit(CPU, "3")
    bed.run()
    assert bed.counted("conflicts_total") == 1.0
    bed = Bed(mode="Approve")
    bed.run()
    bed.edit(CPU, "3")  # before the write
    bed.run()
    assert bed.counted("conflicts_total") == 1.0
    spec = {"profileRef": {"name": "etl"}, "recommendation": "cpu-request.job", "planDigest": "e" * 64}
    bed.client.put(CHANGES, "demo", "mine", spec={**spec, "decision": "Approve"})
    bed.run()
    assert bed.counted("failed_total") == 1.0


def test_what_checks_block_is_reported_by_check_and_for_the_last_cycle_only() -> None:
    bed = Bed(mode="Auto")
    bed.coverage = 0.1
    for _ in range(2):
        bed.run()
        assert bed.counted("refused", check="data") == 1.0
        assert bed.counted("refused", check="owner") == 0.0
    bed.coverage = 1.0
    bed.run()
    assert bed.counted("refused", check="data") == 0.0
    assert bed.counted("applied_total") == 1.0
    bed.items = [cheaper("1500m", "1100m")]
    bed.now += DAY
    bed.runs(2, seed=9)
    bed.run(0.0)
    assert bed.counted("refused", check="in-flight") == 1.0


def test_orphans_are_reported_and_a_cluster_that_cannot_be_read_leaves_the_figures_as_they_are() -> None:
    bed = applied()
    bed.policy(mode="Recommend")
    bed.run()
    bed.run()
    assert bed.counted("orphaned") == bed.counted("in_flight", phase="Verifying") == 1.0
    bed.client.lists[CHANGES.path()] = errors.Forbidden("no", status=403)
    bed.run()
    assert bed.problems
    assert bed.counted("orphaned") == bed.counted("in_flight", phase="Verifying") == 1.0


def test_a_rollback_that_is_not_taken_waits_and_fails_no_cycle() -> None:
    """Else an admission policy of one namespace would let the alerts on the operator fire."""
    bed = applied()
    bed.decide("Reject", bed.one().name)

    def deny(method: str, path: str) -> None:
        if method == "PATCH" and path.startswith(CRONJOB.path("demo", "etl")):
            raise errors.Denied("admission webhook freeze.example denied the request: not today", status=403)

    bed.client.on_request = deny
    for _ in range(2):  # the second finds it paused
        bed.run()
        assert bed.counted("rollbacks_waiting") == 1.0
        assert bed.notes and bed.problems == bed.notes
    bed.client.on_request = lambda *_: None
    bed.run(HOUR)
    assert (bed.cpu(), bed.counted("rollbacks_waiting"), bed.problems) == ("2", 0.0, [])
