"""ResourceQuotas and LimitRanges of a real API server bind what the running operator recommends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from concertmaster.core.model.amounts import quantity
from testbed.services.cluster import Cluster
from testbed.services.prometheus import PrometheusServer
from tests.support.builders import MI
from tests.support.cluster.scenario_bed import analysed, place_of
from tests.support.cluster.shell import environment, run
from tests.support.core.scenario_builder import Pod, Scenario, argo, noise, scenario, task
from tests.support.core.scenarios import STEPS, etl, measured, resources

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

ITEMS, AT_A_TIME, FIT = 24, 3, 12


def searching() -> Scenario:
    """Twenty-four searches of 100 s and one core each, three at a time."""
    search = task("search", "split", withItems=[f"part-{n:02}" for n in range(ITEMS)])
    of = argo(task("split"), search, task("join", "search"), templates={"main": {"parallelism": AT_A_TIME}})
    value, full = noise(), measured(memory_sampled_peak=960 * MI)

    def work(_: int) -> dict[str, Any]:
        searches = [Pod(value(100), containers=full) for _ in range(ITEMS)]
        return {"split": Pod(value(40), containers=full), "search": searches, "join": Pod(value(40), containers=full)}

    return scenario(of, 21, work, every=8 * 3600.0)


def idling() -> Scenario:
    """A step with a limit of eight cores that requests four and uses a third of one."""
    sizes = resources(requests={"cpu": "4", "memory": "1Gi"}, limits={"cpu": "8"})
    idle = {"cpu_request": 4.0, "cpu_limit": 8.0, "memory_sampled_peak": 960 * MI}
    value, full = noise(), measured(memory_sampled_peak=960 * MI)

    def work(_: int) -> dict[str, Any]:
        seconds = value(STEPS["transform"])
        used = measured(**idle, cpu_seconds=0.33 * seconds, cpu_sampled_seconds=seconds)
        return {"extract": Pod(value(60), containers=full), "transform": Pod(seconds, containers=used),
                "load": Pod(value(60), containers=full)}  # fmt: skip

    return scenario(etl(transform=sizes), 42, work)


QUOTA = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "compute"},
         "spec": {"hard": {"requests.cpu": str(FIT)}}}  # fmt: skip
RANGE = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "burst"},
         "spec": {"limits": [{"type": "Container", "maxLimitRequestRatio": {"cpu": "4"}}]}}  # fmt: skip


def pod(request: str, limit: str) -> str:
    """A pod of the step with that CPU request and limit, as JSON."""
    sizes = {"requests": {"cpu": request, "memory": "1Gi"}, "limits": {"cpu": limit, "memory": "1Gi"}}
    container = {"name": "main", "image": "registry.example/etl:1", "resources": sizes}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "transform"},
                       "spec": {"containers": [container]}})  # fmt: skip


def proposed(profile: dict[str, Any], rule: str) -> dict[str, Any]:
    """The recommendation of a rule in the status of a profile."""
    (item,) = [r for r in profile["status"]["recommendations"] if r["id"].partition(".")[0] == rule]
    return dict(item)


def cpu_of(item: dict[str, Any]) -> dict[str, str]:
    """The proposed CPU of the transform, by section of its resources."""
    rows = [str(line).partition(".cpu: ") for line in item["items"] if str(line).startswith("transform/main ")]
    return {where.partition(" ")[2]: row.partition(" -> ")[2].partition(" (")[0] for where, known, row in rows if known}


def test_quotas_and_limit_ranges_bind_in_the_running_operator(
    cluster: Cluster, namespace: str, make_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    scenarios = {"tight": searching(), "roomy": searching(), "ratio": idling(), "free": idling()}
    shell = environment(cluster, tmp_path, CONCERTMASTER_OPERATOR=f"{namespace}/concertmaster")
    held = {"tight": [QUOTA], "ratio": [RANGE]}
    with analysed(cluster, namespace, scenarios, make_prometheus, tmp_path, objects=held) as profiles:
        why = {name: run(f"kubectl concertmaster explain {name} right-size -n {place_of(namespace, name)}", shell)
               for name in ("ratio", "free")}  # fmt: skip
        sizes = {name: cpu_of(proposed(profiles[name], "right-size")) for name in why}
        request, limit = sizes["ratio"]["requests"], sizes["ratio"]["limits"]
        accepted = [cluster.run_kubectl("create", "--dry-run=server", "-n", place_of(namespace, "ratio"), "-f", "-",
                                        input=pod(request, cpu)).returncode == 0 for cpu in (limit, "8")]  # fmt: skip
    tight, roomy = proposed(profiles["tight"], "parallelism"), proposed(profiles["roomy"], "parallelism")
    assert tight["action"].endswith(f": {AT_A_TIME} -> {FIT} (limited by ResourceQuota compute)")
    assert tight["proposed"] == f"{FIT} pods at a time"
    assert roomy["action"].endswith(f": {AT_A_TIME} -> {ITEMS}")
    assert f'"value":{FIT}' in tight["how"]
    assert sizes["free"] == {"requests": request}
    assert 3.9 <= float(quantity(limit) or 0.0) / float(quantity(request) or 1.0) <= 4.0
    sentence = "cpu of transform: the limit is lowered with the request, by maxLimitRequestRatio of LimitRange burst"
    assert {name: sentence in " ".join(text.split()) for name, text in why.items()} == {"ratio": True, "free": False}
    assert accepted == [True, False]
