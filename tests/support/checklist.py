"""Required contents of every recommendation, checked on the scenario of each rule and on the ten typical workflows."""

from __future__ import annotations

import re

from concertmaster.core.model import Recommendation

UNIT = re.compile(r"\d+ ?(%|Mi|Gi|m\b|s\b|h\d|d\d|cores?\b|runs?\b|executions?\b)")


def sentences(item: Recommendation) -> str:
    """All texts of a recommendation in one line, except commands too long to read, which ``explain`` prints."""
    command = item.how if len(item.how) <= 120 else f"kubectl concertmaster explain -n demo wfp {item.id}"
    return (
        f"{item.action}. Why: {item.because}. Expected: {item.expected}. If nothing is done, {item.otherwise}."
        f" Command: {command}"
    )


def check(item: Recommendation, window: str = "14d") -> None:
    """Require number, unit, window, cause, command and consequence, in single-line sentences of limited length."""
    assert re.search(r"\d", item.because), item  # number
    assert UNIT.search(item.because), item  # unit
    assert window in item.because, item  # window
    assert len(item.because.split()) >= 5, item  # cause: a clause, not a figure alone
    assert item.how.startswith("kubectl "), item  # command
    assert item.otherwise, item  # consequence
    assert any(c.isdigit() for c in item.expected) or "no " in item.expected, item
    for sentence in (item.action, item.because, item.expected, item.otherwise, item.current, item.proposed):
        assert "\n" not in sentence, sentence
        assert not sentence.endswith((".", " ", ";")), sentence
    assert len(item.action) <= 160, item.action
    assert len(item.expected) <= 160, item.expected
    assert len(item.because) <= 400, item.because
    assert bool(item.edits) == bool(item.kustomize), item
    assert not item.edits or " patch " in item.how, (
        item.how
    )  # recommendations for other objects than the workflow have no edits
    if item.gain_share is not None:
        assert item.gain_share.low <= item.gain_share.likely <= item.gain_share.high, item
