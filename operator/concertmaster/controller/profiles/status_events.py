"""Events about a status just written: conditions that moved, new recommendations, measured effects, late runs. Pure."""

from __future__ import annotations

from concertmaster.api import conditions
from concertmaster.api.conditions import ConditionTransition, ConditionType, Reason
from concertmaster.controller.object_cache import CachedObject
from concertmaster.controller.profiles.status_update import QUIET_REASONS
from concertmaster.controller.status_view import StatusView
from concertmaster.core.model.conditions import SOURCE_FAULTS
from concertmaster.core.model.enums import RuleName
from concertmaster.core.model.recommendations import rule_of
from concertmaster.kube.events import EventType, Note
from concertmaster.report.running import late_sentence

_OF_KIND = frozenset({Reason.FORBIDDEN, Reason.KIND_MISSING, Reason.TARGET_UNAVAILABLE})
"""Why a target is not resolved although nothing is wrong with it: its kind cannot be listed."""
_WARNINGS = frozenset(
    {ConditionType.READY, ConditionType.METRICS_AVAILABLE, ConditionType.TARGET_RESOLVED, ConditionType.WRITE_ACCESS}
)


def status_events(entry: CachedObject, after: StatusView) -> list[Note]:
    """Events about a status just written: transitions of conditions, and recommendations that are new.

    A metrics source at fault, or a kind that cannot be listed, is one Event about one of the objects that depend on it, not
    one or two about each of them."""
    before = entry.status
    made = [
        _note(entry, t)
        for t in conditions.transitions(before.conditions, after.conditions)
        if _worth_reporting(t) and not (t.type == ConditionType.READY and (_of_source(t) or _of_kind(t)))
    ]
    fresh = [i for i in after.recommendations if i not in before.recommendations]
    ready = conditions.find(before.conditions, ConditionType.READY)
    provisional = ready is not None and ready.get("reason") == Reason.BACKFILLING
    if fresh and before.data_until is not None and not provisional:  # not those of the first analysis of a workflow
        how = f"kubectl concertmaster describe {entry.name} -n {entry.namespace}"
        text = f"new recommendations: {', '.join(fresh)}; to read them: {how}"
        made.append(Note(entry.ref, EventType.NORMAL, "NewRecommendations", text))
        if degraded := [i for i in fresh if rule_of(i) == RuleName.DEGRADATION]:
            text = f"runs take longer than before: {', '.join(degraded)}; to read it: {how}"
            made.append(Note(entry.ref, EventType.WARNING, "Degraded", text))
    return [*made, *_outcomes(entry, before, after), *_late(entry, before, after)]


def _late(entry: CachedObject, before: StatusView, after: StatusView) -> list[Note]:
    """Runs in progress that are late by now."""
    known = {r.get("name") for r in before.running if r.get("late")}
    fresh = [r for r in after.running if r.get("late") and r.get("name") not in known]
    return [Note(entry.ref, EventType.WARNING, "RunLate", late_sentence(r)) for r in fresh]


def _outcomes(entry: CachedObject, before: StatusView, after: StatusView) -> list[Note]:
    """Recommendations that were applied, and their measured effect."""
    known = {(o.get("id"), o.get("since")): o for o in before.outcomes}
    made = []
    for outcome in after.outcomes:
        earlier = known.get((outcome.get("id"), outcome.get("since")))
        if earlier is None and before.digest is not None:
            text = f"{outcome.get('id')} was applied by {outcome.get('by')}; measuring its impact over the next runs"
            made.append(Note(entry.ref, EventType.NORMAL, "Implemented", text))
        if outcome.get("verdict") and earlier is not None and not earlier.get("verdict"):
            text = f"{outcome.get('id')}, applied {outcome.get('since')}: {outcome.get('effect')}"
            made.append(Note(entry.ref, EventType.NORMAL, "EffectMeasured", text))
    return made


def _worth_reporting(transition: ConditionTransition) -> bool:
    """Flips, and a first state only when it is bad: an installation of 500 profiles is no 500 pieces of news, nor is the
    end of their first reading."""
    if transition.reason in QUIET_REASONS or (transition.after == "True" and transition.because in QUIET_REASONS):
        return False
    if transition.before is None:
        return transition.after == "False" and transition.type != ConditionType.OBJECTIVES_MET
    return transition.before != transition.after and not (transition.before == "Unknown" and transition.after == "True")


def _of_source(transition: ConditionTransition) -> bool:
    """Whether a whole metrics source failed or came back."""
    return (transition.because if transition.after == "True" else transition.reason) in SOURCE_FAULTS


def _of_kind(transition: ConditionTransition) -> bool:
    """Whether the objects of a kind cannot be listed, or can be again."""
    return (transition.because if transition.after == "True" else transition.reason) in _OF_KIND


def _note(entry: CachedObject, transition: ConditionTransition) -> Note:
    bad = transition.after == "False" and transition.type in _WARNINGS
    severity = EventType.WARNING if bad else EventType.NORMAL
    text = f"{transition.type} is {transition.after}: {transition.message}"
    if (of_kind := _of_kind(transition)) and transition.after == "True":
        text = f"{transition.type} is {transition.after}: objects of its kind can be listed again"
    return Note(entry.ref, severity, transition.reason, text, shared=of_kind or _of_source(transition))
