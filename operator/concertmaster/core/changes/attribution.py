"""Attribution of harm: which of several changed steps caused a verification to end early. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from statistics import fmean

from concertmaster.core.changes.before_after import BeforeAfter
from concertmaster.core.changes.verification import killed_for_memory
from concertmaster.core.model import Outcome, RunRecord

_SLOWER = 1.1  # times its mean before; less is no slowdown of a step
_PART = 0.5  # of the largest slowdown in seconds: steps with at least that much are blamed too


def harmed_steps(before_after: BeforeAfter, steps: Collection[str]) -> tuple[str, ...]:
    """Those of the changed ``steps`` that show harm, by the first sign that any of them shows: OOM kills, failures, run
    time. Empty when no step shows any."""
    for sign in (_killed, _failing):
        named = tuple(s for s in steps if sign(before_after, s))
        if named:
            return named
    extra = {s: seconds for s in steps if (seconds := _slowdown(before_after, s)) > 0}
    most = max(extra.values(), default=0.0)
    return tuple(s for s, seconds in extra.items() if seconds >= _PART * most)


def _killed(before_after: BeforeAfter, step: str) -> bool:
    return killed_for_memory(before_after.after, [step]) > 0 and killed_for_memory(before_after.before, [step]) == 0


def _failing(before_after: BeforeAfter, step: str) -> bool:
    return _share(before_after.after, step) > _share(before_after.before, step)


def _share(runs: Sequence[RunRecord], step: str) -> float:
    """Share of the runs (0 to 1) in which an attempt of the step failed."""
    failed = [any(e.step == step and e.outcome is Outcome.FAILED for e in r.steps) for r in runs]
    return fmean(failed) if failed else 0.0


def _slowdown(before_after: BeforeAfter, step: str) -> float:
    """Additional seconds per run of the step; 0 when insignificant."""
    before, after = _seconds(before_after.before, step), _seconds(before_after.after, step)
    return after - before if before > 0 and after >= _SLOWER * before else 0.0


def _seconds(runs: Sequence[RunRecord], step: str) -> float:
    known = [d for r in runs for e in r.steps if e.step == step and (d := e.duration) is not None]
    return fmean(known) if known else 0.0
