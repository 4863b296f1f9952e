"""SparkApplications, TrainJobs and RayJobs on a real API server, beside the metrics of their pods: these are deleted while
they run, so that their own end is never seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from concertmaster.engines.labels.live import RUN_KINDS
from testbed.services.cluster import Cluster
from testbed.services.kinds import CRDS, any_content, install_kinds
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.labelled_objects import applications, ray_jobs, taken, train_jobs
from tests.support.cluster.labelled_pods import spark
from tests.support.cluster.operator_bed import apply, history, operator, policy, settings, wait_for
from tests.support.cluster.recorded_pods import recorded

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

RUNS = 6


def test_the_object_of_a_run_says_how_it_ended_where_its_pods_do_not(
    cluster: Cluster, namespace: str, make_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    kinds = [run.object for run in RUN_KINDS.values()]
    install_kinds(cluster, CRDS, *(any_content(kind.group, kind.version, kind.kind, kind.plural) for kind in kinds))
    end = time.time() - 30.0
    pods, played = recorded(namespace, ["kubeflow-trainer", "kuberay"], RUNS, end)
    seen = [*spark(namespace, RUNS, end), *pods]
    for container in ("spark-kubernetes-driver", "node", "ray-head", "ray-worker"):
        seen = taken(seen, container)
    prometheus = make_prometheus(history=history(seen, [], end, days=0.5))
    names = {one.preset: sorted(one.runs) for one in played.values()}
    apply(
        cluster,
        *applications(namespace, RUNS, end, failed=2),
        *train_jobs(namespace, names["kubeflow-trainer"], end, failed=1),
        *ray_jobs(namespace, names["kuberay"], end, failed=3),
        policy(namespace, discover=[{"podLabels": {"preset": name}} for name in RUN_KINDS]),
    )

    def runs(wanted: dict[str, int], *, live: bool) -> dict[str, dict[str, Any]]:
        """``status.runs`` by workflow, once each has these figures."""
        directory = tmp_path / str(live)
        directory.mkdir()
        with operator(
            cluster, directory, settings(directory, {"default": prometheus.url}, namespaces=[namespace], live=live)
        ):

            def told() -> dict[str, dict[str, Any]]:
                items = cluster.get("wfp", "-n", namespace)["items"]
                found = {p["spec"]["podLabels"]["value"]: (p.get("status") or {}).get("runs") or {} for p in items}
                whole = len(found) == len(RUN_KINDS) and all(wanted.items() <= of.items() for of in found.values())
                return found if whole else {}

            found: dict[str, dict[str, Any]] = wait_for(f"runs of {wanted}", told)
            return found

    blind = runs({"observed": RUNS, "unknown": RUNS}, live=False)
    assert blind.keys() == {"sales-etl", "ddp-gpu", "forecast"}
    assert not any(of.get("succeeded") or of.get("failed") for of in blind.values())
    told = runs({"observed": RUNS, "succeeded": RUNS - 1, "failed": 1}, live=True)
    assert not any(of.get("unknown") for of in told.values())
