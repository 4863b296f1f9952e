"""A workflow with known steps and runs, analysed: its profile and its analysis document."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from concertmaster.core.model import StepExecution
from concertmaster.core.model.policy import AnalysisSettings, Policy
from concertmaster.core.pipeline import analyze_workflow
from concertmaster.report import detail
from concertmaster.report import result as results
from concertmaster.report.runs.served import recent_runs
from concertmaster.report.runs.views import RunHistory, kept_runs
from tests.support.builders import DAY, NOW, container, daily, definition, step

STEPS = (
    step("extract"),
    step("train", ["extract"], 1),
    step("check", ["extract"], 2),
    step("publish", ["train", "check"], 3),
)


def seconds(i: int) -> dict[str, float]:
    """Durations by step in seconds; from run 15 on ``train`` takes 1.5 times as long."""
    return {"extract": 60.0 + i % 3, "train": (600.0 if i < 15 else 900.0) + i % 5, "check": 100.0, "publish": 30.0}


def _rebuilt(execution: StepExecution) -> StepExecution:
    """The same execution with another image where it is one of ``train``."""
    images = [replace(c, image="registry.example/etl:2") for c in execution.containers]
    return replace(execution, containers=tuple(images)) if execution.step == "train" else execution


def analysed(
    name: str = "nightly", step_name: str | None = None, changed_at: int | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The profile and the document. ``step_name`` replaces ``check``; from run ``changed_at`` on ``train`` has another
    image."""
    steps = [s if s.name != "check" or step_name is None else step(step_name, ["extract"], 2) for s in STEPS]
    steps = [s if s.name != "publish" or step_name is None else step("publish", ["train", step_name], 3) for s in steps]
    flow = definition(*steps)

    def durations(i: int) -> dict[str, float]:
        return {step_name if k == "check" and step_name is not None else k: v for k, v in seconds(i).items()}

    runs = daily(flow.graph, 30, durations, containers=lambda _: (container(cpu_sampled_seconds=None),))
    if changed_at is not None:
        runs[changed_at:] = [replace(r, steps=tuple(map(_rebuilt, r.steps))) for r in runs[changed_at:]]
    policy = Policy(analysis=AnalysisSettings(window_seconds=40 * DAY))
    result = analyze_workflow(flow, runs, policy, profile=name, now=NOW)
    profile = {
        "metadata": {"name": name, "namespace": "demo", "uid": f"uid-{name}", "labels": {"team": "data"}},
        "spec": {},
        "status": results.first_status(result),
    }
    return profile, detail.document(results.view(result), name, None, recent_runs(result.analysis))


def past(run: str = "") -> dict[str, Any]:
    """All runs of the same workflow, or one of them in full, as the operator's history has them."""
    flow = definition(*STEPS)
    runs = daily(flow.graph, 30, seconds, containers=lambda _: (container(cpu_sampled_seconds=None),))
    found = kept_runs(RunHistory.of(flow, runs, Policy().pricing), run)
    return found.model_dump(mode="json", by_alias=True) if found is not None else {}
