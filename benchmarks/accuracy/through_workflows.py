"""Recorded executions as steps of workflows: their objects, and their history for the metrics source."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.series.lives import ContainerLife, Grid, PodLife
from testbed.series.openmetrics import render
from testbed.series.runs import argo_pod

NAMESPACE = "recorded"
DAY = 86400.0
SERIES = "task_input_bytes"
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the recorded set: its workflow name, the executions that form its history, and those to be
    predicted."""

    name: str
    history: tuple[Row, ...]
    scored: tuple[Row, ...]

    @property
    def preset(self) -> float:
        """The request set by its authors, in bytes."""
        return float(self.history[0]["preset"])


def template(step: Step) -> dict[str, Any]:
    """The step as a WorkflowTemplate with its authors' request."""
    container = {"image": "recorded:1", "command": ["work"]}
    resources = {"requests": {"cpu": "1", "memory": str(int(step.preset))}}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": step.name, "namespace": NAMESPACE},
        "spec": {
            "entrypoint": "main",
            "templates": [
                {"name": "main", "dag": {"tasks": [{"name": "work", "template": "work"}]}},
                {"name": "work", "container": {**container, "resources": resources}},
            ],
        },
    }


def lives(found: Sequence[Step], end: float) -> Iterator[tuple[PodLife, float]]:
    """The history of every step as pods over 13 days, in original order, each with its input size."""
    chance = random.Random(1)
    for place, step in enumerate(found):
        every = 13 * DAY / len(step.history)
        for number, row in enumerate(step.history):
            run = f"{step.name}-{number:04}"
            created = float(round(end - 13.5 * DAY + number * every + 30 * place))
            started, finished = created + 3, float(round(created + 3 + row["T"]))
            life = ContainerLife(
                "main",
                image="recorded:1",
                started=started,
                finished=finished,
                cpu_seconds=0.5 * (finished - started),
                memory_peak=float(row["peak"]),
                cpu_request=1.0,
                memory_request=step.preset,
                terminated_reason="Completed",
            )
            yield argo_pod(NAMESPACE, run, "work", created, life, chance), float(row["x"])


def exposition(pods: Sequence[tuple[PodLife, float]], grid: Grid) -> Iterator[str]:
    """The history as OpenMetrics text, followed by the series of input sizes."""
    service = ContainerLife("web", started=grid.start, cpu_seconds=100.0, memory_peak=5e7)
    beside = PodLife(NAMESPACE, "web-0", "web", grid.start, [service], phase="Running")  # no real cluster is empty
    for line in render([beside, *(pod for pod, _ in pods)], grid):
        if not line.startswith("# EOF"):
            yield line
    yield f"# TYPE {SERIES} gauge\n"
    for pod, size in pods:
        for moment in (pod.created + 15, pod.finished or pod.created):
            yield f'{SERIES}{{namespace="{NAMESPACE}",run="{pod.owner_name}"}} {size:.17g} {moment:.0f}\n'
    yield "# EOF\n"
