"""Simulation model of the campaigns: one workflow of three steps, whose behaviour is unknown to the operator.

The model deliberately differs from the replay: a slow controller creates pods in sequence (a hidden serial part), a
share of each step does not benefit from CPU, inputs drift, every run has its own noise, and nodes are so full that
steps get no more CPU than they request.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np

from concertmaster.core.model import ContainerFact, Outcome, RunRecord, Source, StepExecution
from concertmaster.core.model.amounts import quantity
from concertmaster.engines.define import define

HOUR = 3600.0
BEGIN = 1_759_740_800.0  # Monday, 2025-10-06 08:53 UTC: no weekend until all is verified
GI = 1024.0**3
MI = 1024.0**2
BASELINE = 30
APPLIED = BEGIN + BASELINE * HOUR - 1.0


@dataclass(frozen=True, slots=True)
class Simulation:
    """Hidden parameters of one workflow, in seconds, cores and bytes; ``harm`` multiplies run times while ``harmed`` is
    True."""

    items: int
    work: float
    serial: float  # share of the work that more CPU does not shorten
    cores: float  # cores that the work can use
    creation: float  # seconds the controller takes per pod, in sequence
    noise: float
    drift: float  # growth of the input per run
    peak: float
    harm: float = 1.0
    kills: bool = False


def manifest(parallelism: int, cpu: str, memory: str, items: int) -> dict[str, Any]:
    """A workflow with the steps prepare, a fan-out of ``items``, and collect."""

    def body(name: str) -> dict[str, Any]:
        requests = {"cpu": cpu, "memory": memory} if name == "work" else {"cpu": "500m", "memory": "256Mi"}
        return {"name": name, "container": {"image": "etl:1", "command": ["x"], "resources": {"requests": requests}}}

    tasks = [
        {"name": "prepare", "template": "prepare"},
        {"name": "work", "template": "work", "dependencies": ["prepare"], "withItems": [str(i) for i in range(items)]},
        {"name": "collect", "template": "collect", "dependencies": ["work"]},
    ]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "etl", "namespace": "demo", "uid": "u", "resourceVersion": "1"},
        "spec": {
            "entrypoint": "main",
            "parallelism": parallelism,
            "templates": [{"name": "main", "dag": {"tasks": tasks}}, body("prepare"), body("work"), body("collect")],
        },
    }


def _amounts(requests: dict[str, str]) -> tuple[float, float]:
    """Cores and bytes."""
    return quantity(requests["cpu"]) or 1.0, quantity(requests["memory"]) or GI


def play(
    simulation: Simulation, raw: dict[str, Any], number: int, rng: np.random.Generator, *, harmed: bool
) -> RunRecord:
    """Simulate one run of the workflow with its current manifest."""
    definition = define(raw)
    assert definition is not None
    start = BEGIN + number * HOUR
    size = float((1.0 + simulation.drift) ** number * np.exp(0.1 * rng.standard_normal()))
    whole = float(np.exp(simulation.noise * rng.standard_normal()))  # common to all steps of a run: the node, the day
    requested = {t["name"]: t["container"]["resources"]["requests"] for t in raw["spec"]["templates"][1:]}
    cpu, memory = _amounts(requested["work"])
    kills = harmed and simulation.kills and rng.random() < 0.5
    rows: list[StepExecution] = []

    def one(step: str, item: str | None, ready: float, begun: float, seconds: float, **fact: Any) -> float:
        scheduled, started = begun + 0.4, begun + 0.4 + float(rng.uniform(1.5, 3.0))
        finished = started + seconds
        outcome = Outcome.FAILED if fact.get("reason") else Outcome.SUCCEEDED
        used = fact.pop("used", 0.3)
        container = ContainerFact(
            "main", "etl:1", started=started, finished=finished, samples=10, expected_samples=10,
            cpu_seconds=used * seconds, cpu_sampled_seconds=seconds, cpu_peak_cores=1.1 * used, **fact,
        )  # fmt: skip
        uid = f"{number}-{step}-{item}"
        rows.append(
            StepExecution(
                step, item, pod=uid, uid=uid, node="n", ready=ready, created=begun, scheduled=scheduled,
                started=started, finished=finished, outcome=outcome, reason=fact.get("reason"),
                containers=(container,), input_size=size if step == "work" else None,
            )
        )  # fmt: skip
        return finished

    def small(step: str, ready: float, seconds: float) -> float:
        own, most = _amounts(requested[step])
        seconds *= float(np.exp(0.05 * rng.standard_normal()))
        return one(
            step, None, ready, ready, seconds, cpu_request=own, memory_request=most, memory_sampled_peak=90 * MI
        )  # fmt: skip

    ready = small("prepare", start, 20.0)
    limit = int(raw["spec"]["parallelism"])
    free = [ready] * limit
    controller, last = ready, ready
    for item in range(simulation.items):
        begun = max(heapq.heappop(free), controller)
        controller = begun + simulation.creation
        got = min(cpu, simulation.cores)
        seconds = (
            simulation.work * size * whole * (simulation.serial + (1.0 - simulation.serial) * simulation.cores / got)
        )
        seconds *= float(np.exp(simulation.noise * rng.standard_normal())) * (simulation.harm if harmed else 1.0)
        peak = simulation.peak * float(np.exp(0.05 * rng.standard_normal()))
        reason = "OOMKilled" if kills and item == 0 else None
        ended = one(
            "work", str(item), ready, begun, seconds, used=got * 0.95, reason=reason,
            cpu_request=cpu, memory_request=memory, memory_sampled_peak=min(peak, memory) if reason else peak,
        )  # fmt: skip
        heapq.heappush(free, ended)
        last = max(last, ended)
    end = small("collect", last, 15.0)
    outcome = Outcome.FAILED if kills else Outcome.SUCCEEDED
    return RunRecord(definition.key, f"run-{number}", start, end, outcome, Source.HISTORY, tuple(rows))


def new_simulation(rng: np.random.Generator, kind: str) -> tuple[Simulation, dict[str, Any]]:
    items = int(rng.integers(6, 16))
    cores = float(rng.choice([0.3, 0.4, 0.5, 0.8]))
    simulation = Simulation(
        items=items,
        work=float(rng.uniform(40, 160)),
        serial=float(rng.uniform(0.1, 0.5)),
        cores=cores,
        creation=float(rng.uniform(0.3, 2.0)),
        noise=float(rng.uniform(0.03, 0.12)),
        drift=float(rng.uniform(0.0, 0.003)),
        peak=float(rng.uniform(200, 600)) * MI,
    )
    if kind == "faster":
        return simulation, manifest(
            2, f"{round(1000 * cores * 1.3)}m", f"{round(simulation.peak / MI * 1.25)}Mi", items
        )
    return simulation, manifest(items, f"{round(1000 * cores * 3)}m", f"{round(simulation.peak / MI * 3)}Mi", items)
