"""The life of a recommendation, transition by transition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from concertmaster.core.changes.ledger import LedgerEntry
from concertmaster.core.lifecycle.history import (
    CurrentRecommendation,
    ImplementationResult,
    RecommendationHistory,
    RelativeEffect,
    TrackedRecommendation,
)
from concertmaster.core.lifecycle.implementation import Field
from concertmaster.core.lifecycle.states import (
    IMPLEMENTED_FOR,
    MAX_JUDGED,
    MAX_LEFT,
    OBSOLETE_FOR,
    Observation,
    advance,
)
from concertmaster.core.model.enums import RecommendationState, Verdict
from concertmaster.core.times import iso
from tests.support.builders import DAY, NOW
from tests.support.core.change_samples import template

PATH = "/spec/templates/train/container/resources/requests/memory"
ID = "memory-request.train"


def given(
    new: str = "1Gi", gain: float = -0.3, severity: str = "Medium", old: str = "2Gi", id_: str = ID
) -> CurrentRecommendation:
    words = {"action": f"Lower the memory request from {old} to {new}", "because": "x", "severity": severity}
    return CurrentRecommendation(
        id_, words, RelativeEffect("Cost", gain, gain - 0.05, gain + 0.05), (Field(PATH, old, new),)
    )


def harness(memory: str = "2Gi", **more: Any) -> dict[str, Any]:
    raw = template()
    raw["spec"]["templates"][1]["container"]["resources"]["requests"]["memory"] = memory
    raw["spec"] |= more
    return raw


def look(*items: CurrentRecommendation, now: float = NOW, memory: str | None = "2Gi", **more: Any) -> Observation:
    target = harness(memory) if memory is not None else None
    return Observation(now, items, **{"target": target, "steps": ("train",), "fingerprint": memory, **more})


def first(**more: Any) -> RecommendationHistory:
    return advance(RecommendationHistory(), look(given(), **more))


def only(memory: RecommendationHistory) -> TrackedRecommendation:
    (tracked,) = memory.tracked
    return tracked


def test_a_new_recommendation_is_active_and_its_age_stays() -> None:
    memory = advance(first(), look(given("900Mi"), now=NOW + DAY))
    assert (only(memory).state, only(memory).since) == (RecommendationState.ACTIVE, NOW)
    assert only(memory).fields == (Field(PATH, "2Gi", "900Mi"),)


@pytest.mark.parametrize("by", ["kubectl-edit", "kustomize-controller", "concertmaster", ""])
def test_whoever_sets_the_field_the_recommendation_is_implemented(by: str) -> None:
    memory = advance(first(), look(now=NOW + DAY, memory="1Gi", written_by=by, written_at=NOW + 3600))
    assert (only(memory).state, only(memory).since) == (RecommendationState.IMPLEMENTED, NOW + 3600)
    (outcome,) = memory.outcomes
    assert (outcome.id, outcome.by, outcome.since) == (ID, by or "somebody", NOW + 3600)
    assert outcome.promised == given().promised
    assert outcome.fingerprint == "1Gi"


@pytest.mark.parametrize("written", [None, NOW - DAY, NOW + 5 * DAY])
def test_a_moment_that_cannot_be_is_the_moment_of_the_look(written: float | None) -> None:
    memory = advance(first(), look(now=NOW + DAY, memory="1Gi", written_at=written))
    assert memory.outcomes[0].since == NOW + DAY


def test_a_recommendation_implemented_in_part_goes_on() -> None:
    memory = advance(first(), look(given("900Mi", old="1Gi"), now=NOW + DAY, memory="1Gi"))
    assert only(memory).state is RecommendationState.ACTIVE
    assert "in part" in only(memory).note
    assert len(memory.outcomes) == 1


@pytest.mark.parametrize(("memory", "likely"), [("1Gi", -0.3), ("1280Mi", -0.225), ("512Mi", -0.3)])
def test_what_went_a_part_of_the_way_promises_that_part(memory: str, likely: float) -> None:
    (outcome,) = advance(first(), look(now=NOW + DAY, memory=memory)).outcomes
    assert outcome.promised.likely == pytest.approx(likely)


def test_what_went_a_part_of_the_way_reports_the_value_that_was_set() -> None:
    (outcome,) = advance(first(), look(now=NOW + DAY, memory="1280Mi")).outcomes
    assert outcome.fields == (Field(PATH, "2Gi", "1280Mi"),)


def test_without_the_object_nothing_is_concluded_from_it() -> None:
    memory = advance(first(), look(given(), now=NOW + DAY, memory=None))
    assert only(memory).state is RecommendationState.ACTIVE
    assert memory.outcomes == ()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({}, "condition cleared in recent runs"),
        ({"steps": ("load",)}, "no step train any more"),
        ({"memory": "3Gi"}, f"{PATH} is 3Gi now and was 2Gi"),
        ({"target": {"spec": {"templates": []}}}, "there is no /spec/templates/train"),
    ],
)
def test_a_recommendation_that_is_no_longer_given_is_obsolete_and_says_why(more: dict[str, Any], why: str) -> None:
    memory = advance(first(), look(now=NOW + DAY, **more))
    assert (only(memory).state, only(memory).since) == (RecommendationState.OBSOLETE, NOW + DAY)
    assert why in only(memory).note


def test_too_little_data_makes_nothing_obsolete() -> None:
    memory = advance(first(), look(now=NOW + DAY, enough=False))
    assert only(memory) == only(first())


def test_obsolete_a_recommendation_goes_after_a_week_or_comes_back() -> None:
    gone = advance(first(), look(now=NOW + DAY))
    assert advance(gone, look(now=NOW + DAY + OBSOLETE_FOR - 1)).tracked
    assert advance(gone, look(now=NOW + DAY + OBSOLETE_FOR)).tracked == ()
    back = only(advance(gone, look(given(), now=NOW + 2 * DAY)))
    assert (back.state, back.since) == (RecommendationState.ACTIVE, NOW + 2 * DAY)


def implemented() -> RecommendationHistory:
    return advance(first(), look(now=NOW + DAY, memory="1Gi"))


def judged(
    memory: RecommendationHistory, verdict: Verdict = Verdict.IMPROVED, at: float = NOW + 2 * DAY
) -> RecommendationHistory:
    (outcome,) = memory.outcomes
    return replace(
        memory, outcomes=(replace(outcome, verdict=verdict, judged=at, measured=RelativeEffect("Cost", -0.25)),)
    )


def test_what_was_implemented_is_shown_until_two_weeks_after_its_verdict_and_is_learned_from_for_longer() -> None:
    late = NOW + 300 * DAY
    assert only(advance(implemented(), look(now=late, memory="1Gi"))).state is RecommendationState.IMPLEMENTED
    after = judged(implemented(), at=NOW + 2 * DAY)
    end = NOW + 2 * DAY + IMPLEMENTED_FOR
    assert only(advance(after, look(now=end - 1, memory="1Gi"))).state is RecommendationState.IMPLEMENTED
    gone = advance(after, look(now=end, memory="1Gi"))
    assert gone.tracked == ()
    assert gone.outcomes[0].line("demo/etl") == LedgerEntry(
        "demo/etl", "memory-request", Verdict.IMPROVED, NOW + 2 * DAY, -0.3, -0.25, -0.35, -0.25, ID, NOW + DAY
    )


def test_what_is_taken_back_is_obsolete_or_active_again_and_what_it_taught_is_kept() -> None:
    unjudged = advance(implemented(), look(now=NOW + 2 * DAY))
    assert only(unjudged).state is RecommendationState.OBSOLETE
    assert unjudged.outcomes == ()
    again = advance(judged(implemented(), Verdict.IMPROVED), look(given(), now=NOW + 3 * DAY))
    assert only(again).state is RecommendationState.ACTIVE
    assert again.outcomes[0].undone
    assert again.outcomes[0].line("w") is not None


UNDONE = "a change of it was measured as {} and rolled back at " + (iso(NOW + 2 * DAY) or "")


def change(verdict: Verdict = Verdict.WORSE, *, restored: bool = True, **more: Any) -> LedgerEntry:
    """The operator's own change of it, as it is retained."""
    line = LedgerEntry("demo/etl", "memory-request", verdict, NOW + 2 * DAY, recommendation=ID, applied=NOW + DAY)
    return replace(line, restored=restored, **more)


