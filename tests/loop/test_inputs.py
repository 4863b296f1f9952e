"""Input sizes under the real Argo controller and the operator: read from the runs, kept, and acted on.

A workflow's memory and run time follow the parameter ``size`` of its runs, by a law the operator does not know. Small inputs
come first and large ones later, which looks like a step that got slower and hungrier.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import pytest

from benchmarks.changes.loop_bed import Bed, bed
from benchmarks.changes.loop_track import Pace
from concertmaster.core.model import RunRecord
from concertmaster.core.times import parse_time
from concertmaster.engines.define import define
from concertmaster.history import Store
from testbed.process import TestbedError
from testbed.pytest_plugin import require_binaries
from testbed.services.controlplane import argo_version
from testbed.services.engine_parts import require_namespace
from tests.support.cluster.operator_bed import wait_for_like_days

NAME = "sized"
SMALL, LARGE = 20, 20  # runs
BESIDE = 8
SECONDS = 600.0  # at most
GB = 10**9
HUGE = 100 * GB  # input of a run that is still going on at the end
SETTLE = 40.0  # seconds for the metrics of the last runs to be read and analysed; four times as many on a busy machine
_RUNS = f"/apis/argoproj.io/v1alpha1/namespaces/{NAME}/workflows"
_BINARIES = (
    *("etcd", "kube-apiserver", "kubectl", "kube-controller-manager", "kube-scheduler", "kwok"),
    *("kube-state-metrics", argo_version(), "prometheus", "promtool"),
)

TEMPLATE: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "WorkflowTemplate",
    "metadata": {"name": NAME, "namespace": NAME},
    "spec": {
        "entrypoint": "main",
        "arguments": {"parameters": [{"name": n} for n in ("size", "seconds", "peak")]},
        "templates": [
            {"name": "main", "dag": {"tasks": [{"name": "work", "template": "work"}]}},
            {
                "name": "work",
                "metadata": {
                    "annotations": {
                        "sim/duration": "{{workflow.parameters.seconds}}",
                        "sim/memory-peak": "{{workflow.parameters.peak}}",
                        "sim/cpu": "100m",
                    }
                },
                "container": {
                    "image": "sim/work:1",
                    "command": ["work"],
                    "resources": {"requests": {"cpu": "110m", "memory": "4Gi"}},
                },
            },
        ],
    },
}
POLICY: dict[str, Any] = {
    "apiVersion": "concertmaster.dev/v1alpha1",
    "kind": "OptimizationPolicy",
    "metadata": {"name": "team", "namespace": NAME},
    "spec": {
        "discover": [{"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate"}],
        "inputs": [{"parameter": "size"}],
        "analysis": {"window": "3h", "minRuns": 10},
    },
}


@dataclass(frozen=True)
class Played:
    """The input of each run as it was submitted, the runs of the history, the status of the profile, and what it says of a
    run in progress."""

    submitted: Mapping[str, float]
    runs: tuple[RunRecord, ...]
    status: Mapping[str, Any]
    running: Mapping[str, Any]


def seconds_of(size: float) -> float:
    """How long a run with that input works."""
    return 2 + 3 * size / GB


def workflow(number: int, size: float) -> dict[str, Any]:
    """A run: 200 MiB and a fifth of the input in memory, 2 s and 3 s for each GB."""
    values = {
        "size": f"{size / GB:.3f}G",
        "seconds": f"{seconds_of(size):.2f}",
        "peak": f"{200 + size / GB * 190:.0f}Mi",
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": f"{NAME}-{number:03}", "namespace": NAME},
        "spec": {
            "workflowTemplateRef": {"name": NAME},
            "arguments": {"parameters": [{"name": n, "value": v} for n, v in values.items()]},
        },
    }


def going(loop: Bed) -> int:
    """Runs that are not over."""
    return sum(
        (run.get("status") or {}).get("phase") not in ("Succeeded", "Failed", "Error")
        for run in loop.client.items(_RUNS)
    )


def analysed(status: Mapping[str, Any]) -> bool:
    """Whether there is an analysis of the metrics of the runs."""
    return any("follows its input" in line for line in status.get("insights") or ())


def play(loop: Bed) -> Played:
    chance = random.Random(5)
    # Some inputs of both halves are alike: without them nobody could tell larger inputs from a slower step.
    sizes = [GB * (chance.uniform(0.5, 4.0) if n < SMALL else chance.uniform(3.0, 8.0)) for n in range(SMALL + LARGE)]
    loop.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}}, validate=False)
    loop.client.create(f"/apis/argoproj.io/v1alpha1/namespaces/{NAME}/workflowtemplates", TEMPLATE)
    loop.cluster.apply(POLICY, validate=False)
    end, waiting, submitted = time.monotonic() + SECONDS, list(enumerate(sizes)), {}
    profile: dict[str, Any] = {}

    def latest() -> dict[str, Any]:
        """The profile as it is now."""
        found = loop.client.items(f"/apis/concertmaster.dev/v1alpha1/namespaces/{NAME}/workflowprofiles")
        return next(iter(found), {})

    over = time.time()  # the last moment at which a run was still missing
    while time.monotonic() < end:
        for number, size in waiting[: max(0, BESIDE - going(loop))]:
            run = workflow(number, size)
            loop.client.create(_RUNS, run)
            submitted[run["metadata"]["name"]] = float(run["spec"]["arguments"]["parameters"][0]["value"][:-1]) * GB
            waiting.pop(0)
        profile = latest()
        status = profile.get("status") or {}
        if waiting or int((status.get("runs") or {}).get("succeeded") or 0) < len(sizes):
            over = time.time()
        elif time.time() > over + (SETTLE if analysed(status) else 4 * SETTLE):
            break
        time.sleep(1.0)
    else:
        raise TestbedError(f"not over after {SECONDS:.0f} s: {profile.get('status')}\n{loop.operator.tail(30)}")
    loop.client.create(_RUNS, workflow(len(sizes), HUGE))
    running: list[dict[str, Any]] = []
    while not running and time.monotonic() < end + 240.0:
        time.sleep(1.0)
        running = list((latest().get("status") or {}).get("running") or ())
    loop.operator.stop()
    definition = define(TEMPLATE)
    assert definition is not None
    with Store(str(loop.history)) as store:
        runs = store.runs(definition.key, definition=definition, as_of=time.time())
    done = tuple(run for run in runs if run.run in submitted)
    return Played(submitted, done, profile["status"], running[0] if running else {})


@pytest.fixture(scope="module")
def played() -> Played:
    require_namespace()
    require_binaries([*_BINARIES])
    wait_for_like_days(SECONDS)
    with bed(Pace()) as loop:
        return play(loop)


def test_the_input_of_every_run_is_in_the_history(played: Played) -> None:
    assert {run.run: run.input_size for run in played.runs} == pytest.approx(played.submitted)
    assert all(e.input_size == run.input_size for run in played.runs for e in run.steps)


def test_memory_is_sized_by_input(played: Played) -> None:
    """Less for what comes first than for the larger inputs."""
    (line,) = [line for line in played.status["insights"] if "follows its input" in line]
    requests = [int(m) for m in re.findall(r"(\d+)Mi up to", line.partition("(request ")[2])]
    assert len(requests) >= 2 and requests == sorted(requests) and requests[-1] >= 2 * requests[0], line
    assert "peak memory" in line and "run time" in line, line


def test_the_end_of_a_run_in_progress_is_forecast_by_its_input(played: Played) -> None:
    """The largest input before took half a minute; this run takes five."""
    start, expected = (parse_time(played.running[name]) for name in ("startTime", "expectedEnd"))
    assert expected - start > 4 * seconds_of(8 * GB), played.running


def machine_slowed(played: Played) -> bool:
    """Whether the controllers took so much longer with the large inputs that runs were slower at equal input."""
    beside = [(int(r.run[-3:]), (r.makespan or 0.0) - seconds_of(r.input_size or 0.0)) for r in played.runs]
    before, after = (median(s for number, s in beside if (number >= SMALL) is large) for large in (False, True))
    return after - before > 0.05 * median(run.makespan or 0.0 for run in played.runs)


def test_larger_inputs_are_no_degradation(played: Played) -> None:
    """The second line is only there where run times rose as they do for a regression, and must not be there on a machine
    that got slower meanwhile."""
    active = [r["id"] for r in played.status["recommendations"] if r["state"] == "Active"]
    assert not [name for name in active if name.startswith("degradation")]
    grew = [line for line in played.status["insights"] if line.startswith("Runs take") and "their input grew" in line]
    assert grew or machine_slowed(played), played.status["insights"]
