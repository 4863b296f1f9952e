"""``failing-step``: every run of late fails at the same step. That is no flakiness: no retry and no size will mend it.

Said is what a person needs to begin: which step, with which reason and exit code, since when, what changed at that time,
and what each failing run throws away. Runs that fail now and then belong to ``retry-policy``, those out of memory to
``memory-request``, those stopped by a limit to ``timeout``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from concertmaster.core import text
from concertmaster.core.analysis.cost import run_cost
from concertmaster.core.analysis.failures import FailureClass, classify, reasons_of
from concertmaster.core.analysis.insights import differences
from concertmaster.core.model import Category, Finding, Level, Outcome, RunRecord, Severity, StepExecution
from concertmaster.core.rules.base import Evidence, Rule, mean_interval, median, share_interval
from concertmaster.core.times import to_minute

_CHANCE = 0.05  # that runs which only fail now and then fail so often in a row
_OTHERS = (FailureClass.OOM, FailureClass.DEADLINE)  # have a rule, and a remedy, of their own


def _streak(runs: Sequence[RunRecord]) -> tuple[list[RunRecord], list[RunRecord]]:
    """The failed runs since the last that succeeded, and all before them; runs of unknown outcome tell nothing."""
    known = [r for r in runs if r.outcome in (Outcome.SUCCEEDED, Outcome.FAILED)]
    at = next((i + 1 for i in range(len(known) - 1, -1, -1) if known[i].outcome is Outcome.SUCCEEDED), 0)
    return known[at:], known[:at]


def _culprits(run: RunRecord) -> dict[str, StepExecution]:
    """By step, the failure that ended it: the last attempt of an item, not made good."""
    last: dict[tuple[str, str | None], StepExecution] = {}
    for e in sorted(run.steps, key=lambda e: (e.attempt, e.started or 0.0)):
        last[e.step, e.item] = e
    failed = sorted((e for e in last.values() if e.outcome is Outcome.FAILED), key=lambda e: e.finished or 0.0)
    executions: dict[str, StepExecution] = {}
    for e in failed:
        executions.setdefault(e.step, e)
    return executions


def _chance(streak: int, before: Sequence[RunRecord]) -> float:
    """Probability of such a row of failures at the rate of the runs before it."""
    failed = sum(r.outcome is Outcome.FAILED for r in before)
    return float(((failed + 1) / (len(before) + 2)) ** streak) if before else 0.0


def _reason(failures: Sequence[StepExecution]) -> str:
    """What most of them ended with, exit code and message where live objects told them."""
    told: Counter[str] = Counter()
    for e in failures:
        kind = classify(e) or FailureClass.UNKNOWN
        words = next(iter(reasons_of(e)), kind.value)
        told[f"{words}, exit code {e.exit_code}" if e.exit_code is not None else words] += 1
    return told.most_common(1)[0][0]


def _when(time: float | None) -> str:
    return to_minute(time) if time is not None else "an unknown time"


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation when the newest runs all failed at the same step."""
    analysis = evidence.analysis
    streak, before = _streak(analysis.runs)
    if not analysis.enough or len(streak) < evidence.settings.number("minFailures", 3):
        return
    if _chance(len(streak), before) > _CHANCE:
        return
    each = [_culprits(r) for r in streak]
    tolerated = {name for r in before if r.outcome is Outcome.SUCCEEDED for name in _culprits(r)}
    common = [name for name in each[-1] if name not in tolerated and all(name in found for found in each)]
    if not common:
        return
    step = common[0]
    failures = [found[step] for found in each]
    if sum(classify(e) in _OTHERS for e in failures) > len(failures) / 2:
        return
    yield _finding(evidence, step, streak, before, failures)


def _finding(
    evidence: Evidence,
    step: str,
    streak: Sequence[RunRecord],
    before: Sequence[RunRecord],
    failures: Sequence[StepExecution],
) -> Finding:
    analysis, name = evidence.analysis, evidence.title(step)
    reason = _reason(failures)
    currency = analysis.pricing.currency
    pods = median([sum(e.duration or 0.0 for e in r.steps) for r in streak]) or 0.0
    costs = [c.total for r in streak if (c := run_cost(r, analysis.pricing)) is not None]
    rate = analysis.cost.runs_per_month
    saving = mean_interval(costs, rate) if rate is not None else None
    good = next((r for r in reversed(before) if r.outcome is Outcome.SUCCEEDED), None)
    changed = differences(good, streak[0]) if good is not None else ""
    since = f"since {_when(streak[0].end)}" + (f", when {changed} had changed" if changed else "")
    last = f"the last success ended {_when(good.end)}" if good is not None else "no run succeeded"
    wasted = text.duration(pods) + (
        f" of pod time and {text.money(sum(costs) / len(costs), currency)}" if costs else " of pod time"
    )
    monthly = f", {text.money(saving.likely, currency)} a month" if saving is not None else ""
    message = next((e.message for e in reversed(failures) if e.message), None)
    return Finding(
        step=step,
        action=f"Mend {name}: the last {len(streak)} runs in a row failed there with {reason}",
        because=(
            f"{len(streak)} of {len(streak) + len(before)} runs ({evidence.window()}) failed at {name}, one after the other"
            f" {since}; {last}"
        ),
        otherwise=f"every run keeps failing at {name} and throws away {wasted}{monthly}; a retry only repeats it",
        severity=Severity.CRITICAL,
        current=f"{text.count(len(streak), 'run')} in a row failed",
        proposed="a run that succeeds",
        expected=f"runs succeed again, and {wasted} are not thrown away in each of them",
        confidence=0.95,
        saving_per_month=saving,
        failures_avoided=share_interval(len(streak), len(streak)),  # every run fails, and will
        evidence=(
            f"newest failure: run {streak[-1].run}, pod {failures[-1].pod or 'unknown'}, ended {_when(streak[-1].end)}",
            *((f"its message: {message[:200]}",) if message else ()),
            f"chance of such a row at the earlier rate: {text.percent(_chance(len(streak), before), 1)}"
            if before
            else "no earlier run in the window",
        ),
    )


RULE = Rule("failing-step", evaluate, Category.RELIABILITY, Level.MEDIUM, tie_break=10, settings=("minFailures",))
