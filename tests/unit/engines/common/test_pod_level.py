"""Resources of pods as a whole, wherever an engine declares them."""

from __future__ import annotations

from typing import Any

import pytest

from concertmaster.core.model import ContainerSpec
from concertmaster.engines import define
from tests.support.builders import MI
from tests.support.engines.argo_oracle import leaf, template

REQUESTS = {"requests": {"cpu": "1", "memory": "512Mi"}}


def pods(raw: dict[str, Any]) -> dict[str, ContainerSpec | None]:
    found = define(raw)
    assert found is not None and not found.graph.problems, found
    return {s.name: s.pod for s in found.graph.steps}


def argo(*templates: dict[str, Any], **spec: Any) -> dict[str, Any]:
    names = [t["name"] for t in templates]
    main = {"name": "main", "dag": {"tasks": [{"name": n, "template": n} for n in names]}}
    return template("etl", {"entrypoint": "main", "templates": [main, *templates], **spec})


def test_podresources_of_argo_hold_for_the_template_or_else_for_the_workflow() -> None:
    spec = argo(leaf("own", podResources=REQUESTS), leaf("other"), podResources={"limits": {"memory": "1Gi"}})
    found = pods(spec)
    own, other = found["own"], found["other"]
    assert own is not None and (own.cpu_request, own.memory_request) == (1.0, 512 * MI)
    assert own.resources_pointer == "/spec/templates/1/podResources"
    assert other is not None and (other.cpu_request, other.memory_request) == (None, 1024 * MI)
    assert other.memory_limit == 1024 * MI
    assert other.resources_pointer == "/spec/podResources"


def test_podresources_of_a_template_are_merged_over_the_defaults_and_count_its_native_sidecars() -> None:
    own, merged = {"requests": {"cpu": "1"}}, {"requests": {"cpu": "9", "memory": "512Mi"}}
    native = {"name": "proxy", "image": "i", "restartPolicy": "Always", "resources": {"requests": {"memory": "100Mi"}}}
    late = {"name": "load", "image": "i", "resources": {"requests": {"memory": "300Mi"}}}
    work = leaf("work", podResources=own)
    found = pods(argo(work, templateDefaults={"podResources": merged}))["work"]
    assert found is not None and (found.cpu_request, found.memory_request) == (1.0, 512 * MI)
    assert (found.resources, found.resources_pointer) == (own, "/spec/templates/1/podResources")
    plain = leaf("work", initContainers=[native, late])
    for where in ({"podResources": REQUESTS}, {"templateDefaults": {"podResources": REQUESTS}}):
        pod = pods(argo(plain, **where))["work"]
        assert pod is not None and pod.least == {"memory": 400 * MI}, where


def test_a_missing_request_is_what_the_containers_request_else_the_limit() -> None:
    requests = {"resources": {"requests": {"memory": "100Mi"}}}
    work = leaf("work", podResources={"limits": {"cpu": "2", "memory": "1Gi"}}, sidecars=[{"name": "s", **requests}])
    work["container"].update(requests)
    pod = pods(argo(work))["work"]
    assert pod is not None and (pod.cpu_request, pod.memory_request) == (2.0, 200 * MI)
    assert pod.least == {"memory": 200 * MI}


@pytest.mark.parametrize("level", [None, {}, {"requests": {"hugepages-2Mi": "4Mi"}}, "2Gi"])
def test_nothing_at_pod_level_is_no_pod(level: object) -> None:
    assert pods(argo(leaf("work", podResources=level)))["work"] is None


def test_the_pod_of_a_job_has_its_own_requests() -> None:
    pod = {"containers": [{"name": "report", "image": "example/a:1"}], "resources": REQUESTS}
    raw = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "report", "namespace": "data"},
        "spec": {"schedule": "7 * * * *", "jobTemplate": {"spec": {"template": {"spec": pod}}}},
    }
    found = pods(raw)["job"]
    assert found is not None and found.memory_request == 512 * MI
    assert found.resources_pointer == "/spec/jobTemplate/spec/template/spec/resources"


def test_the_pods_of_a_rayjob_and_a_jobset_have_their_own_requests() -> None:
    pod = {"containers": [{"name": "a", "image": "example/a:1"}], "resources": REQUESTS}
    jobset = {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": "train", "namespace": "data"},
        "spec": {"replicatedJobs": [{"name": "a", "template": {"spec": {"template": {"spec": pod}}}}]},
    }
    found = pods(jobset)["a"]
    assert found is not None and found.cpu_request == 1.0 and found.resources_pointer is None


def test_a_pod_requests_no_less_than_an_init_container_beside_the_sidecars_before_it() -> None:
    def sized(name: str, cpu: str, **fields: Any) -> dict[str, Any]:
        return {"name": name, "image": "i", "resources": {"requests": {"cpu": cpu}}, **fields}

    before = [
        sized("log", "500m", restartPolicy="Always"),
        sized("load", "3"),
        sized("late", "2", restartPolicy="Always"),
    ]
    limits = {"limits": {"cpu": "8"}}
    spec = {"containers": [sized("main", "100m")], "initContainers": before, "resources": limits}
    meta = {"name": "report", "namespace": "data"}
    raw = {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"template": {"spec": spec}}}
    pod = pods(raw)["job"]
    assert pod is not None and (pod.cpu_request, pod.least) == (3.5, {"cpu": 3.5})
    work = leaf("work", podResources=limits, sidecars=[sized("side", "1")], initContainers=before[:2])
    of_argo = pods(argo(work))["work"]
    assert of_argo is not None and of_argo.least == {"cpu": 3.5}  # a plain sidecar starts after it
