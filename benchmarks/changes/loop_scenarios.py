"""Workflows whose pods follow a model unknown to the operator, for the loop with real components.

stages.yaml and simulation.py in testbed/pods implement the model; this module has its parameters. A scenario is one
WorkflowTemplate with annotations that contain the hidden parameters, and the arguments of each run: the processing time
of its input (drift and noise of the run) and its memory. The operator only sees the resulting pods.

Kinds, by effect of the change:

- ``faster``: a fan-out with a parallelism of 2;
- ``starved``: a step on the critical path that needs more CPU than its request and the node provide;
- ``cheaper``: a step that requests three times its usage;
- ``slower``: the same, but lowering its CPU request prolongs the run by 20%, through bursts that no sample shows;
- ``kills``: the same with memory, on a node short of it; from the second run after the change on, the peak exceeds all
  earlier ones.
- ``outgrown`` (in the test tier only): the same on nodes with room for it, so that nothing is killed, and in the second of
  two steps of one template;
- ``unchanged``: one of the many that nobody changes meanwhile. Where the machine gets busier they get slower as well, which
  tells the operator, and the benchmark, what is not an effect of a change.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

# Later peaks of ``kills`` relative to earlier ones: below the initial request, but above any size that a change sets
# (with few runs it stays close to the initial request).
LATER = 2.6
# The same of ``outgrown``, which needs more: by at least ``minChangePercent`` above any size, and not so near to the initial
# request that this would have to be raised.
FAR_LATER, AMPLE = 2.9, 3.4
KINDS = ("faster", "starved", "cheaper", "slower", "kills")
OUTGROWN = "outgrown"
UNCHANGED = "unchanged"
MI = 2**20
WORK, SECOND = "work", "second"
HARM = 1.2  # multiplies the run time
_CLEAN_UP = 25  # seconds for which finished runs are kept; their pods cost every component of the bed


@dataclass(frozen=True, slots=True)
class Figures:
    """The hidden parameters of one workflow, in seconds, cores and MiB; ``noise`` is the spread of a run on the log
    scale, ``drift`` its growth per run."""

    seconds: float
    first: float
    items: int
    cores: float
    peak: float
    serial: float
    spare: float
    jitter: float
    noise: float
    drift: float
    pressure: float


class Scenario:
    """One workflow: its objects, and the arguments of its next run. ``harm``: factor on the run time after a change of
    kind ``slower``."""

    def __init__(self, kind: str, number: int, seed: int, seconds: float, harm: float = HARM) -> None:
        self.kind = kind
        self.harm = harm
        self.name = f"{kind}-{number}"
        self._random = chance = random.Random(f"{seed} {kind} {number}")
        self._runs = 0
        self.figures = Figures(
            seconds=seconds * chance.uniform(0.8, 1.2) * (0.5 if kind == "faster" else 1.0),
            first=max(2.0, 0.15 * seconds),
            items=chance.randint(4, 6),
            cores=chance.uniform(0.3, 0.9),
            # So much memory that lowering its request is worth a recommendation: beside CPU it costs little.
            peak=chance.uniform(150, 500) * (18.0 if kind in ("kills", OUTGROWN) else 1.0),
            serial=chance.uniform(0.05, 0.35),
            spare=chance.uniform(0.1, 0.4),
            jitter=chance.uniform(2, 10),
            noise=chance.uniform(0.02, 0.07),
            drift=chance.uniform(0.0, 0.003),
            pressure=chance.uniform(0.95, 1.25),
        )

    # --- objects

    def requests(self) -> dict[str, str]:
        """Initial requests of the main step."""
        f = self.figures
        cpu = {"starved": 0.35, "cheaper": 3.0, "slower": 3.0}.get(self.kind, 1.15)
        memory = {"cheaper": 3.0, "kills": 3.0, OUTGROWN: AMPLE}.get(self.kind, 1.2)
        return {"cpu": f"{round(1000 * f.cores * cpu)}m", "memory": f"{round(f.peak * memory)}Mi"}

    def notes(self) -> dict[str, str]:
        """Annotations of the main step's pods: the model with this workflow's parameters."""
        f = self.figures
        found = {
            "duration": "{{workflow.parameters.seconds}}",
            "memory-peak": "{{workflow.parameters.peak}}",
            "jitter-percent": f"{f.jitter:.1f}",
            "memory-jitter-percent": "4",
            "cpu": f"{round(1000 * f.cores)}m",
        }
        if self.kind == "starved":
            found |= {"contended": "true", "spare-percent": f"{100 * f.spare:.0f}"}
            found |= {"serial-percent": f"{100 * f.serial:.0f}", "pressure-percent": f"{100 * f.pressure:.0f}"}
        elif self.kind == "slower":
            whole = f.first + f.seconds
            found |= {"burst-cpu": f"{round(2900 * f.cores)}m"}
            found |= {"burst-percent": f"{100 * (self.harm - 1) * whole / f.seconds:.0f}"}
        elif self.kind == OUTGROWN:
            found |= {"memory-peak": "{{inputs.parameters.peak}}"}
        elif self.kind == "kills":
            found |= {"crowded": "true"}
        return {f"sim/{key}": value for key, value in found.items()}

    def template(self) -> dict[str, Any]:
        """The WorkflowTemplate."""
        f = self.figures
        first = {"sim/duration": f"{f.first:.1f}", "sim/cpu": "100m", "sim/memory-peak": "60Mi"}
        fan_out = {"withItems": [str(n) for n in range(f.items)]} if self.kind == "faster" else {}
        tasks: list[dict[str, Any]] = [
            {"name": "prepare", "template": "prepare"},
            {"name": WORK, "template": WORK, "dependencies": ["prepare"], **fan_out},
        ]
        work = _step(WORK, self.requests(), self.notes())
        if self.kind == OUTGROWN:
            second = {"name": SECOND, "template": WORK, "dependencies": [WORK]}
            tasks = [tasks[0], _given(tasks[1], f"{f.peak:.0f}Mi"), _given(second, "{{workflow.parameters.peak}}")]
            work |= {"inputs": {"parameters": [{"name": "peak"}]}}
        spec: dict[str, Any] = {
            "entrypoint": "main",
            "ttlStrategy": {"secondsAfterCompletion": _CLEAN_UP},
            "arguments": {"parameters": [{"name": "seconds", "value": "5"}, {"name": "peak", "value": "64Mi"}]},
            "templates": [
                {"name": "main", "dag": {"tasks": tasks}},
                _step("prepare", {"cpu": "115m", "memory": "66Mi"}, first),
                work,
            ],
        }
        if self.kind == "faster":
            spec["parallelism"] = 2
        return {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "WorkflowTemplate",
            "metadata": {"name": self.name, "namespace": self.name},
            "spec": spec,
        }

    def policy(self, *, least: int, most: int) -> dict[str, Any]:
        """The OptimizationPolicy of its namespace: recommendations require ``least`` runs, verifications end after
        ``most``."""
        kind = "Parallelism" if self.kind == "faster" else "Resources"
        spec = {
            "discover": [{"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate"}],
            "analysis": {"window": "3h", "minRuns": least},
            "apply": {
                "mode": "Recommend" if self.kind == UNCHANGED else "Auto",
                "allow": [kind],
                "maxRisk": "Medium",
                "cooldown": "24h",
                "bounds": {"maxStepPercent": 1000},
                "verify": {"minRuns": 5, "maxRuns": most},
            },
        }
        return {
            "apiVersion": "concertmaster.dev/v1alpha1",
            "kind": "OptimizationPolicy",
            "metadata": {"name": "team", "namespace": self.name},
            "spec": spec,
        }

    def run(self, after: int) -> dict[str, Any]:
        """The next run; ``after`` is its number among the runs since the change, 0 before the change."""
        f, chance = self.figures, self._random
        self._runs += 1
        seconds = f.seconds * (1.0 + f.drift) ** self._runs * math.exp(f.noise * chance.gauss(0.0, 1.0))
        later = {"kills": LATER, OUTGROWN: FAR_LATER}.get(self.kind, 1.0)
        peak = f.peak * (later if after >= 2 else 1.0)
        arguments = [{"name": "seconds", "value": f"{seconds:.2f}"}, {"name": "peak", "value": f"{peak:.0f}Mi"}]
        return {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"name": f"{self.name}-{self._runs:03}", "namespace": self.name},
            "spec": {"workflowTemplateRef": {"name": self.name}, "arguments": {"parameters": arguments}},
        }


def _given(task: dict[str, Any], peak: str) -> dict[str, Any]:
    """A task whose pod uses that much memory."""
    return {**task, "arguments": {"parameters": [{"name": "peak", "value": peak}]}}


def _step(name: str, requests: dict[str, str], notes: dict[str, str]) -> dict[str, Any]:
    container = {"image": f"sim/{name}:1", "command": [name], "resources": {"requests": requests}}
    return {"name": name, "metadata": {"annotations": notes}, "container": container}
