"""Damping of recommendations over several analyses, so that single runs do not make them flap.

A published one stays while the runs up to some days ago still justify it; a new one is held as minor until the runs up to a
day ago justified it too, unless its severity is high. Not applied once the workflow's definition has changed, since older
runs belong to another definition, unless it is edited for each run. Which rules are damped less, or not at all, says each of
them (``Rule.damping``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from concertmaster.core.analysis.runs.changes import edited_for_each_run
from concertmaster.core.model import Recommendation, RunRecord, Severity, WorkflowDefinition
from concertmaster.core.model.recommendations import rule_of
from concertmaster.core.rules import RULES
from concertmaster.core.rules.base import Damping
from concertmaster.core.units import DAY

LAGS = (DAY, 2 * DAY, 4 * DAY)  # before now: a recommendation is withdrawn when missing from all these analyses
_DAMPING: dict[str, Damping] = {rule.name: rule.damping for rule in RULES}
_UNDAMPED = (Severity.CRITICAL, Severity.HIGH)
_MAX_SHARED_RUNS = 0.8  # share of the current runs that must have existed a day ago for it to confirm anything

Earlier = Callable[[float, Collection[str]], Sequence[Recommendation]]


def unchanged(definition: WorkflowDefinition, runs: Sequence[RunRecord], since: float) -> bool:
    """Whether the definition of all runs since then is known to be the current one, or edited for each run."""
    marks = {r.fingerprint for r in runs if (r.start or 0.0) >= since}
    return None not in marks and (marks == {definition.fingerprint} or edited_for_each_run(runs))


def split_at(runs: Sequence[RunRecord], since: float) -> tuple[Sequence[RunRecord], Sequence[RunRecord]]:
    """Runs that ended before ``since`` (unix seconds), and the others."""
    older = [r for r in runs if r.end is not None and r.end < since]
    return older, [r for r in runs if r.end is None or r.end >= since]


def damp(
    published: Collection[str], recommendations: list[Recommendation], at: Earlier, *, confirm: bool
) -> list[Recommendation]:
    """The current ``recommendations``, damped by what was ``published``. ``at``: recommendations of the analysis so
    many seconds ago; ``confirm``: whether the analysis of a day ago has nearly as many runs."""
    kept = _held(published, recommendations, at)
    ids = {r.id for r in kept}
    new = (
        {r.id for r in recommendations if _waits(r) and r.id not in published and r.id not in ids} if confirm else set()
    )
    if new:
        new -= {r.id for r in at(LAGS[0], ()) if not r.minor}
    return [_small(r) if r.id in new else r for r in recommendations if r.id not in ids] + kept


def has_enough_runs(now: Sequence[RunRecord], then: Sequence[RunRecord]) -> bool:
    """Whether an earlier analysis has enough of the current runs to confirm or contradict it."""
    return len(then) >= _MAX_SHARED_RUNS * len(now)


def _damping(recommendation: str) -> Damping:
    """That of the rule with this id; of one that is no rule any more, the usual one."""
    return _DAMPING.get(rule_of(recommendation), Damping.DAYS)


def _waits(item: Recommendation) -> bool:
    return not item.minor and item.severity not in _UNDAMPED and _damping(item.id) is not Damping.NONE


def _small(item: Recommendation) -> Recommendation:
    return replace(item, minor=True, severity=Severity.INFO)


def _held(published: Collection[str], recommendations: Collection[Recommendation], at: Earlier) -> list[Recommendation]:
    given = {r.id for r in recommendations if not r.minor}
    missing = {i for i in published if i not in given and _damping(i) is not Damping.NONE}
    kept: list[Recommendation] = []
    for lag in LAGS:
        if not missing:
            break
        if lag > LAGS[0]:
            missing = {i for i in missing if _damping(i) is not Damping.DAY}
        again = [r for r in at(lag, missing) if r.id in missing and not r.minor]
        kept += again
        missing -= {r.id for r in again}
    return kept
