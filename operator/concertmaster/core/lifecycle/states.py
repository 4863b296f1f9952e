"""Lifecycle states of a recommendation: Active, Dismissed, Implemented, Obsolete; recomputed in every analysis. Pure.

Earlier recommendations (``RecommendationHistory``) are read from the profile's own status and written back to it; nothing
else has to survive a restart. A recommendation is *implemented* when its fields hold the proposed values, whoever wrote
them; it is *obsolete* when no rule makes it any more and it was not implemented, or when its change was measured and rolled
back. A dismissal holds until its owner removes it, it expires, or the recommendation changes materially; a rollback until
the last.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from concertmaster.core.changes.ledger import LedgerEntry, same_change
from concertmaster.core.changes.plan import PredictedEffect, widened
from concertmaster.core.lifecycle.history import (
    CurrentRecommendation,
    ImplementationResult,
    RecommendationHistory,
    RelativeEffect,
    TrackedRecommendation,
)
from concertmaster.core.lifecycle.implementation import are_implemented, implemented_share, implements, value
from concertmaster.core.lifecycle.rollbacks import rolled_back
from concertmaster.core.model import Severity
from concertmaster.core.model.amounts import quantity
from concertmaster.core.model.enums import RecommendationState, RuleName, Verdict
from concertmaster.core.text import percent
from concertmaster.core.units import DAY, WEEK

IMPLEMENTED_FOR = 14 * DAY  # seconds an implemented recommendation stays listed after its effect is known
OBSOLETE_FOR = WEEK
MAX_LEFT = 20  # recommendations kept although no rule makes them at present
MAX_OPEN = 20  # outcomes without a verdict: one commit may implement as many as a status holds
MAX_JUDGED = 10  # outcomes with a verdict per workflow, for the ledger in addition to retained changes
CLOCKS = 120.0  # seconds of clock skew allowed between API server and operator
MATERIAL_DIFFERENCE = 0.25  # relative difference of a proposed amount that makes a dismissed recommendation material
MATERIAL_GAIN_FACTOR = 1.5  # the same for the predicted gain: this factor, and
MIN_GAIN = 0.05  # an increase by this share of the whole
_SEVERITIES = list(Severity)


@dataclass(frozen=True, slots=True)
class Observation:
    """Current observations. ``enough``: enough data for a missing recommendation to count as obsolete. ``target``: the
    object that defines the workflow (None: not available), last ``written_by`` whom and ``written_at`` when (unix seconds).
    ``dismissals``: active ones, id to text. ``ledger_entries``: those of the operator's own changes of this workflow.
    ``stepless``: rules whose ids do not contain a step. ``spread`` gives the relative standard error with which later runs
    show an effect."""

    now: float
    given: Sequence[CurrentRecommendation]
    enough: bool = True
    target: Mapping[str, Any] | None = None
    written_by: str = ""
    written_at: float | None = None
    fingerprint: str | None = None
    steps: Sequence[str] = ()
    dismissals: Mapping[str, str] = field(default_factory=dict)
    ledger_entries: Sequence[LedgerEntry] = ()
    stepless: Collection[str] = ()
    spread: Callable[[], float] = lambda: 0.0


def step_of(recommendation: str, steps: Sequence[str]) -> str | None:
    """The step a recommendation refers to: the part of its id after the rule, without a container's name."""
    rest = recommendation.partition(".")[2]
    return max((s for s in steps if rest == s or rest.startswith(f"{s}.")), key=len, default=None)


def advance(before: RecommendationHistory, seen: Observation) -> RecommendationHistory:
    """The history after this analysis."""
    outcomes = [o for old in before.outcomes if (o := _upheld(old, seen)) is not None]
    implemented = {s.id: _implemented(s, seen) for s in before.tracked if _was_implemented(s, seen)}
    outcomes += implemented.values()
    known = {s.id: s for s in before.tracked}
    given = [_given(g, known.get(g.id), seen, outcomes, g.id in implemented) for g in seen.given]
    ids = {g.id for g in seen.given}
    left = [_left(s, implemented.get(s.id), outcomes, seen) for s in before.tracked if s.id not in ids]
    return RecommendationHistory((*given, *_bounded([s for s in left if s is not None])), tuple(_recent(outcomes)))