@pytest.mark.parametrize("verdict", [Verdict.WORSE, Verdict.SAME])
@pytest.mark.parametrize("retained", [True, False])
def test_what_was_measured_and_rolled_back_is_not_recommended_again(verdict: Verdict, retained: bool) -> None:
    """Whether the change is still there, or only its result in the status."""
    more: dict[str, Any] = {"ledger_entries": [change(verdict)]} if retained else {}
    memory = judged(implemented(), verdict)
    for days in (3, 4, 40):
        memory = advance(memory, look(given("1100Mi", -0.28), now=NOW + days * DAY, **more))
        assert (only(memory).state, only(memory).since) == (RecommendationState.OBSOLETE, NOW + 3 * DAY)
        assert only(memory).note == UNDONE.format(verdict.value)
        assert only(memory).fields == given().fields, "what it is compared with is what was rolled back"


@pytest.mark.parametrize(
    "line",
    [
        change(Verdict.INCONCLUSIVE),
        change(Verdict.SAME, restored=False),
        change(recommendation="memory-request.load"),
        change(recommendation="right-size", rule="right-size", harmed=("train",)),
    ],
)
def test_what_was_kept_or_not_measured_or_harmed_other_steps_says_nothing_against_it(line: LedgerEntry) -> None:
    id_ = "right-size" if line.harmed else ID
    memory = advance(RecommendationHistory(), look(given(id_=id_), now=NOW + 3 * DAY, ledger_entries=[line]))
    assert only(memory).state is RecommendationState.ACTIVE


