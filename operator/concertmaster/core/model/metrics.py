"""Adding the values of user-declared metrics to run records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from concertmaster.core.known import total
from concertmaster.core.model.enums import PAID, MetricRole, Per
from concertmaster.core.model.inputs import ExtraMetric, InputSource, by_bytes_read
from concertmaster.core.model.runs import RunRecord, StepExecution

MODEL = "\x1f"
"""Between a step and the model it used, where the answer of a query tells models apart."""

ByRun = dict[str, dict[str, float]]
"""Run to step ("" for the run as a whole) to value."""


def with_metrics(run: RunRecord, values: Mapping[ExtraMetric, ByRun]) -> RunRecord:
    """``run`` with the values of each metric; per-step metrics are applied last."""
    for metric in sorted(values, key=lambda m: m.per is Per.STEP):
        run = with_values(run, metric, values[metric].get(run.run, {}))
    return run


def with_bytes_read(run: RunRecord, sources: Sequence[InputSource], metrics: Sequence[ExtraMetric]) -> RunRecord:
    """``run`` with bytes read as the input sizes of the steps for which they stand in. What a pod has read says how large
    its input was once it is over."""
    if not any(source.bytes_read for source in sources):
        return run
    proxied = {step for step in {e.step for e in run.steps} if by_bytes_read(sources, metrics, step)}
    return replace(
        run,
        steps=tuple(
            replace(e, input_size=bytes_read(e)) if e.step in proxied and e.outcome.over else e for e in run.steps
        ),
    )


def bytes_read(execution: StepExecution) -> float | None:
    """Bytes that the step's own containers read from disk and its pod received; None when unknown."""
    from_disk = (c.fs_read_bytes for c in execution.containers if not (c.init or c.sidecar))
    return total((*from_disk, execution.network_receive_bytes))


def with_values(run: RunRecord, metric: ExtraMetric, values: Mapping[str, float]) -> RunRecord:
    """``run`` with the values of one metric by step ("" for the run as a whole).

    Per-step values are also summed for the run. With the role InputSize the values are input sizes instead.
    """
    if not values:
        return run
    if metric.role is MetricRole.INPUT_SIZE:
        return _sized(run, values)
    values, models = _by_model(values)
    if "" in values:
        return replace(run, extra={**run.extra, metric.name: values[""]})
    first: set[str] = set()
    steps: list[StepExecution] = []
    for execution in run.steps:  # a value belongs to the step, not to each pod: assign it to the first execution
        if execution.step in values and execution.step not in first:
            first.add(execution.step)
            extra = {**execution.extra, metric.name: values[execution.step]}
            execution = replace(execution, extra=extra, model=models.get(execution.step, execution.model))
        steps.append(execution)
    return replace(run, steps=tuple(steps), extra={**run.extra, metric.name: sum(values.values())})


def model_label(metric: ExtraMetric) -> str | None:
    """The label that may distinguish models in the metric's series; None where models do not matter."""
    return "model" if metric.per is Per.STEP and metric.role in PAID else None


def _by_model(values: Mapping[str, float]) -> tuple[dict[str, float], dict[str, str]]:
    """Values by step, summed over models, and by step the model with the largest value, if any is named."""
    sums: dict[str, float] = {}
    most: dict[str, tuple[float, str]] = {}
    for key, value in values.items():
        step, _, model = key.partition(MODEL)
        sums[step] = sums.get(step, 0.0) + value
        if model:
            most[step] = max(most.get(step, (value, model)), (value, model))
    return sums, {step: model for step, (_, model) in most.items()}


def _sized(run: RunRecord, values: Mapping[str, float]) -> RunRecord:
    """The run's size is assigned to each of its steps. A per-step size is one number for all items: it is assigned to all
    attempts of the first item."""
    values = {step: value for step, value in values.items() if value >= 0}
    if "" in values:
        steps = tuple(replace(e, input_size=values[""]) for e in run.steps)
        return replace(run, steps=steps, input_size=values[""])
    items: dict[str, str | None] = {}
    for e in run.steps:
        items.setdefault(e.step, e.item)
    return replace(
        run,
        steps=tuple(
            replace(e, input_size=values[e.step] if e.item == items[e.step] else None) if e.step in values else e
            for e in run.steps
        ),
    )