def _was_implemented(tracked: TrackedRecommendation, seen: Observation) -> bool:
    open_ = tracked.state in (RecommendationState.ACTIVE, RecommendationState.DISMISSED)
    return open_ and seen.target is not None and are_implemented(tracked.fields, seen.target)


def _implemented(tracked: TrackedRecommendation, seen: Observation) -> ImplementationResult:
    """A newly detected implementation, dated to the last write of the object if plausible."""
    at = seen.written_at
    if at is None or not tracked.since - CLOCKS <= at <= seen.now + CLOCKS:
        at = seen.now
    action = str(tracked.words.get("action", tracked.id))
    by = seen.written_by or "somebody"
    # A partial implementation has a proportional prediction.
    done = implemented_share(tracked.fields, seen.target or {})
    promised = _measurable(_scaled(tracked.promised, done), seen.spread())
    # What was recommended may be more than what was set: a step of the operator ends at the bounds of its policy.
    made = tuple(replace(f, new=value(seen.target or {}, f.path)[1]) for f in tracked.fields)
    return ImplementationResult(tracked.id, action, by, at, made, promised, seen.fingerprint)


def _scaled(effect: RelativeEffect, factor: float) -> RelativeEffect:
    numbers = (None if v is None else v * factor for v in (effect.likely, effect.low, effect.high))
    return RelativeEffect(effect.measure, *numbers)


def _measurable(effect: RelativeEffect, spread: float) -> RelativeEffect:
    """The effect with the interval in which later runs will measure it."""
    if effect.likely is None or effect.low is None or effect.high is None:
        return effect
    wider = widened(PredictedEffect(effect.measure, effect.low, effect.likely, effect.high), spread)
    return replace(effect, low=wider.low, high=wider.high)


def _upheld(outcome: ImplementationResult, seen: Observation) -> ImplementationResult | None:
    """An outcome under the current definition; None for one reverted before its effect was known. If its fields were too
    long to be stored, the object does not show whether it was reverted."""
    line = next((x for x in seen.ledger_entries if same_change(x, outcome.id, outcome.since)), None)
    # The operator's own change has a verification of its own, and may turn out to do harm after it was kept.
    if line is not None and (outcome.verdict is None or line.verdict is Verdict.WORSE):
        outcome = _judged_elsewhere(outcome, line)
    if seen.target is None or outcome.undone:
        return outcome
    at = seen.written_at if seen.written_at is not None and outcome.since < seen.written_at <= seen.now else seen.now
    # Half of the way back counts as in place, but what the operator measured is the value that it wrote.
    overwritten = line is not None and line.overwritten and outcome.verdict is not None
    if overwritten or (outcome.fields and not are_implemented(outcome.fields, seen.target)):
        return None if outcome.verdict is None else replace(outcome, undone=True, until=outcome.until or at)
    if outcome.verdict is not None or outcome.until is not None or seen.fingerprint in (None, outcome.fingerprint):
        return outcome
    if outcome.fingerprint is None:  # not known when it was applied, or made by another version of the operator
        return replace(outcome, fingerprint=seen.fingerprint)
    return replace(outcome, until=at)


def _judged_elsewhere(outcome: ImplementationResult, line: LedgerEntry) -> ImplementationResult:
    measure = outcome.promised.measure
    promised = (
        RelativeEffect(measure, line.promised, line.low, line.high) if line.promised is not None else outcome.promised
    )
    measured = RelativeEffect(measure, line.measured) if line.measured is not None else outcome.measured
    return replace(outcome, promised=promised, measured=measured, verdict=line.verdict, judged=line.finished)