def test_what_another_recommendation_is_measured_for_says_nothing_of_it() -> None:
    """Neither does that it is in effect make up for this one's rollback, nor that it was rolled back say so of this one."""
    other = replace(implemented().outcomes[0], id="right-size")
    memory = replace(
        judged(implemented(), Verdict.WORSE), outcomes=(other, *judged(implemented(), Verdict.WORSE).outcomes)
    )
    after = advance(memory, look(given(), now=NOW + 3 * DAY, ledger_entries=[change()]))
    assert only(after).state is RecommendationState.OBSOLETE
    undone = replace(other, verdict=Verdict.WORSE, judged=NOW + 2 * DAY, undone=True)
    kept = advance(
        replace(implemented(), outcomes=(undone, *implemented().outcomes)), look(now=NOW + 3 * DAY, memory="1Gi")
    )
    assert only(kept).state is RecommendationState.IMPLEMENTED


@pytest.mark.parametrize("fields", [True, False])
def test_what_somebody_overwrote_in_part_counts_no_longer(fields: bool) -> None:
    """Whether the object shows it, or what was set is too long to be remembered."""
    memory = judged(implemented())
    if not fields:
        memory = replace(memory, outcomes=tuple(replace(o, fields=()) for o in memory.outcomes))
    line = change(Verdict.IMPROVED, restored=False)
    kept = advance(memory, look(now=NOW + 3 * DAY, memory="1280Mi", ledger_entries=[line]))
    assert (only(kept).state, kept.outcomes[0].undone) == (RecommendationState.IMPLEMENTED, False)
    after = advance(kept, look(now=NOW + 4 * DAY, memory="1280Mi", ledger_entries=[replace(line, overwritten=True)]))
    assert (only(after).state, only(after).note) == (
        RecommendationState.OBSOLETE,
        "it was applied and overwritten later",
    )
    assert after.outcomes[0].undone


