"""Changes that were kept and turn out to do harm: rolled back once, by whichever process, or reported; and looked at no
longer than they tell anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from concertmaster.api.conditions import ConditionType as C
from concertmaster.controller.workflow_change import ledger_entry
from concertmaster.core.model import Outcome, WorkflowKey
from concertmaster.core.model.enums import Verdict
from concertmaster.core.times import format_time
from concertmaster.kube import errors
from tests.support.controller.change_steps import HOUR, applied, later, with_image
from tests.support.controller.changes_bed import CHANGES, CPU, DAY, NOW, PROFILES, Bed, Died, cheaper
from tests.support.resources import CRONJOB

KEY = WorkflowKey("demo", "CronJob", "etl")


def kept() -> Bed:
    """A bed whose change was verified as an improvement after 300 runs without a failure."""
    bed = Bed(cooldown="60d")
    bed.runs(300, seed=7, end=NOW - 31 * HOUR)
    applied(bed)
    later(bed, 9, cpu=0.75)
    assert (bed.one().phase, bed.one().verdict) == ("Completed", Verdict.IMPROVED)
    return bed


def flaky(bed: Bed, times: int = 5) -> None:
    """Runs of which every third fails."""
    for _ in range(times):
        later(bed, 2, cpu=0.75)
        later(bed, 1, cpu=0.75, outcome=Outcome.FAILED)
    bed.run(2 * HOUR)


def test_a_change_that_fails_runs_after_it_was_kept_is_rolled_back() -> None:
    bed = kept()
    flaky(bed)
    done = bed.one()
    assert (done.phase, done.verdict, done.status["restored"]) == ("Completed", Verdict.WORSE, True)
    assert bed.cpu() == "2"
    assert "runs after it failed, 0 of 330 before" in bed.message(C.VERIFIED)
    assert bed.message(C.RESTORED).startswith("rolled back: found after the change was kept: ")
    assert "ChangeRolledBack" in bed.reported()
    assert done.status["measured"]["measure"] == "Cost"
    assert done.status["harmedSteps"] == ["job"]
    line = ledger_entry(done)
    assert line is not None and (line.verdict, line.restored) == (Verdict.WORSE, True)
    assert bed.counted("applied_total") == bed.counted("verdicts_total", verdict="Improved") == 1.0
    assert bed.counted("restored_total", ground="verification") == 1.0
    bed.run()
    assert not bed.pages.journal("change/") and not bed.pages.journal("kept/")
    assert len(bed.client.target_writes) == 2


def test_failures_of_another_image_are_not_blamed_on_it() -> None:
    """No object was edited: whoever starts the runs passes another tag to them since."""
    bed = kept()
    known = bed.history.runs_of["etl"]
    count = len(known)
    image = known[0].steps[0].containers[0].image
    for _ in range(5):
        later(bed, 2, cpu=0.75)
        later(bed, 1, cpu=0.75, outcome=Outcome.FAILED)
        known[count:] = [with_image(r, f"{image}-rc") for r in known[count:]]
    bed.run(2 * HOUR)
    assert (bed.one().verdict, bed.one().restored, bed.cpu()) == (Verdict.IMPROVED, None, "1500m")


@pytest.mark.parametrize("restarted", [False, True])
def test_failures_between_an_edit_and_one_back_are_not_blamed_on_it_where_nobody_looked(restarted: bool) -> None:
    bed = kept()
    bed.run(60.0)
    if restarted:
        bed.start()
    bed.edit(CPU, "100m")
    for number in range(12):
        bed.now += HOUR
        outcome = Outcome.SUCCEEDED if number % 3 else Outcome.FAILED
        bed.runs(1, cpu=0.1, outcome=outcome, seed=9 + number)
    bed.edit(CPU, "1500m")
    bed.run(60.0)
    bed.run(2 * HOUR)
    assert (bed.one().verdict, bed.one().restored, bed.cpu()) == (Verdict.IMPROVED, None, "1500m")


@pytest.mark.parametrize("edited", [False, True])
def test_a_status_that_counts_as_a_generation_is_no_edit_that_nobody_saw(edited: bool) -> None:
    """A CronWorkflow's status is no subresource: each of its runs makes another generation."""
    bed = kept()
    meta = bed.target["metadata"]

    def write_status() -> None:
        bed.target["status"] = {"lastScheduledTime": format_time(bed.now)}
        meta["generation"] += 1
        meta["resourceVersion"] = f"status-{bed.now}"

    write_status()
    bed.run(60.0)
    bed.start()
    for number in range(20):
        bed.now += HOUR
        write_status()
        outcome = Outcome.SUCCEEDED if number % 3 else Outcome.FAILED
        bed.runs(1, cpu=0.75, outcome=outcome, seed=9 + number)
    if edited:  # and back
        meta["managedFields"] = [{"manager": "vi", "time": format_time(bed.now), "fieldsV1": {"f:spec": {}}}]
    bed.run(60.0)
    bed.run(DAY)
    assert bed.one().verdict is (Verdict.IMPROVED if edited else Verdict.WORSE)


