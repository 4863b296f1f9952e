"""What is published does not come and go with single runs: recommendations enter and leave over several analyses.

One that was published stays while the runs up to some days ago still ask for it; a new one waits as a minor item until the
runs up to a day ago asked for it too, unless much is at stake. Nothing of that once the workflow's definition has changed,
because then the older runs speak of another one, nor for what reports a state, which is over once it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from concertmaster.core.model import Recommendation, RunRecord, Severity, WorkflowDefinition

DAY = 86400.0
LAGS = (1 * DAY, 2 * DAY, 4 * DAY)  # before now: analyses that must all miss a recommendation until it is withdrawn
_STATES = ("failing-step", "data-quality", "best-practices")
_AT_ONCE = (Severity.CRITICAL, Severity.HIGH)
_MOST = 0.8  # of the present runs: what must have been there a day ago for it to confirm anything

Earlier = Callable[[float, Collection[str]], Sequence[Recommendation]]


def unchanged(definition: WorkflowDefinition, runs: Sequence[RunRecord], since: float) -> bool:
    """Whether the definition of the runs since then is known to be the present one."""
    marks = {r.fingerprint for r in runs if (r.start or 0.0) >= since}
    return marks == {definition.fingerprint} and None not in marks


def parted(runs: Sequence[RunRecord], since: float) -> tuple[Sequence[RunRecord], Sequence[RunRecord]]:
    """Runs that ended before ``since``, and the others."""
    older = [r for r in runs if r.end is not None and r.end < since]
    return older, [r for r in runs if r.end is None or r.end >= since]


def settle(
    published: Collection[str], found: list[Recommendation], at: Earlier, *, confirm: bool
) -> list[Recommendation]:
    """The recommendations ``found`` now, in the light of what was ``published``. ``at``: those of so many seconds ago for an
    analysis that published these; ``confirm``: whether the analysis of a day ago rests on nearly as many runs."""
    kept = _held(published, found, at)
    ids = {r.id for r in kept}
    new = {r.id for r in found if _waits(r) and r.id not in published and r.id not in ids} if confirm else set()
    if new:
        new -= {r.id for r in at(LAGS[0], ()) if not r.minor}
    return [_small(r) if r.id in new else r for r in found if r.id not in ids] + kept


def enough(now: Sequence[RunRecord], then: Sequence[RunRecord]) -> bool:
    """Whether the runs of an earlier analysis confirm or contradict the present one."""
    return len(then) >= _MOST * len(now)


def _waits(item: Recommendation) -> bool:
    return not item.minor and item.severity not in _AT_ONCE and item.rule not in _STATES


def _small(item: Recommendation) -> Recommendation:
    return replace(item, minor=True, severity=Severity.INFO)


def _held(published: Collection[str], found: Collection[Recommendation], at: Earlier) -> list[Recommendation]:
    given = {r.id for r in found if not r.minor}
    missing = {i for i in published if i not in given and i.partition(".")[0] not in _STATES}
    kept: list[Recommendation] = []
    for lag in LAGS:
        if not missing:
            break
        again = [r for r in at(lag, missing) if r.id in missing and not r.minor]
        kept += again
        missing -= {r.id for r in again}
    return kept