def test_the_last_change_of_it_counts() -> None:
    later = change(Verdict.IMPROVED, restored=False, finished=NOW + 5 * DAY, applied=NOW + 4 * DAY)
    memory = advance(first(), look(given(), now=NOW + 6 * DAY, ledger_entries=[change(), later]))
    assert only(memory).state is RecommendationState.ACTIVE


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (given("600Mi"), "it proposes 600Mi now and proposed 1Gi then"),
        (given(gain=-0.6), "the predicted effect is 60% now and was 30% then"),
        (given(severity="High"), "its severity rose from Medium to High"),
    ],
)
def test_new_evidence_brings_back_what_was_rolled_back(item: CurrentRecommendation, why: str) -> None:
    lines = [change()]
    undone = advance(judged(implemented(), Verdict.WORSE), look(given(), now=NOW + 3 * DAY, ledger_entries=lines))
    back = advance(undone, look(item, now=NOW + 4 * DAY, ledger_entries=lines))
    assert (only(back).state, only(back).since) == (RecommendationState.ACTIVE, NOW + 4 * DAY)
    assert only(back).note == f"back although {UNDONE.format('Worse')}: {why}"
    still = advance(back, look(given(), now=NOW + 5 * DAY, ledger_entries=lines))
    assert (only(still).state, only(still).since) == (RecommendationState.ACTIVE, NOW + 4 * DAY)  # no flicker
    again = advance(still, look(given(), now=NOW + 9 * DAY, ledger_entries=[*lines, change(finished=NOW + 8 * DAY)]))
    assert only(again).state is RecommendationState.OBSOLETE


def test_what_was_rolled_back_and_applied_again_since_is_not_obsolete() -> None:
    """What is in effect now is being measured, and is the last change of it."""
    beyond = advance(first(), look(given(old="512Mi"), now=NOW + DAY, memory="512Mi"))  # further than was proposed
    memory = judged(beyond, Verdict.SAME)
    for days in (3, 4, 5):  # and then far beyond what was left of it, the other way
        memory = advance(memory, look(given(old="4Gi"), now=NOW + days * DAY, memory="4Gi"))
        assert (only(memory).state, only(memory).since) == (RecommendationState.ACTIVE, NOW + 3 * DAY)
    assert [(o.undone, o.verdict) for o in memory.outcomes] == [(False, None), (True, Verdict.SAME)]


def test_an_owner_s_dismissal_counts_before_a_rollback() -> None:
    memory = advance(first(), look(given(), now=NOW + 3 * DAY, ledger_entries=[change()], dismissals={ID: "no"}))
    assert (only(memory).state, only(memory).dismissal) == (RecommendationState.DISMISSED, "no")


def twelve() -> RecommendationHistory:
    """Twelve recommendations applied by one commit, after as many as are kept were judged."""
    past = tuple(
        ImplementationResult(
            f"cpu-request.t{i}",
            "x",
            "y",
            NOW - (20 + i) * DAY,
            (),
            RelativeEffect("Cost", -0.1),
            verdict=Verdict.IMPROVED,
            judged=NOW - 10 * DAY,
        )
        for i in range(MAX_JUDGED)
    )
    many = advance(
        RecommendationHistory(outcomes=past), look(*(given(id_=f"memory-request.t{i}") for i in range(12)), steps=())
    )
    return advance(many, look(now=NOW + DAY, memory="1Gi", steps=()))


def test_however_much_one_commit_implements_all_of_it_is_measured_and_nothing_that_was_learned_is_lost() -> None:
    made = twelve()
    assert sum(o.verdict is None for o in made.outcomes) == 12
    assert sum(o.verdict is not None for o in made.outcomes) == MAX_JUDGED
    after = advance(made, look(now=NOW + 2 * DAY, memory="1Gi", steps=()))
    assert {s.state for s in after.tracked} == {RecommendationState.IMPLEMENTED}
    assert len(after.outcomes) == 12 + MAX_JUDGED


def test_what_stands_was_not_taken_back_although_nothing_is_known_of_its_effect() -> None:
    lost = replace(implemented(), outcomes=())
    still = only(advance(lost, look(now=NOW + 2 * DAY, memory="1Gi")))
    assert (still.state, still.since) == (RecommendationState.IMPLEMENTED, NOW + DAY)
    assert advance(lost, look(now=NOW + DAY + IMPLEMENTED_FOR, memory="1Gi")).tracked == ()
    back = only(advance(lost, look(now=NOW + 2 * DAY)))
    assert (back.state, back.note) == (RecommendationState.OBSOLETE, "it was applied and rolled back")