def test_the_journal_notes_once_a_day_that_nobody_has_edited_the_workflow_of_a_kept_change() -> None:
    """Thousands may be kept, and each note is on the disk before the cycle goes on."""
    bed = kept()
    bed.run(60.0)
    noted = bed.pages.journal("times/")
    for _ in range(20):
        bed.run(HOUR)
    assert bed.pages.journal("times/") == noted
    bed.edit(CPU, "1")
    bed.edit(CPU, "1500m")
    bed.run(60.0)
    edited = bed.pages.journal("times/")
    assert edited != noted
    bed.run(DAY)
    assert bed.pages.journal("times/") != edited


def test_one_run_of_another_image_does_not_end_the_monitoring() -> None:
    bed = kept()
    known = bed.history.runs_of["etl"]
    later(bed, 1, cpu=0.75)
    known[-1] = with_image(known[-1], "etl:trial")
    flaky(bed)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")


def test_a_quiet_change_is_looked_at_ever_less_often_and_not_for_ever() -> None:
    bed = kept()
    bed.writes()
    reads: list[float] = []
    runs = bed.history.runs
    bed.history.runs = lambda *a, **k: (reads.append(bed.now), runs(*a, **k))[1]  # type: ignore[method-assign]
    bed.items = []
    for _ in range(30):
        later(bed, 12, cpu=0.75)
    assert 0 < len(reads) < 30
    assert not bed.pages.journal("kept/")
    assert (bed.writes(), bed.state(C.RESTORED)) == ([], ("False", "Kept"))
    flaky(bed)
    assert bed.cpu() == "1500m"


def suspend(bed: Bed) -> None:
    bed.policy(mode="Recommend")


def narrow(bed: Bed) -> None:
    bed.policy(cooldown="60d", bounds={"cpu": {"max": "1800m"}})


@pytest.mark.parametrize(("spoil", "reason"), [(suspend, "PolicyGone"), (narrow, "OutOfBounds")])
def test_where_it_may_not_be_rolled_back_it_is_said_once_with_the_command(
    spoil: Callable[[Bed], Any], reason: str
) -> None:
    bed = kept()
    spoil(bed)
    flaky(bed)
    done = bed.one()
    assert (done.phase, done.verdict, done.status.get("restored")) == ("Completed", Verdict.WORSE, None)
    assert bed.state(C.ORPHANED) == ("True", reason)
    assert "kubectl -n demo patch cronjob etl --type=json" in bed.message(C.ORPHANED)
    assert bed.cpu() == "1500m"
    assert bed.reported().count("ChangeOrphaned") == 1
    bed.writes()
    flaky(bed)
    assert bed.writes() == []


def edited(bed: Bed) -> None:
    bed.edit("/spec/jobTemplate/spec/template/spec/containers/0/image", "x:2")


def undone(bed: Bed) -> None:
    bed.edit(CPU, "3")


def deleted(bed: Bed) -> None:
    bed.delete(CHANGES, bed.one().name)
    bed.items = []


def followed(bed: Bed) -> None:
    """Another change of the workflow: failures may be that one's."""
    bed.policy(cooldown="1h")
    bed.items = [cheaper(current="1500m", proposed="1200m")]
    bed.run(2 * HOUR)
    assert bed.cpu() == "1200m"
    bed.items = []


def forged(bed: Bed) -> None:
    raw = bed.client.objects[bed.one().ref.path]
    raw["status"]["plan"]["inverse"] = raw["status"]["plan"]["inverse"].replace('"2"', '"8"')