def _given(
    given: CurrentRecommendation,
    known: TrackedRecommendation | None,
    seen: Observation,
    outcomes: Sequence[ImplementationResult],
    made: bool,
) -> TrackedRecommendation:
    """The tracked state of a current recommendation."""
    decision = seen.dismissals.get(given.id)
    undone = rolled_back(given.id, seen.ledger_entries, outcomes) if decision is None and not made else None
    if undone is not None:
        return _undone(given, known, seen, undone)
    state, since, note = RecommendationState.ACTIVE, seen.now, ""
    if decision is not None:
        if known is None or known.dismissal != decision:
            state = RecommendationState.DISMISSED
        elif known.state is RecommendationState.DISMISSED:
            other = None if made else material(known, given)
            if other is None and not made:
                return known
            note = f"back although it was dismissed ({decision}): {other or 'a part of it was applied'}"
        elif known.state is RecommendationState.ACTIVE:
            since, note = known.since, known.note
        else:
            state = RecommendationState.DISMISSED  # it had become obsolete, but the dismissal is still active
    elif made:
        note = "applied in part; this is what is left of it"
    elif known is not None and known.state is RecommendationState.ACTIVE:
        since, note = known.since, known.note if known.dismissal is None else ""
    elif known is not None and known.state is RecommendationState.DISMISSED:
        note = f"back because its dismissal is over ({known.dismissal})"
    return TrackedRecommendation(given.id, state, since, given.words, given.promised, given.fields, decision, note)


def _undone(
    given: CurrentRecommendation, known: TrackedRecommendation | None, seen: Observation, why: str
) -> TrackedRecommendation:
    """A current recommendation whose change was rolled back, which is ``why``: obsolete unless it is another matter now."""
    compared = known is not None and known.dismissal == why
    if known is not None and (compared or known.state is not RecommendationState.ACTIVE):
        if known.state is RecommendationState.ACTIVE:  # it has come back before
            return replace(known, words=given.words, promised=given.promised, fields=given.fields)
        other = material(known, given)
        if other is not None:
            note = f"back although {why}: {other}"
            return TrackedRecommendation(
                given.id, RecommendationState.ACTIVE, seen.now, given.words, given.promised, given.fields, why, note
            )
        if compared:
            return known
        given = replace(given, promised=known.promised, fields=known.fields)  # those that were rolled back
    return TrackedRecommendation(
        given.id, RecommendationState.OBSOLETE, seen.now, given.words, given.promised, given.fields, why, why
    )


def material(then: TrackedRecommendation, now: CurrentRecommendation) -> str | None:
    """What makes ``now`` materially different from the dismissed recommendation, as a sentence; None when nothing does."""
    before, after = _severity(then.words), _severity(now.words)
    if after > before and after >= _SEVERITIES.index(Severity.HIGH):
        return f"its severity rose from {_SEVERITIES[before].value} to {_SEVERITIES[after].value}"
    proposed = {f.path: f.new for f in then.fields}
    for f in now.fields:
        old, new = quantity(proposed.get(f.path)), quantity(f.new)
        if old and new is not None and abs(new / old - 1.0) >= MATERIAL_DIFFERENCE:
            return f"it proposes {f.new} now and proposed {proposed[f.path]} then"
    was, is_ = _gain(then.promised), _gain(now.promised)
    if then.promised.measure == now.promised.measure and is_ >= MATERIAL_GAIN_FACTOR * was and is_ - was >= MIN_GAIN:
        return f"the predicted effect is {percent(is_)} now and was {percent(was)} then"
    return None


def _severity(words: Mapping[str, Any]) -> int:
    severity = words.get("severity")
    return _SEVERITIES.index(Severity(severity)) if severity in set(Severity) else 0


def _gain(effect: RelativeEffect) -> float:
    return max(0.0, -(effect.likely or 0.0))