def test_fields_that_were_too_much_to_be_remembered_do_not_say_that_it_was_taken_back() -> None:
    made = implemented()
    bare = RecommendationHistory(
        tuple(replace(s, fields=()) for s in made.tracked), tuple(replace(o, fields=()) for o in made.outcomes)
    )
    after = advance(bare, look(now=NOW + 2 * DAY, memory="1Gi"))
    assert only(after).state is RecommendationState.IMPLEMENTED
    assert len(after.outcomes) == 1


def test_an_id_that_names_no_step_is_not_about_a_step_that_has_gone() -> None:
    item = replace(given(id_="budget.tokens"), fields=())
    gone = advance(advance(RecommendationHistory(), look(item)), look(now=NOW + DAY, stepless={"budget"}))
    assert only(gone).note == "condition cleared in recent runs"


def test_another_change_of_the_workflow_ends_the_measuring() -> None:
    same = advance(implemented(), look(now=NOW + 3 * DAY, memory="1Gi", written_at=NOW + 2 * DAY))
    assert same.outcomes == implemented().outcomes  # an edit that leaves the definition as it is does not
    memory = advance(
        implemented(), look(now=NOW + 3 * DAY, memory="1Gi", fingerprint="other", written_at=NOW + 2 * DAY)
    )
    assert memory.outcomes[0].until == NOW + 2 * DAY
    again = advance(memory, look(now=NOW + 4 * DAY, memory="1Gi", fingerprint="third"))
    assert again.outcomes[0].until == NOW + 2 * DAY


def test_a_fingerprint_that_was_not_known_is_taken_from_the_next_analysis() -> None:
    before = implemented()
    unknown = replace(before, outcomes=tuple(replace(o, fingerprint=None) for o in before.outcomes))
    memory = advance(unknown, look(now=NOW + 3 * DAY, memory="1Gi", fingerprint="other"))
    assert (memory.outcomes[0].until, memory.outcomes[0].fingerprint) == (None, "other")
    again = advance(memory, look(now=NOW + 4 * DAY, memory="1Gi", fingerprint="third"))
    assert again.outcomes[0].until == NOW + 4 * DAY


def test_the_verdict_of_the_operators_own_change_is_taken_over() -> None:
    line = LedgerEntry(
        "demo/etl", "memory-request", Verdict.SAME, NOW + 9 * DAY, -0.2, -0.01, -0.25, -0.1, ID, NOW + DAY + 3
    )
    (outcome,) = advance(implemented(), look(now=NOW + 10 * DAY, memory="1Gi", ledger_entries=[line])).outcomes
    assert (outcome.verdict, outcome.judged) == (Verdict.SAME, NOW + 9 * DAY)
    assert outcome.promised == RelativeEffect("Cost", -0.2, -0.25, -0.1)
    assert outcome.measured == RelativeEffect("Cost", -0.01)
    other = replace(line, applied=NOW + 5 * DAY)
    assert (
        advance(implemented(), look(now=NOW + 10 * DAY, memory="1Gi", ledger_entries=[other])).outcomes[0].verdict
        is None
    )


def test_a_change_that_turned_out_to_do_harm_after_it_was_kept_is_worse_in_the_results_too() -> None:
    memory = judged(implemented(), Verdict.IMPROVED)
    (outcome,) = advance(memory, look(now=NOW + 10 * DAY, ledger_entries=[change(finished=NOW + 9 * DAY)])).outcomes
    assert (outcome.verdict, outcome.judged, outcome.undone) == (Verdict.WORSE, NOW + 9 * DAY, True)
    (outcome,) = advance(memory, look(now=NOW + 10 * DAY, memory="1Gi", ledger_entries=[change(Verdict.SAME)])).outcomes
    assert outcome.verdict is Verdict.IMPROVED


# --- dismissals

DECISION = {ID: "peak at month end"}


def dismissed(item: CurrentRecommendation | None = None) -> RecommendationHistory:
    return advance(first(), look(item or given(), now=NOW + DAY, dismissals=DECISION))


