"""Two runs compared, as a model and as the answer to "why did it take longer?" in sentences."""

from __future__ import annotations

import math
from dataclasses import fields

from concertmaster.api.views.runs import DifferenceView, RunComparisonView, RunSummary, RunView, StepComparisonView
from concertmaster.core import text
from concertmaster.core.analysis.replay import TimeSplit
from concertmaster.core.analysis.runs.comparison import (
    Difference,
    ObservedRun,
    RunComparison,
    StepComparison,
    compare_runs,
)
from concertmaster.core.model import WorkflowKey
from concertmaster.report.runs.served import observed
from concertmaster.report.runs.views import RunHistory, split_view, summary
from concertmaster.report.view import number

PARTS = {
    "work": "execution",
    "start_up": "startup",
    "scheduling": "scheduling latency",
    "limit": "queueing for a limit or lock",
    "retry": "failed attempts and back-off",
    "controller": "controller",
    "suspended": "suspended",
    "late": "late behind the run before it",
}
_NAMED = 3  # steps that the answer names
_SHARE = 0.1  # of the whole difference, which a step must make up to be named


def comparison_view(history: RunHistory, before: int, after: int) -> RunComparisonView:
    """The runs at two positions, the second against the first."""
    one, other = (ObservedRun.of(history.runs[i], history.executed[i]) for i in (before, after))
    order = [s.name for s in history.definition.graph.steps]
    return _view(
        compare_runs(one, other, order), history.definition.key, summary(history, before), summary(history, after)
    )


def compared_views(key: WorkflowKey, before: RunView, after: RunView) -> RunComparisonView:
    """The same for two runs that the operator served."""
    return _view(compare_runs(observed(key, before), observed(key, after)), key, before, after)


def _view(compared: RunComparison, key: WorkflowKey, one: RunSummary, other: RunSummary) -> RunComparisonView:
    return RunComparisonView(
        namespace=key.namespace,
        kind=key.kind,
        workflow=key.name,
        before=RunSummary.model_validate(one.model_dump()),
        after=RunSummary.model_validate(other.model_dump()),
        extra_seconds=number(compared.extra),
        before_path=compared.paths[0],
        after_path=compared.paths[1],
        template_changed=compared.template_changed,
        steps=tuple(_step(s) for s in compared.steps),
        answer=tuple(answer(compared, one, other)),
    )


def _step(step: StepComparison) -> StepComparisonView:
    return StepComparisonView(
        step=step.step,
        extra_seconds=number(step.extra) or 0.0,
        before=split_view(step.before),
        after=split_view(step.after),
        before_seconds=number(step.seconds[0]),
        after_seconds=number(step.seconds[1]),
        differences=tuple(
            DifferenceView(kind=d.kind, before=_value(d, d.before), after=_value(d, d.after)) for d in step.differences
        ),
    )


def answer(compared: RunComparison, before: RunSummary, after: RunSummary) -> list[str]:
    """Sentences, the most important first."""
    extra = compared.extra
    if extra is None:
        return [f"The duration of {before.run if compared.before.makespan is None else after.run} is unknown."]
    lines = [f"{after.run} took {text.duration(compared.after.makespan)}{_against(compared, extra, before.run)}."]
    if before.outcome is not after.outcome:
        lines.append(f"{after.run} {after.outcome.value.lower()}; {before.run} {before.outcome.value.lower()}.")
    if not compared.exact:
        lines.append(
            "The pods of both runs are not all known: the difference cannot be divided among the steps exactly."
        )
    least = max(_SHARE * abs(extra), 1.0)
    named = [
        s for s in compared.steps if abs(s.extra) >= least and math.copysign(1.0, s.extra) == math.copysign(1.0, extra)
    ]
    lines += [_sentence(step) for step in named[:_NAMED]]
    against = [s for s in compared.steps if abs(s.extra) >= least and s not in named]
    if against:
        listed = ", ".join(f"{s.step} {text.signed(s.extra)}" for s in against[:_NAMED])
        lines.append(f"In the other direction: {listed}.")
    if abs(compared.tail) >= least:
        lines.append(f"After the last pod: {text.signed(compared.tail)} until the run ended.")
    if compared.template_changed:
        lines.append("The workflow definition changed between the two runs.")
    paths = [" -> ".join(path) for path in compared.paths]
    if all(paths) and paths[0] != paths[1]:
        lines.append(f"Critical path: {paths[1]}; before: {paths[0]}.")
    off = [s for s in compared.steps if s not in named and s.differences and (s.before or s.after) is None]
    if off:
        lines.append(
            f"Off the critical path, without effect: {', '.join(f'{s.step} ({_differences(s)})' for s in off[:2])}."
        )
    return lines


def _against(compared: RunComparison, extra: float, before: str) -> str:
    if not round(extra, 3):
        return f", as long as {before}"
    base = compared.before.makespan or 0.0
    share = f" ({text.percent(abs(extra) / base)})" if base > 0 else ""
    direction = "longer" if extra > 0 else "shorter"
    return f": {text.duration(abs(extra))}{share} {direction} than {before} ({text.duration(base)})"


def _sentence(step: StepComparison) -> str:
    """Where a step lost or won time, and what differs about it."""
    zero = TimeSplit()
    parts = {
        f.name: getattr(step.after or zero, f.name) - getattr(step.before or zero, f.name) for f in fields(TimeSplit)
    }
    large = sorted((n for n in parts if abs(parts[n]) >= max(0.1 * abs(step.extra), 0.5)), key=lambda n: -abs(parts[n]))
    where = ", ".join(f"{PARTS[name]} {text.signed(parts[name])}" for name in large)
    path = " (not on the critical path before)" if step.before is None else ""
    path = " (no longer on the critical path)" if step.after is None else path
    changed = _differences(step)
    return f"{step.step}{path}: {text.signed(step.extra)} ({where})" + (
        f"; {changed}." if changed else "; no known change."
    )


def _differences(step: StepComparison) -> str:
    return ", ".join(f"{d.kind} {_value(d, d.before)} -> {_value(d, d.after)}" for d in step.differences)


def _value(difference: Difference, value: str | float | None) -> str:
    if value is None or isinstance(value, str):
        return value or "unknown"
    if difference.kind == "input":
        return text.memory(value)
    if difference.kind == "throttling":
        return text.percent(value)
    return text.number(value)