def unknown(bed: Bed) -> None:
    bed.pages.rows = {k: v for k, v in bed.pages.rows.items() if not k.startswith("kept/")}


@pytest.mark.parametrize("change", [edited, undone, deleted, forged, unknown, followed])
def test_what_later_runs_cannot_tell_of_it_is_left_alone(change: Callable[[Bed], Any]) -> None:
    bed = kept()
    path, uid = bed.one().ref.path, bed.one().uid
    change(bed)
    cpu = bed.cpu()
    bed.run(HOUR)
    flaky(bed)
    assert not bed.pages.journal(f"kept/{uid}")
    body = bed.client.objects.get(path)
    assert body is None or body["status"]["verdict"] == "Improved"
    assert bed.cpu() == cpu or change is followed


def test_a_new_process_looks_further() -> None:
    bed = kept()
    flaky(bed, 2)
    bed.start()
    flaky(bed, 3)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")


def unseen(bed: Bed, times: int = 5) -> None:
    """Runs as those of ``flaky``, of which no cycle knows yet."""
    for _ in range(times):
        for count, outcome in ((2, Outcome.SUCCEEDED), (1, Outcome.FAILED)):
            bed.now += count * HOUR + 60.0
            bed.runs(count, seed=len(bed.history.runs_of["etl"]), cpu=0.75, outcome=outcome)


def test_a_rollback_that_could_not_be_announced_is_announced_in_the_next_cycle() -> None:
    bed = kept()
    unseen(bed)
    bed.client.faults["PATCH", f"{bed.one().ref.path}/status"] = [errors.Unreachable("timed out")]
    bed.run(2 * HOUR)
    assert any("its status cannot be written" in p for p in bed.problems)
    assert bed.cpu() == "1500m"
    bed.run()
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")


def test_one_whose_runs_are_not_all_read_is_looked_at_as_soon_as_they_are() -> None:
    bed = kept()
    unseen(bed)
    bed.unread = {KEY: bed.now}
    bed.run(2 * HOUR)
    assert bed.cpu() == "1500m"
    bed.unread = {}
    bed.run()
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")


def test_a_policy_that_allows_changes_again_by_now_lets_it_be_rolled_back() -> None:
    """The watch still shows the policy that did not: what is said of a kept change is said for good."""
    bed = kept()
    suspend(bed)
    unseen(bed)

    def allow(method: str, path: str) -> None:
        if method == "LIST" and path.endswith("workflowchanges"):
            bed.policy(cooldown="60d")

    bed.client.on_request = allow
    bed.run(2 * HOUR)
    assert bed.one().verdict is Verdict.IMPROVED
    bed.run()
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")


def test_it_is_rolled_back_without_a_writable_journal_even_at_the_second_attempt() -> None:
    bed = kept()
    unseen(bed)
    bed.pages.full = True
    bed.client.faults["PATCH", CRONJOB.path("demo", "etl")] = [errors.Unreachable("timed out")]
    bed.run(2 * HOUR)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    bed.run()
    assert (bed.one().phase, bed.one().status.get("restored"), bed.cpu()) == ("Completed", True, "2")


def test_a_change_without_effect_that_does_harm_is_worse_from_then_on() -> None:
    """Its condition was False before as well, so that the time of it stays."""
    bed = kept()
    raw = bed.client.objects[bed.one().ref.path]
    raw["status"]["verdict"] = "Same"
    condition = next(c for c in raw["status"]["conditions"] if c["type"] == "Verified")
    condition.update(status="False", reason="Same")
    flaky(bed)
    done = bed.one()
    line = ledger_entry(done)
    assert line is not None and (line.verdict, line.finished) == (Verdict.WORSE, done.restored)


def test_what_comes_after_it_was_watched_is_none_of_its_harm() -> None:
    """A process that was stopped for long sees all of it at once."""
    bed = kept()
    bed.now += 15 * DAY
    unseen(bed)
    bed.run(2 * HOUR)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.IMPROVED, "1500m")
    assert not bed.pages.journal("kept/")


