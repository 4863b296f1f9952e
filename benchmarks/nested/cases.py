"""Rows of the public sets by family (workflow, job, system), and simulated families."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.sizing_laws import FAMILIES, Runs, simulate
from benchmarks.nested.choose import Rows
from benchmarks.nested.cpu_laws import LAWS as CPU_LAWS
from benchmarks.nested.cpu_laws import simulated_use
from benchmarks.nested.input_laws import LAWS, wide_relations, wide_runs
from benchmarks.nested.tool_families import tool_families

Places = NDArray[np.intp]
# Share of the runs of a step that is known; the rest is predicted.
KNOWN = 0.3
FEWEST = 10
MOST_ASKED = 200
# Simulated steps per model of values by input.
OF_LAW = 5


@dataclass(frozen=True, slots=True)
class Step:
    """Executions of one step in the order they ended, in bytes, seconds and cores; ``preset``: the request set by its
    authors; ``submitted`` and ``ended``: seconds from an arbitrary origin."""

    inputs: Rows
    peaks: Rows
    seconds: Rows
    cores: Rows
    preset: float
    preset_cores: float
    submitted: Rows
    ended: Rows


def scorer(data: Path, name: str) -> ModuleType:
    """The scorer of one data set, which contains its reader."""
    if str(data) not in sys.path:
        sys.path.append(str(data))
    spec = importlib.util.spec_from_file_location(f"scorer_{name.replace('-', '_')}", data / name / "score.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"{data / name} holds no score.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pods(data: Path) -> dict[str, list[Step]]:
    """Pods of real workflow runs, by workflow."""
    module = scorer(data, "memsizing")
    found: dict[str, list[Step]] = {}
    for workflow, rows in module.load("dev").items():
        steps: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            if module.usable(row, "peak"):
                steps.setdefault(row["step"], []).append(row)
        for of_step in steps.values():
            if len(of_step) >= FEWEST:
                done = sorted(of_step, key=lambda r: (r["complete"], r["row"]))

                def column(key: str, done: list[dict[str, Any]] = done) -> Rows:
                    return np.array([r[key] for r in done], dtype=np.float64)

                step = Step(
                    column("x"),
                    column("peak"),
                    column("T"),
                    column("cpu"),
                    float(done[0]["preset"]),
                    float(done[0]["cpus"]),
                    column("submit"),
                    column("complete"),
                )
                found.setdefault(workflow, []).append(step)
    return found


def machines(data: Path) -> dict[str, list[Step]]:
    """Steps of further workflows on several machines, partial and complete samples mixed, by workflow; few runs
    each."""
    found: dict[str, list[Step]] = {}
    for path in sorted((data / "stepruntime" / "dev").glob("*.csv.gz")):
        steps: dict[tuple[str, str], list[tuple[float, ...]]] = {}
        with gzip.open(path, "rt", newline="") as lines:
            for row in csv.DictReader(lines):
                names = ("input_bytes", "peak_rss_bytes", "runtime_s", "mem_request_bytes")
                values = tuple(float(row[name] or "nan") for name in names)
                if all(v > 0.0 for v in values):
                    steps.setdefault((row["machine"], row["step"]), []).append(values)
        for rows in steps.values():
            if len(rows) >= FEWEST:
                x, peaks, seconds, requests = np.array(rows).T
                preset = max(float(requests[0]), 1.05 * float(peaks.max()))
                submitted, ended = one_after_the_other(seconds)
                cores = np.full(len(rows), np.nan)
                found.setdefault(f"{path.name.split('.')[0]} on machines", []).append(
                    Step(x, peaks, seconds, cores, preset, np.nan, submitted, ended)
                )
    return found


def simulated(steps: int = 8) -> dict[str, list[Step]]:
    """Simulated steps with models unknown to the methods, by model."""
    found: dict[str, list[Step]] = {}
    for number, family in enumerate(FAMILIES):
        for k in range(steps):
            rng = np.random.default_rng(1000 * number + k)
            runs = simulate(family, int(rng.choice([12, 30, 60, 150])), rng)
            found.setdefault(f"law {family}", []).append(_ended(runs))
    return found


def wide(steps: int = 8) -> dict[str, list[Step]]:
    """Simulated steps with wide ranges of inputs and noise that multiplies, by model."""
    found: dict[str, list[Step]] = {}
    for law in LAWS:
        found[f"wide {law}"] = [_ended(runs) for runs in wide_runs(law, steps)]
    return found


def tools() -> dict[str, list[Step]]:
    """Simulated steps by tool family, with requests as generous as authors set them."""
    return {family: [_ended(runs) for runs in of_family] for family, of_family in tool_families(8).items()}


def _ended(runs: Runs) -> Step:
    """These runs in the order they ended; nothing is known of their CPU."""
    ended = runs.submitted + runs.seconds
    done = np.argsort(ended, kind="stable")
    cores = np.full(done.size, np.nan)
    return Step(
        runs.inputs[done],
        runs.peaks[done],
        runs.seconds[done],
        cores,
        runs.preset,
        np.nan,
        runs.submitted[done],
        ended[done],
    )


def one_after_the_other(seconds: Rows) -> tuple[Rows, Rows]:
    """When runs of these durations are submitted and end if each follows the one before, in seconds."""
    ended = np.cumsum(seconds)
    return np.concatenate([[0.0], ended[:-1]]), ended


def simulated_cpu() -> dict[str, list[Step]]:
    """Simulated steps whose CPU usage follows models unknown to the methods, by model."""
    found: dict[str, list[Step]] = {}
    for law in CPU_LAWS:
        for k in range(16):
            runs, cores, request = simulated_use(law, k)
            step = replace(_ended(runs), cores=cores, preset_cores=request)
            found.setdefault(f"law {law}", []).append(step)
    return found


def split(step: Step, *, shuffled: bool) -> tuple[Places, Places]:
    """Indices of the known executions, and of those to predict."""
    n = step.peaks.size
    order = np.random.default_rng(1).permutation(n) if shuffled else np.arange(n)
    known = max(3, int(KNOWN * n))
    return order[:known], order[known:]


def relations(data: Path, target: str) -> dict[str, list[tuple[Rows, Rows, Rows, Rows]]]:
    """Known inputs and values (seconds or bytes), inputs to predict and their values; by workflow."""
    found: dict[str, list[tuple[Rows, Rows, Rows, Rows]]] = {}
    key = "runtime_s" if target == "runtime" else "peak_rss_bytes"
    for (workflow, _, _), case in scorer(data, "stepruntime").load("dev", key).items():
        found.setdefault(f"larger inputs {workflow}", []).append(case)
    found |= relations_of({**pods(data), **simulated()}, target)
    tasks: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for run in scorer(data, "wfreplay").load("dev"):
        for task in run["tasks"]:
            value = task.get("runtime_s" if target == "runtime" else "mem_bytes")
            if value and task.get("input_bytes") is not None:
                tasks.setdefault((run["family"], task["step"]), []).append((task["input_bytes"], value))
    for (family, _), pairs in tasks.items():
        found.setdefault(f"tasks {family}", []).extend(_split(*np.array(pairs, dtype=np.float64).T))
    for law in LAWS:
        found[f"wide {law}"] = list(wide_relations(law, OF_LAW, larger=False))
        found[f"wide {law}, larger inputs"] = list(wide_relations(law, OF_LAW, larger=True))
    return {family: cases for family, cases in found.items() if cases}


def relations_of(families: Mapping[str, Sequence[Step]], target: str) -> dict[str, list[tuple[Rows, Rows, Rows, Rows]]]:
    """The same of the steps of these families; those without known input sizes are left out."""
    found = {}
    for family, steps in families.items():
        of_steps = (_split(step.inputs, step.seconds if target == "runtime" else step.peaks) for step in steps)
        found[family] = [case for of_step in of_steps for case in of_step]
    return {family: cases for family, cases in found.items() if cases}


def _split(x: Rows, y: Rows) -> Iterator[tuple[Rows, Rows, Rows, Rows]]:
    good = np.flatnonzero(np.isfinite(x) & (y > 0.0))
    if good.size >= FEWEST:
        order = np.random.default_rng(3).permutation(good)
        known = min(60, max(3, int(KNOWN * order.size)))
        here, asked = order[:known], order[known : known + MOST_ASKED]
        yield x[here], y[here], x[asked], y[asked]
