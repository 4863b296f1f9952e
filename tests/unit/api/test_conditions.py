"""Conditions: since when, from which spec, and in which order."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from concertmaster.api.conditions import (
    MAX_MESSAGE,
    ConditionType,
    ConditionUpdate,
    Reason,
    find,
    holds,
    one_line,
    transitions,
    update,
)
from concertmaster.api.models.common import Condition
from concertmaster.core.times import format_time

NOW = 1_800_000_000.0
LATER = NOW + 3600
READY = ConditionUpdate(ConditionType.READY, True, Reason.ANALYZED, "30 of 30 runs analyzed.")
STALE = ConditionUpdate(ConditionType.READY, False, Reason.STALE, "No data since noon.")

findings = st.builds(
    ConditionUpdate,
    st.sampled_from(ConditionType),
    st.sampled_from([True, False, None]),
    st.sampled_from(Reason),
    st.text(max_size=1500),
)
distinct = st.lists(findings, max_size=8, unique_by=lambda finding: finding.type)


def test_a_new_condition_is_complete() -> None:
    assert update([], [READY], generation=3, now=NOW) == [
        {
            "lastTransitionTime": format_time(NOW),
            "message": "30 of 30 runs analyzed.",
            "observedGeneration": 3,
            "reason": "Analyzed",
            "status": "True",
            "type": "Ready",
        }
    ]


def test_the_time_moves_only_when_the_status_flips() -> None:
    first = update([], [READY], generation=1, now=NOW)
    reworded = ConditionUpdate(ConditionType.READY, True, Reason.ANALYZED, "31 of 31 runs analyzed.")
    second = update(first, [reworded], generation=2, now=LATER)
    assert second[0]["lastTransitionTime"] == format_time(NOW)
    assert (second[0]["message"], second[0]["observedGeneration"]) == ("31 of 31 runs analyzed.", 2)
    third = update(second, [STALE], generation=2, now=LATER)
    assert third[0]["lastTransitionTime"] == format_time(LATER)


def test_what_was_not_looked_at_stays() -> None:
    before = update(
        [],
        [ConditionUpdate(ConditionType.METRICS_AVAILABLE, None, Reason.PENDING, "Not asked.")],
        generation=1,
        now=NOW,
    )
    after = update(before, [READY], generation=2, now=LATER)
    assert after[1] == before[0]


def test_the_order_is_the_reading_order() -> None:
    unknown: dict[str, Any] = {
        "type": "Custom",
        "status": "True",
        "reason": "X",
        "message": "",
        "lastTransitionTime": "",
    }
    given_order = [
        ConditionUpdate(ConditionType.OBJECTIVES_MET, True, Reason.MET, "All met."),
        ConditionUpdate(ConditionType.TARGET_RESOLVED, True, Reason.FOUND, "Found."),
        READY,
    ]
    names = [c["type"] for c in update([unknown, {"status": "True"}], given_order, generation=None, now=NOW)]
    assert names == ["Ready", "TargetResolved", "ObjectivesMet", "Custom"]


def test_lookups() -> None:
    conditions = update([], [STALE], generation=None, now=NOW)
    assert find(conditions, ConditionType.READY) == conditions[0]
    assert "observedGeneration" not in conditions[0]
    assert holds(conditions, ConditionType.READY) is False
    assert holds(conditions, ConditionType.APPLIED) is None
    unknown = update([], [ConditionUpdate(ConditionType.READY, None, Reason.PENDING, "?")], generation=None, now=NOW)
    assert holds(unknown, ConditionType.READY) is None


def test_transitions_are_changes_of_status_or_reason() -> None:
    first = update([], [READY], generation=1, now=NOW)
    assert [(t.before, t.after) for t in transitions([], first)] == [(None, "True")]
    reworded = update(
        first, [ConditionUpdate(ConditionType.READY, True, Reason.ANALYZED, "Other.")], generation=1, now=LATER
    )
    assert transitions(first, reworded) == []
    (changed,) = transitions(reworded, update(reworded, [STALE], generation=1, now=LATER))
    assert (changed.before, changed.after, changed.reason) == ("True", "False", "Stale")


@given(distinct, distinct)
def test_any_finding_gives_a_valid_condition(first: list[ConditionUpdate], second: list[ConditionUpdate]) -> None:
    conditions = update(update([], first, generation=1, now=NOW), second, generation=2, now=LATER)
    for entry in conditions:
        Condition.model_validate(entry, extra="forbid")
    assert len({entry["type"] for entry in conditions}) == len(conditions)
    assert update(conditions, second, generation=2, now=LATER + 60) == conditions


@given(st.text(max_size=3000))
def test_messages_are_one_bounded_line(text: str) -> None:
    line = one_line(text)
    assert len(line) <= MAX_MESSAGE
    assert "\n" not in line and "\r" not in line


def test_every_reason_is_documented_once() -> None:
    assert all(reason.meaning.endswith(".") for reason in Reason)
    assert len({reason.meaning for reason in Reason}) == len(Reason)
    Condition.model_validate(
        {"type": "Ready", "status": "True", "reason": "Analyzed", "message": "", "lastTransitionTime": format_time(NOW)}
    )
