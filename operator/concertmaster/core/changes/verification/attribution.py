"""Signs of harm by step: which of several changed steps caused a verification to end early. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from concertmaster.core.changes.verification.before_after import BeforeAfter, out_of_memory
from concertmaster.core.model import Outcome, RunRecord
from concertmaster.core.model.amounts import same_amount
from concertmaster.core.model.enums import RuleName
from concertmaster.core.model.policy import Policy

_MIN_SLOWDOWN = 1.1  # times its mean before; less is no slowdown of a step
_BLAMED_SHARE = 0.5  # of the largest slowdown in seconds: steps with at least that much are blamed too


@dataclass(frozen=True, slots=True)
class LoweredMemory:
    """The memory requests (bytes) that a change lowered. ``room``: a use above them by less than this share (0 to 1) is no
    reason to raise them again. ``accepted``: share of runs that may use more than that, as the policy's sizes are made."""

    requests: frozenset[float] = frozenset()
    room: float = 0.0
    accepted: float = 0.01

    @classmethod
    def of(cls, requests: Iterable[float], policy: Policy) -> LoweredMemory | None:
        """None without requests. The room is what ``right-size`` leaves alone."""
        room = policy.rule(RuleName.RIGHT_SIZE).number("minChangePercent", 100 * policy.apply.min_change) / 100
        found = frozenset(requests)
        return cls(found, room, policy.analysis.max_failure) if found else None

    def exceeded(self, run: RunRecord, steps: Collection[str]) -> dict[tuple[str, str], tuple[float, float]]:
        """The largest memory peak, and the request, by step and container: of containers of these steps (empty: any) that
        request what the change set and used more."""
        found: dict[tuple[str, str], tuple[float, float]] = {}
        for e in run.steps:
            for c in e.containers if not steps or e.step in steps else ():
                peak, request = c.memory_peak, c.memory_request
                if peak is None or request is None or peak <= (1.0 + self.room) * request:
                    continue
                if any(same_amount(request, new) for new in self.requests):
                    found[e.step, c.name] = max((peak, request), found.get((e.step, c.name), (0.0, 0.0)))
        return found


def harmed_steps(before_after: BeforeAfter, steps: Collection[str], lowered: LoweredMemory | None) -> tuple[str, ...]:
    """Those of the changed ``steps`` that show harm, by the first sign that any of them shows: OOM kills, use above a
    ``lowered`` memory request, failures, run time. Empty when no step shows any."""

    def too_small(found: BeforeAfter, step: str) -> bool:
        return lowered is not None and any(lowered.exceeded(run, [step]) for run in found.after)

    for sign in (_killed, too_small, _failing):
        named = tuple(s for s in steps if sign(before_after, s))
        if named:
            return named
    extra = {s: seconds for s in steps if (seconds := _slowdown(before_after, s)) > 0}
    most = max(extra.values(), default=0.0)
    return tuple(s for s, seconds in extra.items() if seconds >= _BLAMED_SHARE * most)


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
    return after - before if before > 0 and after >= _MIN_SLOWDOWN * before else 0.0


def _seconds(runs: Sequence[RunRecord], step: str) -> float:
    known = [d for r in runs for e in r.steps if e.step == step and (d := e.duration) is not None]
    return fmean(known) if known else 0.0


def killed_for_memory(runs: Sequence[RunRecord], steps: Collection[str]) -> int:
    """Number of runs in which a container of these steps (empty: any) was OOM-killed."""
    return sum(out_of_memory(r, steps) for r in runs)
