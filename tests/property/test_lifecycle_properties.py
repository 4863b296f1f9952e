"""The life of recommendations under any course of events: a state machine driven through the status itself."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from concertmaster.api.models.profile_status import WorkflowProfileStatus
from concertmaster.core.changes.ledger import Ledger, LedgerEntry, merged, withdrawn
from concertmaster.core.lifecycle.history import (
    CurrentRecommendation,
    ImplementationResult,
    RecommendationHistory,
    RelativeEffect,
    TrackedRecommendation,
)
from concertmaster.core.lifecycle.implementation import Field
from concertmaster.core.lifecycle.rollbacks import rolled_back
from concertmaster.core.lifecycle.states import MAX_JUDGED, MAX_LEFT, MAX_OPEN, OBSOLETE_FOR, Observation, advance
from concertmaster.core.model.enums import RecommendationState, Verdict
from concertmaster.report.status import recommendation_log as remembered

IDS = ("parallelism", "memory-request.a", "cpu-request.a", "timeout.b")
WORDS = {
    "because": "x", "category": "Cost", "current": "2", "effort": "Low", "expected": "less", "how": "kubectl",
    "proposed": "8", "risk": "Low",
}  # fmt: skip
START = 1_700_000_000.0


def document(memory: RecommendationHistory) -> dict[str, Any]:
    """The part of a status that remembers, as the API server would store it."""
    order = [s for s in memory.tracked if "how" in s.words]
    raw = {
        "recommendations": [remembered.entry_of(s) for s in order[:5]],
        "remaining": remembered.remaining([s for s in memory.tracked if s not in order[:5]]),
        "results": [remembered.outcome(o) for o in memory.outcomes],
    }
    WorkflowProfileStatus.model_validate(raw, extra="forbid")
    found = json.loads(json.dumps(raw))
    assert isinstance(found, dict)
    return found


class Life(RuleBasedStateMachine):
    """One workflow with a value per recommendation, a set of given recommendations and decisions; looked at after every
    event.

    Between two looks everything goes through the status, as it does when the operator restarts and its history is lost.
    """

    @initialize()
    def begin(self) -> None:
        self.now = START
        self.values: dict[str, str] = dict.fromkeys(IDS, "2")
        self.given: dict[str, tuple[str, float, str]] = {}
        self.decisions: dict[str, str] = {}
        self.status: dict[str, Any] = {}
        self.memory = RecommendationHistory()
        self.enough = True

    def look(self, enough: bool | None = None) -> None:
        self.enough = self.enough if enough is None else enough
        target = {"spec": dict(self.values)}
        given = [
            CurrentRecommendation(
                i,
                {**WORDS, "action": f"set {i} to {new}", "severity": severity},
                RelativeEffect("Cost", -gain),
                (Field(f"/spec/{i}", self.values[i], new),),
            )
            for i, (new, gain, severity) in self.given.items()
            if new != self.values[i]
        ]
        print_ = json.dumps(target, sort_keys=True)
        before = remembered.read(self.status)
        self.before = before
        self.memory = advance(
            before,
            Observation(self.now, given, self.enough, target, "kubectl", self.now, print_, (), dict(self.decisions)),
        )
        self.given_ids = {g.id for g in given}
        self.status = document(self.memory)

    @rule(i=st.sampled_from(IDS), new=st.sampled_from(["4", "8", "16"]), gain=st.sampled_from([0.02, 0.2, 0.5]),
          severity=st.sampled_from(["Low", "High"]))  # fmt: skip
    def recommend(self, i: str, new: str, gain: float, severity: str) -> None:
        self.given[i] = (new, gain, severity)
        self.look()

    @rule(i=st.sampled_from(IDS), enough=st.booleans())
    def fall_silent(self, i: str, enough: bool) -> None:
        self.given.pop(i, None)
        self.look(enough)

    @rule(i=st.sampled_from(IDS), value=st.sampled_from(["1", "2", "4", "8", "16", "32"]))
    def edit(self, i: str, value: str) -> None:
        self.values[i] = value
        self.look()

    @rule(i=st.sampled_from(IDS), reason=st.sampled_from(["no", "later"]))
    def dismiss(self, i: str, reason: str) -> None:
        self.decisions[i] = reason
        self.look()

    @rule(i=st.sampled_from(IDS))
    def undo(self, i: str) -> None:
        self.decisions.pop(i, None)
        self.look()

    @rule(seconds=st.sampled_from([-86400.0, 60.0, 86400.0, OBSOLETE_FOR, 60 * 86400.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.look()

    @rule(verdict=st.sampled_from(list(Verdict)))
    def judge(self, verdict: Verdict) -> None:
        outcomes = tuple(
            replace(o, verdict=verdict, judged=self.now, measured=RelativeEffect("Cost", -0.1))
            if o.verdict is None
            else o
            for o in self.memory.outcomes
        )
        self.status = document(replace(self.memory, outcomes=outcomes))
        self.look()

    @invariant()
    def every_recommendation_has_one_state(self) -> None:
        ids = [s.id for s in self.memory.tracked]
        assert len(ids) == len(set(ids))

    @invariant()
    def what_is_given_is_active_dismissed_or_was_rolled_back_and_no_dismissal_is_without_a_decision(self) -> None:
        for s in self.memory.tracked:
            if s.id in getattr(self, "given_ids", set()):
                undone = rolled_back(s.id, (), self.memory.outcomes)
                assert s.state in (RecommendationState.ACTIVE, RecommendationState.DISMISSED) or (
                    (s.state, s.note) == (RecommendationState.OBSOLETE, undone)
                )
            if s.state is RecommendationState.DISMISSED:
                assert self.decisions.get(s.id) == s.dismissal

    @invariant()
    def a_dismissal_is_never_lost(self) -> None:
        """While the decision stands, what was dismissed stays dismissed unless it says what is new, or is applied."""
        now = {s.id: s for s in self.memory.tracked}
        for old in getattr(self, "before", RecommendationHistory()).tracked:
            if old.state is RecommendationState.DISMISSED and self.decisions.get(old.id) == old.dismissal:
                new = now[old.id]
                assert new.state in (RecommendationState.DISMISSED, RecommendationState.IMPLEMENTED) or (
                    new.state is RecommendationState.ACTIVE and "back although it was dismissed" in new.note
                )

    @invariant()
    def it_is_bounded(self) -> None:
        assert len(self.memory.tracked) <= MAX_LEFT + len(IDS)
        waiting = [o for o in self.memory.outcomes if o.verdict is None]
        assert len(waiting) <= MAX_OPEN
        assert len(self.memory.outcomes) - len(waiting) <= MAX_JUDGED

    @invariant()
    def another_look_changes_nothing(self) -> None:
        if self.status:
            before = self.status
            self.look()
            assert self.status == before


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


# --- what is written is what is read

_shares = st.one_of(st.none(), st.integers(-9990, 9990).map(lambda n: n / 1000.0))
_words = st.text(st.characters(whitelist_categories=("L", "N"), whitelist_characters="-.:/"), min_size=1, max_size=20)


@st.composite
def effects(draw: st.DrawFn) -> RelativeEffect:
    measure = draw(st.sampled_from(["Duration", "Cost", "Failures"]))
    likely = draw(_shares)
    if likely is None:
        return RelativeEffect(measure)
    ends = draw(st.one_of(st.none(), st.tuples(st.integers(-999, 999), st.integers(-999, 999))))
    return RelativeEffect(measure, likely, *(sorted(e / 100.0 for e in ends) if ends else (None, None)))


_fields = st.lists(
    st.builds(Field, _words.map(lambda w: "/f" + w.replace(":", "")), st.one_of(st.none(), _words), _words), max_size=4
).map(tuple)
_ids = st.from_regex(r"[a-z][a-z0-9]{0,8}\.[a-z0-9]{1,8}", fullmatch=True)
_times = st.integers(0, 4_000_000_000).map(float)


def rounded(effect: RelativeEffect | None) -> RelativeEffect | None:
    """As many digits as are written."""
    if effect is None:
        return None
    return RelativeEffect(
        effect.measure, *(None if v is None else round(v, 3) for v in (effect.likely, effect.low, effect.high))
    )


@forall(
    st.builds(
        TrackedRecommendation, _ids, st.sampled_from(list(RecommendationState)), _times,
        st.just({**WORDS, "action": "a", "severity": "Low"}),
        effects(), _fields, st.one_of(st.none(), _words), _words,
    ),
    st.builds(
        ImplementationResult, _ids, _words, _words, _times, _fields, effects(), st.none(), st.one_of(st.none(), effects()),
        st.sampled_from(list(Verdict)), _times, st.integers(0, 60), st.integers(0, 60), st.one_of(st.none(), _times),
        st.booleans(),
    ),
)  # fmt: skip
def test_a_status_reads_back_as_what_was_written(tracked: TrackedRecommendation, outcome: ImplementationResult) -> None:
    category = {"Duration": "Performance", "Cost": "Cost", "Failures": "Reliability"}[tracked.promised.measure]
    tracked = replace(tracked, words={**tracked.words, "category": category})
    back = remembered.read(document(RecommendationHistory((tracked,), (outcome,))))
    (s,), (o,) = back.tracked, back.outcomes
    assert replace(s, promised=rounded(s.promised)) == replace(tracked, promised=rounded(tracked.promised))
    assert replace(o, promised=rounded(o.promised), measured=rounded(o.measured)) == replace(
        outcome, promised=rounded(outcome.promised), measured=rounded(outcome.measured)
    )


_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=12)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
)


@forall(
    st.dictionaries(st.sampled_from(["recommendations", "remaining", "results"]), _json),
    st.lists(
        st.fixed_dictionaries(
            {"id": _json, "state": st.sampled_from(["Active", 3, None])},
            optional={"since": _json, "sets": _json, "promised": _json, "action": _json, "by": _json},
        )
    ),
)
def test_any_status_can_be_read(status: dict[str, Any], entries: list[dict[str, Any]]) -> None:
    remembered.read(status)
    remembered.read({"recommendations": entries, "results": entries})


# --- the ledger

_lines = st.builds(
    LedgerEntry, st.sampled_from("ab"), st.sampled_from("rs"), st.sampled_from(list(Verdict)), _times,
    st.one_of(st.none(), st.floats(-0.9, 0.0)), st.one_of(st.none(), st.floats(-0.9, 3.0)),
)  # fmt: skip


@forall(st.lists(_lines, max_size=30))
def test_a_correction_lies_between_the_prior_and_what_was_observed(lines: list[LedgerEntry]) -> None:
    ledger = Ledger(lines)
    for name in "rs":
        ratios = [line.ratio for line in lines if line.rule == name and line.ratio is not None]
        for workflow in "abc":
            factor = ledger.factor(name, workflow)
            assert factor == Ledger([x for x in lines if x.rule == name]).factor(name, workflow)
            assert ledger.withdrawn(name, workflow) == withdrawn(lines, name, workflow)
            least, most = min([1.0, *ratios]), max([1.0, *ratios])
            assert max(0.0, min(1.5, least)) - 1e-9 <= factor <= max(0.0, min(1.5, most)) + 1e-9


@forall(st.lists(_lines, max_size=20), st.lists(_lines, max_size=5))
def test_more_broken_promises_never_raise_trust(lines: list[LedgerEntry], more: list[LedgerEntry]) -> None:
    broken = [replace(x, rule="r", workflow="a", promised=-0.5, measured=0.0) for x in more]
    factor = Ledger(lines).factor("r", "a")
    if factor > 0.0:
        assert Ledger([*lines, *broken]).factor("r", "a") <= factor + 1e-9


@forall(st.lists(_lines, max_size=12))
def test_a_change_that_two_tell_of_counts_once(lines: list[LedgerEntry]) -> None:
    named = [replace(x, recommendation=f"{x.rule}.{i}", applied=1000.0 * i) for i, x in enumerate(lines)]
    twice = [replace(x, applied=(x.applied or 0.0) + 30.0, verdict=Verdict.SAME) for x in named]
    assert merged(named, twice) == named
    later = [replace(x, applied=(x.applied or 0.0) + 500.0) for x in named]
    assert merged(named, later) == [*named, *later]


@forall(st.lists(_lines, max_size=30))
def test_records_count_what_can_be_said(lines: list[LedgerEntry]) -> None:
    for record in Ledger(lines).records():
        assert 0 <= record.held <= record.times <= len(lines)
        assert f"held in {record.held} of {record.times} change" in str(record)