def beside(bed: Bed, count: int) -> None:
    """Other workflows whose runs come and fail when those of ``etl`` do."""
    for number in range(count):
        name = f"other-{number}"
        spec = {"workflowRef": {"apiVersion": "batch/v1", "kind": "CronJob", "name": name}}
        bed.client.put(CRONJOB, "demo", name, spec=bed.target["spec"])
        bed.client.put(PROFILES, "demo", name, spec=spec)
        bed.history.runs_of[name] = [replace(r, run=f"{name}-{r.run}") for r in bed.history.runs_of["etl"]]


@pytest.mark.parametrize(("others", "verdict"), [(4, Verdict.WORSE), (5, Verdict.IMPROVED)])
def test_failures_of_days_on_which_other_workflows_fail_too_are_not_blamed_on_it(others: int, verdict: Verdict) -> None:
    bed = kept()
    bed.items = None
    unseen(bed)
    beside(bed, others)
    bed.run(2 * HOUR)
    assert bed.one().verdict is verdict


@pytest.mark.parametrize(("others", "phase"), [(4, "Completed"), (5, "Verifying")])
def test_a_verification_blames_no_shared_failures_on_a_change_either(others: int, phase: str) -> None:
    bed = Bed(cooldown="60d")
    bed.runs(300, seed=7, end=NOW - 31 * HOUR)
    applied(bed)
    bed.items = None
    unseen(bed, 2)
    beside(bed, others)
    bed.run(2 * HOUR)
    assert (bed.one().phase, bed.cpu()) == (phase, "2" if phase == "Completed" else "1500m")
    if phase == "Verifying":
        assert "more while other workflows fail, too" in bed.message(C.VERIFIED)


def test_a_profile_that_is_gone_is_left_alone() -> None:
    bed = kept()
    bed.delete(PROFILES, "etl")
    flaky(bed)
    assert bed.cpu() == "1500m"


def points() -> int:
    bed = kept()
    bed.mortal.points = 0
    flaky(bed)
    return bed.mortal.points


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_killed_at_any_write_rolls_back_once(moment: str) -> None:
    for number in range(1, points() + 1):
        bed = kept()
        bed.mortal.points, bed.mortal.die_at = 0, (number, moment)
        try:
            flaky(bed)
        except Died:
            bed.start()
            flaky(bed)
        bed.run(2 * HOUR)
        bed.run(DAY)
        bed.run()
        done = bed.one()
        assert (done.phase, done.verdict, done.status.get("restored"), bed.cpu()) == (
            "Completed", Verdict.WORSE, True, "2",
        ), number  # fmt: skip
        assert len(bed.client.target_writes) == 2, number
        assert not bed.pages.journal("change/") and not bed.pages.journal("kept/"), number


def anew(bed: Bed, cpu: str) -> None:
    """Somebody deletes the CronJob and creates it again."""
    bed.delete(CRONJOB, "etl")
    bed.run()
    bed.cronjob(cpu)["metadata"]["creationTimestamp"] = format_time(bed.now)


@pytest.mark.parametrize("ended", ["kept", "overwritten"])
def test_runs_with_what_an_earlier_change_had_set_are_not_those_before_the_next(ended: str) -> None:
    bed = applied()
    later(bed, 12 if ended == "kept" else 4, cpu=0.75)
    bed.policy(cooldown="0s", mode="Approve")
    anew(bed, "2")
    bed.items = [cheaper(proposed="1600m")]
    bed.run()
    assert bed.cpu() == "2" and len(bed.all()) == 1, "no run of the new object is known"
    assert bed.counted("refused", check="data") == 1.0
    later(bed, 6)
    bed.run()
    change = max(bed.all(), key=lambda c: int(c.uid.removeprefix("uid-")))
    bed.decide("Approve", change.name)
    bed.run()
    bed.now += 12 * HOUR
    bed.runs(12, cpu=0.8, seed=5)
    bed.run()
    done = next(c for c in bed.all() if c.name == change.name)
    assert (done.phase, done.status["baselineRuns"]) == ("Completed", 6)


def test_an_object_made_anew_with_what_a_change_had_set_goes_on_as_before() -> None:
    bed = applied()
    later(bed, 12, cpu=0.75)
    bed.policy(cooldown="0s")
    anew(bed, "1500m")
    bed.items = [cheaper("1500m", "1200m")]
    bed.run()
    assert bed.cpu() == "1200m"
