"""A time limit of whole runs that stops some of them (part of ``timeout``): no step caused it, and no retry helps."""

from __future__ import annotations

from concertmaster.core import text
from concertmaster.core.analysis.failures import FailureClass, classify
from concertmaster.core.lifecycle import commands
from concertmaster.core.model import RUN_TIMEOUT, Finding, Level, Outcome, RunRecord, StepExecution
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.intervals import failed_share
from concertmaster.core.rules.reliability.tolerance_bound import recommended_timeout, round_up

_REACHED_SHARE = 0.95  # of the limit: a run begins with its first pod, a little later than its object


def ends_runs(evidence: Evidence, step: str) -> bool:
    """Whether what mostly stops the step at a deadline is a limit of the whole run, retries included."""
    limit = _limit(evidence)
    if limit is None and evidence.analysis.definition.engine.deadline_of_run:
        return True
    late = [r for r in evidence.analysis.runs if any(e.step == step and _late(e) for e in r.steps)]
    return 2 * sum(_stopped(r, limit) for r in late) > len(late)


def find(evidence: Evidence, headroom: float) -> Finding | None:
    """Raise the limit of the workflow, from the run times of those that succeeded plus ``headroom`` (a share)."""
    analysis, now = evidence.analysis, _limit(evidence)
    engine = analysis.definition.engine
    stopped = [r for r in analysis.runs if now is not None and _stopped(r, now)]
    good = [r.run_time for r in analysis.runs if r.outcome is Outcome.SUCCEEDED and r.run_time is not None]
    limit = recommended_timeout(good, headroom=headroom)
    if now is None or not stopped or limit.seconds is None or engine.deadline_field is None:
        return None
    seconds = max(limit.seconds, round_up(1.5 * now))  # how much longer they would have taken is unknown
    at = (analysis.definition.graph.parallelism_pointer or "").rpartition("/")[0]
    literal = analysis.definition.declared[engine.deadline_field]
    edit = commands.field_edit(f"{at}/{engine.deadline_field}", literal, round(seconds)) if at else None
    runs = len(analysis.runs)
    return Finding(
        about="workflow",
        action=f"Raise time limit of the workflow: {text.duration(now)} -> {text.duration(seconds)}",
        because=(
            f"{len(stopped)} of {text.count(runs, 'run')} {'was' if len(stopped) == 1 else 'were'} stopped by it"
            f" ({evidence.window()}); 99% of the runs that succeed stay below {text.duration(limit.bound)}"
        ),
        otherwise="runs that only take longer keep being stopped",
        risk=Level.LOW,
        current=text.duration(now),
        proposed=text.duration(seconds),
        expected=f"up to {text.percent(len(stopped) / runs)} of the runs no longer stopped",
        confidence=min(0.9, limit.runs / (limit.runs + 10.0)),
        failures_avoided=failed_share(len(stopped), runs, 0, evidence.rows.failures_alike),
        edits=(edit,) if edit is not None else (),
        evidence=(f"the limit {limit.reason}, from {text.count(limit.runs, 'run')}",),
    )


def _limit(evidence: Evidence) -> float | None:
    """Seconds that a run of the workflow may take; None without a limit, or where it applies to each step."""
    definition = evidence.analysis.definition
    field = definition.engine.deadline_field
    value = definition.declared.get(field) if field is not None and not definition.engine.deadline_of_run else None
    try:
        seconds = float(value) if isinstance(value, int | float | str) else 0.0
    except ValueError:
        return None
    return seconds if seconds > 0.0 else None


def _stopped(run: RunRecord, limit: float | None) -> bool:
    """Whether the run failed at its deadline. Without a known one, only what its steps ended by tells."""
    if limit is None:
        return any(e.reason == RUN_TIMEOUT for e in run.steps)
    if run.outcome is not Outcome.FAILED or run.run_time is None or run.run_time < _REACHED_SHARE * limit:
        return False
    return any(map(_late, run.steps))


def _late(execution: StepExecution) -> bool:
    return execution.outcome is Outcome.FAILED and classify(execution) is FailureClass.DEADLINE