def test_a_dismissal_holds_while_the_recommendation_stays_what_it_was() -> None:
    memory = dismissed()
    assert (only(memory).state, only(memory).dismissal) == (RecommendationState.DISMISSED, "peak at month end")
    for new, gain in (("1100Mi", -0.28), ("950Mi", -0.33)):
        memory = advance(memory, look(given(new, gain), now=NOW + 2 * DAY, dismissals=DECISION))
        assert only(memory).state is RecommendationState.DISMISSED
        assert only(memory).words == given().words  # those of the day it was decided about


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (given("600Mi"), "it proposes 600Mi now and proposed 1Gi then"),
        (given(gain=-0.6), "the predicted effect is 60% now and was 30% then"),
        (given(severity="High"), "its severity rose from Medium to High"),
    ],
)
def test_a_material_change_brings_it_back_until_it_is_decided_anew(item: CurrentRecommendation, why: str) -> None:
    back = advance(dismissed(), look(item, now=NOW + 2 * DAY, dismissals=DECISION))
    assert (only(back).state, only(back).since) == (RecommendationState.ACTIVE, NOW + 2 * DAY)
    assert why in only(back).note
    assert "peak at month end" in only(back).note
    still = advance(back, look(given(), now=NOW + 3 * DAY, dismissals=DECISION))
    assert only(still).state is RecommendationState.ACTIVE  # no flicker
    anew = advance(still, look(item, now=NOW + 4 * DAY, dismissals={ID: "no, really"}))
    assert only(anew).state is RecommendationState.DISMISSED


def test_small_talk_is_not_material() -> None:
    tiny = dismissed(given(gain=-0.01))
    assert only(advance(tiny, look(given(gain=-0.03), dismissals=DECISION))).state is RecommendationState.DISMISSED
    low = dismissed(given(severity="Info"))
    assert (
        only(advance(low, look(given(severity="Medium"), dismissals=DECISION))).state is RecommendationState.DISMISSED
    )


def test_a_dismissal_that_is_over_brings_the_recommendation_back() -> None:
    back = only(advance(dismissed(), look(given(), now=NOW + 2 * DAY)))
    assert back.state is RecommendationState.ACTIVE
    assert "its dismissal is over (peak at month end)" in back.note


def test_a_dismissal_outlives_recommendations_that_comes_and_goes() -> None:
    away = advance(dismissed(), look(now=NOW + 2 * DAY, dismissals=DECISION))
    assert only(away).state is RecommendationState.DISMISSED
    back = advance(away, look(given(), now=NOW + 100 * DAY, dismissals=DECISION))
    assert only(back).state is RecommendationState.DISMISSED
    assert advance(away, look(now=NOW + 3 * DAY)).tracked == ()


def test_dismissed_recommendations_that_somebody_follows_all_the_same_is_implemented() -> None:
    memory = advance(dismissed(), look(now=NOW + 2 * DAY, memory="1Gi", dismissals=DECISION))
    assert only(memory).state is RecommendationState.IMPLEMENTED
    assert len(memory.outcomes) == 1


def test_what_is_left_is_bounded_and_decisions_of_people_are_the_last_to_go() -> None:
    many = [given(id_=f"timeout.s{i}") for i in range(60)]
    decisions = {g.id: "no" for g in many[:5]}
    memory = advance(RecommendationHistory(), look(*many, dismissals=decisions))
    left = advance(memory, look(now=NOW + DAY, memory="3Gi", dismissals=decisions, steps=()))
    assert len(left.tracked) == MAX_LEFT
    assert sum(s.state is RecommendationState.DISMISSED for s in left.tracked) == 5


def test_a_clock_that_went_back_breaks_nothing() -> None:
    memory = judged(implemented())
    back = advance(memory, look(now=NOW - DAY, memory="1Gi"))
    assert only(back).state is RecommendationState.IMPLEMENTED
    gone = advance(advance(first(), look(now=NOW + DAY)), look(now=NOW - DAY))
    assert only(gone).state is RecommendationState.OBSOLETE
