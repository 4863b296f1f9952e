"""``cache-step`` on a real API server and Prometheus: inputs come from live runs, times from the metrics source."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from concertmaster.engines.common.names import argo_pod_name_of
from testbed.series.openmetrics import ContainerLife, PodLife
from testbed.services.cluster import Cluster
from testbed.services.controlplane import ControlPlane
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.live_cluster import ARGO, PLACE, install_argo, own_cluster
from tests.support.cluster.operator_bed import (
    apply,
    history,
    operator,
    policy,
    profile,
    settings,
    wait_for,
    with_series,
)
from tests.support.engines.argo_oracle import stamp


@pytest.fixture
def cluster(make_control_plane: Callable[..., ControlPlane]) -> Cluster:
    """A cluster of the test's own."""
    return own_cluster(make_control_plane)


pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

RUNS = 12
FETCH, REPORT = 120.0, 30.0
TOKENS = {
    "name": "tokens",
    "role": "Tokens",
    "per": "Step",
    "query": "sum by (run, step) (last_over_time(call_tokens[$window]))",
}
SPEC: dict[str, Any] = {
    "entrypoint": "main",
    "templates": [
        {
            "name": "main",
            "dag": {
                "tasks": [
                    {"name": "fetch", "template": "get"},
                    {"name": "report", "template": "sum", "depends": "fetch"},
                ]
            },
        },
        {
            "name": "get",
            "inputs": {"parameters": [{"name": "url", "value": "a"}]},
            "outputs": {"parameters": [{"name": "path", "valueFrom": {"path": "/out"}}]},
            "container": {"image": "example/get:1", "command": ["get"]},
        },
        {
            "name": "sum",
            "inputs": {"parameters": [{"name": "day", "value": "1"}]},
            "container": {"image": "example/sum:1", "command": ["sum"]},
        },
    ],
}


def pods(run: str, begun: float) -> Iterator[PodLife]:
    """What kube-state-metrics and cAdvisor reported of a run's two pods."""
    for task, template, start, seconds in (("fetch", "get", 0.0, FETCH), ("report", "sum", FETCH + 5.0, REPORT)):
        at = begun + start
        life = ContainerLife(
            "main", image=f"example/{template}:1", started=at + 3, finished=at + 3 + seconds, cpu_seconds=seconds / 2,
            memory_peak=2e8, cpu_request=1.0, memory_request=2.2e8,
        )  # fmt: skip
        name = argo_pod_name_of(run, f"{run}.{task}", template)
        yield PodLife(
            PLACE, name, f"uid-{name}", at, [life], node="node-1", owner_kind="Workflow", owner_name=run,
            scheduled=at + 1, started=at + 1, finished=at + 3 + seconds, phase="Succeeded", deleted=at + 900,
        )  # fmt: skip


def workflow(run: str, number: int, begun: float) -> dict[str, Any]:
    """The finished Workflow: three addresses take turns, every day comes once."""
    done = {"type": "Pod", "phase": "Succeeded", "templateScope": "namespaced/etl", "boundaryID": run}
    report = begun + FETCH + 5.0

    def node(task: str, template: str, start: float, seconds: float, name: str, value: str) -> dict[str, Any]:
        ident = f"{run}-{task}"
        times = {"startedAt": stamp(start), "finishedAt": stamp(start + 3 + seconds)}
        inputs = {"parameters": [{"name": name, "value": value}]}
        named = {"id": ident, "name": f"{run}.{task}", "displayName": task, "templateName": template}
        return {**done, **named, **times, "inputs": inputs}

    fetch = node("fetch", "get", begun, FETCH, "url", f"https://example/{number % 3}")
    last = node("report", "sum", report, REPORT, "day", str(number))
    fetch["children"] = [last["id"]]
    root = {
        "id": run, "name": run, "displayName": run, "type": "DAG", "phase": "Succeeded", "templateName": "main",
        "startedAt": stamp(begun), "finishedAt": last["finishedAt"], "children": [fetch["id"]],
    }  # fmt: skip
    return {
        "apiVersion": ARGO,
        "kind": "Workflow",
        "metadata": {"name": run, "namespace": PLACE, "labels": {"workflows.argoproj.io/completed": "true"}},
        "spec": {"workflowTemplateRef": {"name": "etl"}},
        "status": {
            "phase": "Succeeded",
            "startedAt": stamp(begun),
            "finishedAt": last["finishedAt"],
            "nodes": {n["id"]: n for n in (root, fetch, last)},
        },
    }


def test_repeated_inputs_are_found_and_new_ones_are_not(
    cluster: Cluster,
    make_prometheus: Callable[..., PrometheusServer],
    tmp_path: Path,
) -> None:
    end = float(int(time.time() - 60.0))
    begun = {f"etl-{i:05d}": end - (RUNS - i) * 3600.0 for i in range(RUNS)}
    series = history([p for run, at in begun.items() for p in pods(run, at)], [], end, days=0.6)
    for run, at in begun.items():  # a fetch spends 1,000 tokens; what it costs beside that is a thousandth of it
        series = with_series(
            series, "call_tokens", {"namespace": PLACE, "run": run, "step": "fetch"}, at, at + 300, 1000.0
        )
    prometheus = make_prometheus(history=series)
    install_argo(cluster)
    apply(
        cluster,
        {"apiVersion": ARGO, "kind": "WorkflowTemplate", "metadata": {"name": "etl", "namespace": PLACE}, "spec": SPEC},
        policy(PLACE, pricing={"units": [{"metric": "tokens", "price": "0.001"}]}, extraMetrics=[TOKENS]),
        profile(PLACE, "etl", workflowRef={"apiVersion": ARGO, "kind": "WorkflowTemplate", "name": "etl"}),
        *(workflow(run, i, at) for i, (run, at) in enumerate(begun.items())),
    )
    with operator(cluster, tmp_path, settings(tmp_path, {"default": prometheus.url})):

        def with_recommendations() -> list[dict[str, Any]]:
            status = cluster.get("wfp", "etl", "-n", PLACE).get("status") or {}
            given = [*status.get("recommendations", ()), *status.get("remaining", ())]
            return [r for r in given if r["id"].startswith("cache-step.")]

        (item,) = wait_for("the rule", with_recommendations)
    assert item["id"] == "cache-step.fetch"
    # Three addresses, each asked for four times: nine of twelve are repeats. The last comes nine hours after the first,
    # and an entry is not renewed by a hit.
    assert item["action"] == "Cache the results of fetch for 12h"
    assert item["because"].startswith("9 of its 12 executions with known inputs repeat those of an earlier one")
    assert "75%" in item["because"]
    # 720 runs a month and three quarters of their tokens.
    money = re.search(r"([\d,.]+) USD less a month", item["expected"])
    assert money is not None and 530 < float(money[1].replace(",", "")) < 600, item
    assert (
        '1/memoize","value":{"key":"get-{{=sprig.sha256sum(sprig.toJson(inputs.parameters))}}","maxAge":"12h"'
        in item["how"]
    )
