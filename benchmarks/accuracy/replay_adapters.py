"""Adapters for critical path, replay and forecast: recorded runs in, results of the product's functions out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from concertmaster.core.analysis.graph import longest_path, topological_order
from concertmaster.core.analysis.replay.forecast import forecast
from concertmaster.core.analysis.replay.overhead import predict, shape
from concertmaster.core.analysis.replay.work import Work


def predict_run(run: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Makespan in seconds, critical path length and chain of ``run``, whose durations are known."""
    work = as_work(run)
    order = topological_order(work.parents).order
    place = {task: k for k, task in enumerate(order)}
    seconds = [0.0 if math.isnan(work.durations[task]) else work.durations[task] for task in order]
    path = longest_path(seconds, [[place[p] for p in work.parents[task]] for task in order])
    found = predict(shape(work), [shape(as_work(o)) for o in others])
    makespan = math.nan if found is None else found.likely
    return {
        "makespan_s": makespan,
        "critical_path_s": path.length,
        "critical_tasks": [order[k] for k in path.chain],
    }


def forecast_run(run: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Makespan in seconds of ``run``, whose durations are unknown."""
    found = forecast(as_work(run), [as_work(o) for o in others])
    return {"makespan_s": math.nan if found is None else found.likely}


def as_work(run: Mapping[str, Any]) -> Work:
    """One recorded run in the product's model."""
    tasks, machines = run["tasks"], run["machines"]
    return Work(
        workflow=run["family"],
        engine=run["engine"],
        steps=[t["step"] for t in tasks],
        parents=[t["parents"] for t in tasks],
        durations=[_number(t.get("runtime_s")) for t in tasks],
        inputs=[_number(t.get("input_bytes")) for t in tasks],
        machines=len(machines),
        slots=sum(int(m.get("cores") or 1) for m in machines),
        makespan=_number(run.get("makespan_s")),
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
