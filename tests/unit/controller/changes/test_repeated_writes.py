"""Writes that are undone or refused are not repeated cycle after cycle."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from concertmaster.api.conditions import ConditionType as C
from concertmaster.core.model import Edit
from concertmaster.core.model.enums import Verdict
from concertmaster.core.units import DAY, HOUR
from concertmaster.kube import errors
from tests.support.controller.change_steps import applied, later
from tests.support.controller.changes_bed import CHANGES, CPU, MEMORY, Bed, cheaper
from tests.support.core.change_samples import recommended
from tests.support.resources import CRONJOB

TARGET = CRONJOB.path("demo", "etl")
NO_MORE: Any = {"retry_after": None, "continue_token": ""}


def test_a_write_that_is_undone_at_once_is_a_conflict_and_is_not_repeated() -> None:
    """A controller that owns the object may restore it before the operator can read it."""
    bed = Bed(cooldown="0s")
    undone: list[str] = []

    def undo(method: str, path: str) -> None:
        if path == TARGET and method == "GET" and bed.cpu() == "1500m":
            bed.edit(CPU, "2")
            undone.append(path)

    bed.client.on_request = undo
    for _ in range(10):
        bed.run()
    assert len(bed.client.target_writes) == len(undone) == 1
    assert bed.one().phase == "Conflict"
    assert "ChangeConflict" in bed.reported()
    later(bed, 12)
    assert len(bed.client.target_writes) == 1
    (question,) = (c for c in bed.all() if c.phase == "Proposed")
    assert question.decision is None  # for 30 days a person decides


def refused_at(bed: Bed) -> list[float]:
    """Let the server refuse every write from now on: when one is tried."""
    answers: list[float] = []

    def refuse(method: str, path: str) -> None:
        if (method, path) == ("DRY", TARGET):
            answers.append(bed.now)
            raise errors.Rejected("a limit of the cluster", status=422, reason="Invalid")

    bed.client.on_request = refuse
    return answers


def test_a_write_that_the_server_refuses_is_tried_again_later_and_later() -> None:
    bed = Bed(cooldown="0s", changeHistoryLimit=1)
    answers = refused_at(bed)
    for _ in range(2 * 60):
        bed.run(60.0)
    assert len(answers) == 2  # at once, and after an hour
    for _ in range(7 * 24):
        bed.run(3600.0)
    assert 6 <= len(answers) <= 14
    assert bed.one().phase == "Failed"
    assert "a limit of the cluster" in bed.message(C.APPLIED)


def test_a_plan_is_proposed_again_however_often_it_was_ended_in_weeks_but_not_in_a_day() -> None:
    """A policy may be suspended every weekend."""
    bed = Bed(mode="Approve")
    for _ in range(12):
        bed.policy(mode="Approve")
        bed.run(HOUR)
        assert sum(c.phase == "Proposed" for c in bed.all()) == 1
        bed.policy(mode="Approve", suspend=True)
        bed.run(2 * DAY)
    names = {c.name for c in bed.all()}
    for _ in range(12):
        bed.policy(mode="Approve")
        bed.run()
        bed.policy(mode="Approve", suspend=True)
        bed.run()
    assert len({c.name for c in bed.all()} - names) <= 9


def test_a_write_that_the_server_refuses_is_tried_once_a_day_for_as_long_as_it_is_recommended() -> None:
    bed = Bed(cooldown="0s")
    answers = refused_at(bed)
    for _ in range(2 * 24):
        bed.run(6 * HOUR)
    assert [b - a for a, b in pairwise(answers)][-5:] == [DAY] * 5
    assert bed.now - answers[-1] < DAY


def test_a_refusal_of_long_ago_does_not_count_as_one_in_a_row() -> None:
    bed = Bed(cooldown="0s")
    answers = refused_at(bed)
    for _ in range(4):
        bed.run(HOUR)
    assert len(answers) == 3  # the next would come after four hours
    bed.now += 3 * DAY
    bed.runs(3, 600.0, seed=9)
    for _ in range(3):
        bed.run(HOUR)
    assert [b - a for a, b in pairwise(answers[3:])] == [HOUR]


def refusing(bed: Bed, *, restarted: bool) -> list[float]:
    """When writes are tried that the server refuses, in 24 cycles of an hour."""
    answers = refused_at(bed)
    for _ in range(24):
        bed.run(HOUR)
        if restarted:
            bed.start()
    return answers


def test_a_process_that_starts_anew_or_takes_over_a_shard_knows_what_the_server_refuses() -> None:
    whole = refusing(Bed(cooldown="0s"), restarted=False)
    assert len(whole) == 5
    assert refusing(Bed(cooldown="0s"), restarted=True) == whole


DENIALS = [
    errors.from_status(
        403, "PATCH", 'admission webhook "freeze" denied the request: no changes', "Forbidden", **NO_MORE
    ),
    errors.from_status(
        400, "PATCH", 'admission webhook "freeze" denied the request: no changes', "BadRequest", **NO_MORE
    ),
    errors.from_status(
        422,
        "PATCH",
        "CronJob etl is forbidden: ValidatingAdmissionPolicy 'freeze' with binding 'all' denied request: no changes",
        "Invalid",
        **NO_MORE,
    ),
    errors.from_status(
        500, "PATCH", 'admission webhook "freeze" denied the request: no changes', "InternalError", **NO_MORE
    ),
    errors.from_status(
        500,
        "PATCH",
        'Internal error occurred: failed calling webhook "freeze": failed to call webhook: connection refused: no changes',
        "InternalError",
        **NO_MORE,
    ),
]
DENIED_BY = ["webhook", "webhook without a code", "policy", "webhook with code 500", "webhook that is down"]


@pytest.mark.parametrize("stage", ["DRY", "PATCH"])
@pytest.mark.parametrize("denial", DENIALS, ids=DENIED_BY)
def test_an_approved_change_survives_a_freeze_and_asks_admission_seldom(denial: errors.KubeError, stage: str) -> None:
    bed = Bed(mode="Approve")
    bed.run()
    bed.decide("Approve")
    answers: list[float] = []

    def deny(method: str, path: str) -> None:
        if (method, path) == (stage, TARGET):
            answers.append(bed.now)
            raise denial

    bed.client.on_request = deny
    for _ in range(55):
        bed.run()
    assert [round((b - a) / 60.0) for a, b in pairwise(answers)] == [1, 2, 4, 8, 15, 15]
    assert bed.one().phase == "Proposed"
    assert bed.state(C.APPLIED) == ("False", "Denied")
    assert "no changes; it is tried again at least every 15m" in bed.message(C.APPLIED)
    bed.start()
    bed.run()
    assert len(answers) == 7
    bed.client.on_request = lambda *_: None
    for _ in range(15):
        bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    assert not bed.pages.journal("refused/")


def test_a_write_that_gets_no_answer_to_its_trial_is_a_problem_that_says_so() -> None:
    bed = Bed()
    failing = errors.Busy("etcdserver: request timed out", status=500)
    bed.client.faults["DRY", TARGET] = [failing]
    bed.run()
    assert any("is not written yet: etcdserver: request timed out" in p for p in bed.problems)
    bed.run()
    assert bed.cpu() == "1500m"


def two() -> Bed:
    """A bed with two recommendations that wait for a decision."""
    bed = Bed(mode="Approve")
    memory = recommended(Edit(MEMORY, "1Gi", "768Mi"), id="memory-request.job", rule="memory-request", step="job")
    bed.items = [cheaper(), memory]
    return bed


def test_where_admission_cannot_be_asked_about_an_object_no_other_of_its_kind_is_tried_in_a_cycle() -> None:
    """Each of the approved changes waited for the time limit of a webhook that hangs."""
    bed, asked = two(), list[float]()
    bed.run()
    for change in bed.all():
        bed.decide("Approve", change.name)

    def hang(method: str, path: str) -> None:
        if (method, path) == ("DRY", TARGET):
            asked.append(bed.now)
            raise DENIALS[-1]

    bed.client.on_request = hang
    for _ in range(4):
        bed.run()
    assert len(asked) == len(set(asked)) >= 3
    assert [c.phase for c in bed.all()] == ["Proposed", "Proposed"]
    assert {c.condition(C.APPLIED).get("reason") for c in bed.all()} == {"Denied"}


@pytest.mark.parametrize("interval", [60.0, 300.0, 600.0])
def test_where_admission_cannot_be_asked_each_change_has_its_turn(interval: float) -> None:
    """The first ones were due again before the last ones were tried at all."""
    bed = Bed(mode="Approve")
    edits = [Edit(MEMORY, "1Gi", f"{768 + 8 * i}Mi") for i in range(5)]
    bed.items = [
        recommended(edit, id=f"memory-request.s{i}", rule="memory-request", step=f"s{i}")
        for i, edit in enumerate(edits)
    ]
    for _ in range(2):
        bed.run()
    for change in bed.all():
        bed.decide("Approve", change.name)

    def hang(method: str, path: str) -> None:
        if (method, path) == ("DRY", TARGET):
            raise DENIALS[-1]

    bed.client.on_request = hang
    for _ in range(12):
        bed.run(interval)
    assert [c.condition(C.APPLIED).get("reason") for c in bed.all()] == ["Denied"] * 5


@pytest.mark.parametrize("error", [errors.Forbidden("exceeded quota", status=403), DENIALS[-1]])
def test_where_no_change_may_be_created_one_refusal_is_enough_for_a_cycle(error: errors.KubeError) -> None:
    bed = two()
    path, asked = CHANGES.path("demo"), []

    def deny(method: str, at: str) -> None:
        if (method, at) == ("POST", path):
            asked.append(at)
            raise error

    bed.client.on_request = deny
    bed.run()
    assert (len(asked), len(bed.problems)) == (1, 1)
    ((said, *others),) = bed.obstacles.values()
    assert (said.partition("; it is tried again")[0], others) == (bed.problems[0], [])
    bed.run()
    assert len(asked) == 2
    bed.client.on_request = lambda *_: None
    for _ in range(2):
        bed.run()
    assert len(bed.all()) == 2


def test_a_change_that_admission_denies_does_not_keep_others_of_its_namespace_from_being_created() -> None:
    bed = Bed(mode="Approve")
    memory = recommended(Edit(MEMORY, "1Gi", "768Mi"), id="memory-request.job", rule="memory-request", step="job")
    bed.items = [cheaper(), memory]
    denial = errors.Denied('admission webhook "names" denied the request: not this one', status=403)
    bed.client.faults["POST", CHANGES.path("demo")] = [denial]
    bed.run()
    assert len(bed.all()) == 1
    assert "not this one" in bed.problems[0]


def creating(bed: Bed, denial: errors.KubeError | None) -> list[float]:
    """Let every creation of a change get this answer (None: none is denied) from now on: when one is tried."""
    asked: list[float] = []

    def answer(method: str, path: str) -> None:
        if (method, path) == ("POST", CHANGES.path("demo")):
            asked.append(bed.now)
            if denial is not None:
                raise denial

    bed.client.on_request = answer
    return asked


@pytest.mark.parametrize("denial", DENIALS, ids=DENIED_BY)
def test_a_change_whose_creation_admission_denies_is_tried_seldom_and_the_policy_says_why(
    denial: errors.KubeError,
) -> None:
    bed = Bed(mode="Approve")
    asked = creating(bed, denial)
    said = set()
    for cycle in range(55):
        bed.run()
        assert bool(bed.problems) == (bed.now in asked)
        said |= {text for texts in bed.obstacles.values() for text in texts} or {"nothing"}
        if cycle == 40:
            bed.start()
    assert [round((b - a) / 60.0) for a, b in pairwise(asked)] == [1, 2, 4, 8, 15, 15]
    (text,) = said
    assert text.startswith("WorkflowChange demo/etl.cpu-request.job.")
    assert text.endswith("no changes; it is tried again at least every 15m00s")
    creating(bed, None)
    for _ in range(15):
        bed.run()
    assert (bed.one().phase, bed.obstacles) == ("Proposed", {})
    assert not bed.pages.journal("refused/")


def test_a_change_that_may_not_be_created_delays_no_rollback_of_the_last_one() -> None:
    bed = Bed(mode="Approve")
    creating(bed, DENIALS[0])
    for _ in range(20):
        bed.run()
    assert not bed.hand.journal.paused(("demo", "etl", "cpu-request.job"), bed.now, DAY)


def test_a_rollback_that_the_server_refuses_says_why_once_and_is_tried_again() -> None:
    bed = applied()
    refusing = [True]

    def refuse(method: str, path: str) -> None:
        if (method, path) == ("DRY", TARGET) and refusing:
            raise errors.Rejected("a limit of the cluster", status=422, reason="Invalid")

    bed.client.on_request = refuse
    later(bed, 2, 1500.0)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    assert bed.state(C.RESTORED) == ("Unknown", "WriteFailed")
    said = bed.message(C.RESTORED)
    assert said.startswith("about to be rolled back: slower")
    assert "a limit of the cluster" in said and "kubectl -n demo patch cronjob etl --type=json" in said
    bed.writes()
    bed.run()
    bed.run()
    assert (bed.writes(), bed.message(C.RESTORED)) == ([], said)
    refusing.clear()
    bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Completed", "2")
    assert bed.message(C.RESTORED).startswith("rolled back: slower")
    assert "refuses" not in bed.message(C.RESTORED)


def test_a_field_is_not_changed_again_while_its_change_is_verified() -> None:
    """The first change would end as if somebody else had overwritten it, and the second has no runs to compare with."""
    bed = applied(cooldown="0s", maxInFlight=5)
    bed.items = [cheaper(current="1500m", proposed="1200m")]
    bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    assert list(bed.blocked.values()) == [{"in-flight": 1}]
    later(bed, 12)
    assert (sorted(c.phase for c in bed.all()), bed.cpu()) == (["Completed", "Verifying"], "1200m")


def test_a_change_whose_status_cannot_be_written_after_its_write_is_in_progress_all_the_same() -> None:
    bed = Bed(cooldown="0s", maxInFlight=1)
    memory = recommended(Edit(MEMORY, "1Gi", "768Mi"), id="memory-request.job", rule="memory-request", step="job")
    bed.items = [cheaper(), memory]

    def lose(method: str, path: str) -> None:
        if method == "PATCH" and path.endswith("/status") and bed.cpu() == "1500m":
            raise errors.Unreachable("reset")

    bed.client.on_request = lose
    bed.run()
    assert len(bed.client.target_writes) == 1
    bed.client.on_request = lambda *_: None
    bed.run()
    assert ([c.phase for c in bed.all()], len(bed.client.target_writes)) == (["Verifying"], 1)


def test_a_change_counts_as_in_progress_although_what_was_written_cannot_be_read_again() -> None:
    """The same object may have another profile, whose plans come next."""
    bed = Bed()

    def unreadable(method: str, path: str) -> None:
        if method == "GET" and path == CRONJOB.path("demo", "etl") and bed.cpu() == "1500m":
            raise errors.Unreachable("reset")

    bed.client.on_request = unreadable
    assert bed.run() == {"OptimizationPolicy/team": 1}
    assert bed.problems and bed.one().fingerprint is None
    bed.client.on_request = lambda *_: None
    bed.run()
    assert bed.one().fingerprint is not None


@pytest.mark.parametrize("how", ["edited", "deleted", "refused"])
def test_a_change_that_has_ended_asks_nobody_to_approve_it(how: str) -> None:
    bed = Bed(mode="Approve")
    bed.run()
    if how == "edited":
        bed.edit(CPU, "3")
    else:
        bed.decide("Approve")
    if how == "refused":
        bed.client.faults["DRY", TARGET] = [errors.Rejected("a limit", status=422, reason="Invalid")]
    if how == "deleted":
        bed.client.faults["DRY", TARGET] = [errors.NotFound("gone", status=404)]
    bed.run()
    ended = next(c for c in bed.all() if c.phase in ("Conflict", "Failed"))
    asked, applied_ = ended.condition(C.APPROVED), ended.condition(C.APPLIED)
    assert (asked["status"], asked["reason"]) == ("False", applied_["reason"])
    assert asked["message"] == applied_["message"]


@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("denial", [DENIALS[0], DENIALS[-1]], ids=[DENIED_BY[0], DENIED_BY[-1]])
def test_a_rollback_that_admission_denies_is_tried_with_pauses_and_soon_after_the_freeze(
    denial: errors.KubeError, deleted: bool
) -> None:
    bed = applied()
    answers: list[float] = []

    def deny(method: str, path: str) -> None:
        if (method, path) == ("DRY", TARGET):
            answers.append(bed.now)
            raise denial

    bed.client.on_request = deny
    if deleted:
        bed.delete(CHANGES, bed.one().name)
        bed.run(0.0)
    else:
        later(bed, 2, 1500.0)
    for _ in range(55):
        bed.run()
    assert [round((b - a) / 60.0) for a, b in pairwise(answers)] == [1, 2, 4, 8, 15, 15]
    assert any(f"{denial}; it is tried again at least every 15m" in p for p in bed.problems)
    bed.client.on_request = lambda *_: None
    for _ in range(15):
        bed.run()
    assert bed.cpu() == "2"
    assert not bed.pages.journal("refused/")


@pytest.mark.parametrize("deleted", [False, True])
def test_a_rollback_sets_no_request_above_a_limit_that_somebody_set_since(deleted: bool) -> None:
    """The pods would be refused, though the API server takes any template of a custom resource."""
    bed = applied()
    limits = "/spec/jobTemplate/spec/template/spec/containers/0/resources/limits"
    bed.edit(limits, {"cpu": "1600m"})
    if deleted:
        bed.delete(CHANGES, bed.one().name)
        bed.run()
        said = " ".join(bed.problems)
    else:
        later(bed, 2, 1500.0)
        assert bed.state(C.RESTORED) == ("Unknown", "WriteFailed")
        said = bed.message(C.RESTORED)
        assert "kubectl -n demo patch cronjob etl" in said
    assert bed.cpu() == "1500m"
    assert "cpu request 2 would be above the limit 1600m" in said
    bed.edit(limits, {"cpu": "2"})
    bed.run()
    assert bed.cpu() == "2"


def test_a_plan_that_was_refused_for_a_day_delays_no_rollback_of_the_next() -> None:
    """The answer to the write may have been lost, so that the refusal before it is still noted."""
    bed = applied()
    bed.pages.rows["refused/demo/etl/cpu-request.job"] = f'{{"at": {bed.now + 3600.0}, "pause": 86400.0}}'
    later(bed, 2, 1500.0)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")


def test_a_change_that_admission_denies_asks_for_a_decision_only_where_one_is_needed() -> None:
    bed = Bed()
    denial = errors.Denied("ValidatingAdmissionPolicy 'freeze' denied request: until Monday", status=422)
    bed.client.faults[("DRY", TARGET)] = [denial] * 9
    bed.run()
    assert bed.state(C.APPLIED) == ("False", "Denied")
    assert bed.message(C.APPROVED).endswith("; no decision is needed (apply.mode: Auto)")
    bed.policy(mode="Approve")
    bed.run()
    assert "; to approve it: kubectl concertmaster approve -n demo" in bed.message(C.APPROVED)
    bed.writes()
    bed.run()
    assert bed.writes() == []
    bed.decide("Approve")
    bed.client.faults.clear()
    bed.run(HOUR)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