def _left(
    tracked: TrackedRecommendation,
    made: ImplementationResult | None,
    outcomes: Sequence[ImplementationResult],
    seen: Observation,
) -> TrackedRecommendation | None:
    """The next state of a recommendation no rule makes at present; None when it is dropped."""
    if made is not None:
        return replace(tracked, state=RecommendationState.IMPLEMENTED, since=made.since, note="", dismissal=None)
    if tracked.state is RecommendationState.DISMISSED:
        return tracked if seen.dismissals.get(tracked.id) == tracked.dismissal else None
    if tracked.state is RecommendationState.OBSOLETE:
        return tracked if seen.now - tracked.since < OBSOLETE_FOR else None
    if tracked.state is RecommendationState.IMPLEMENTED:
        outcome = next((o for o in outcomes if (o.id, o.since) == (tracked.id, tracked.since)), None)
        reverted = _was_reverted(tracked, seen)
        if reverted or (outcome is not None and outcome.undone):
            note = f"it was applied and {'rolled back' if reverted else 'overwritten later'}"
            return replace(tracked, state=RecommendationState.OBSOLETE, since=seen.now, note=note)
        if outcome is None:  # no room among the outcomes: its effect remains unknown
            return tracked if seen.now - tracked.since < IMPLEMENTED_FOR else None
        return tracked if outcome.judged is None or seen.now - outcome.judged < IMPLEMENTED_FOR else None
    if not seen.enough:
        return tracked
    return replace(tracked, state=RecommendationState.OBSOLETE, since=seen.now, note=_gone(tracked, seen))


def _was_reverted(tracked: TrackedRecommendation, seen: Observation) -> bool:
    """Whether the object shows that an implementation was reverted."""
    return seen.target is not None and bool(tracked.fields) and not are_implemented(tracked.fields, seen.target)


def _gone(tracked: TrackedRecommendation, seen: Observation) -> str:
    """Why a recommendation is no longer made."""
    rule, _, rest = tracked.id.partition(".")
    if rest and rule not in seen.stepless and seen.steps and step_of(tracked.id, seen.steps) is None:
        return f"the workflow has no step {rest} any more"
    for f in tracked.fields if seen.target is not None else ():
        there, now = value(seen.target or {}, f.path)
        if not there:
            return f"the template changed: there is no {f.path} any more"
        if now != f.old and not implements(f, now):
            return f"the template changed: {f.path} is {now or 'not set'} now and was {f.old or 'not set'}"
    if decided := sorted(
        d for d in seen.dismissals if d.startswith(f"{RuleName.RIGHT_SIZE}.") and tracked.id == RuleName.RIGHT_SIZE
    ):
        return f"nothing is left of it without the dismissed steps ({', '.join(decided[:3])})"
    return "condition cleared in recent runs"


def _bounded(left: Sequence[TrackedRecommendation]) -> list[TrackedRecommendation]:
    """The newest, with people's decisions first; in a fixed order."""
    order = (
        RecommendationState.IMPLEMENTED,
        RecommendationState.DISMISSED,
        RecommendationState.ACTIVE,
        RecommendationState.OBSOLETE,
    )
    kept = sorted(left, key=lambda s: (s.state is not RecommendationState.DISMISSED, -s.since, s.id))[:MAX_LEFT]
    return sorted(kept, key=lambda s: (order.index(s.state), -s.since, s.id))


def _recent(outcomes: Sequence[ImplementationResult]) -> list[ImplementationResult]:
    """The newest open and the newest judged outcomes: each has a limit of its own."""
    newest = sorted(outcomes, key=lambda o: (-o.since, o.id))
    waiting = [o for o in newest if o.verdict is None][:MAX_OPEN]
    known = [o for o in newest if o.verdict is not None][:MAX_JUDGED]
    return sorted([*waiting, *known], key=lambda o: (-o.since, o.id))
