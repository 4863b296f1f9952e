"""What the operator computes about pods against what the API server answers: nothing it refuses may pass."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from concertmaster.controller.changes.cluster_facts import FactReader
from concertmaster.core.changes.admission.limits import refusals, refused_anew
from concertmaster.core.changes.admission.model import Pod, PodChange
from concertmaster.core.changes.admission.pods import as_declared
from concertmaster.core.changes.plan import plan
from concertmaster.core.model import Edit, StepSpec
from concertmaster.engines import PATCHABLE
from concertmaster.engines.common.manifest import Problems, pod_containers
from concertmaster.engines.common.pod_level import pod_level
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import Forbidden, Rejected
from concertmaster.kube.objects import PODS
from testbed.services.cluster import Cluster
from tests.support.cluster.operator_bed import apply, wait_for
from tests.support.core.change_samples import cron_job, recommended

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def limits(name: str = "limits", **row: Any) -> dict[str, Any]:
    spec = {"limits": [{"type": "Container", **row}]}
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": name}, "spec": spec}


def quota(**hard: str) -> dict[str, Any]:
    rows = {k.replace("_", "."): v for k, v in hard.items()}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota"}, "spec": {"hard": rows}}


NAMESPACES: dict[str, list[dict[str, Any]]] = {
    "default": [limits(default={"cpu": "1"})],
    "default-request": [limits(default={"cpu": "1"}, defaultRequest={"cpu": "200m"})],
    "two": [limits(default={"cpu": "2"}), limits("more", default={"cpu": "1"}, max={"memory": "1Gi"})],
    "ratio": [limits(maxLimitRequestRatio={"cpu": "2"})],
    "ratio-default": [limits(default={"cpu": "1"}, maxLimitRequestRatio={"cpu": "3"})],
    "min": [limits(min={"cpu": "300m"})],
    "max": [limits(max={"cpu": "1"})],
    "pod-max": [limits(type="Pod", max={"cpu": "2"})],
    "pod-min": [limits(type="Pod", min={"cpu": "1"})],
    "pod-ratio": [limits(type="Pod", maxLimitRequestRatio={"cpu": "2"})],
    "quota": [quota(requests_cpu="1500m")],
    "quota-limits": [quota(limits_cpu="2", pods="1")],
    "quota-default": [limits(default={"cpu": "1"}), quota(cpu="2", limits_memory="1Gi")],
}
POD = "/spec/jobTemplate/spec/template/spec"
AMOUNTS = (None, "250m", "800m", "1500m")
MEMORY = (None, ("512Mi", None), ("512Mi", "2Gi"))


Resources = dict[str, Any]


def shapes() -> list[dict[str, Any]]:
    """Pods by the resources of their containers: every combination for one, and some for two; some with resources of the pod
    as a whole; and some with a sidecar among their init containers, before and after one that ends."""
    single = []
    for request, limit, memory in itertools.product(AMOUNTS, AMOUNTS, MEMORY):
        requests = {"cpu": request, "memory": memory[0] if memory else None}
        bounds = {"cpu": limit, "memory": memory[1] if memory else None}
        parts = {"requests": requests, "limits": bounds}
        single.append({side: {r: v for r, v in rows.items() if v} for side, rows in parts.items()})
    plain = [[one] for one in single] + [[one, single[12]] for one in single[::3]]
    levels: list[Resources] = [
        {"requests": {"cpu": "1"}},
        {"requests": {"cpu": "1500m", "memory": "1Gi"}, "limits": {"cpu": "1500m", "memory": "1Gi"}},
        {"requests": {"memory": "512Mi"}, "limits": {"cpu": "1"}},
    ]
    pods = [_spec(one) for one in plain] + [_spec(one, resources=levels[n % 3]) for n, one in enumerate(plain[::2])]
    for n, one in enumerate(single):
        beside = _container("side", single[(n + 13) % len(single)]) | {"restartPolicy": "Always"}
        before = [beside, _container("load", single[(n + 29) % len(single)])]
        pods.append(_spec([one], initContainers=before if n % 2 else before[::-1]))
    return pods


def _container(name: str, resources: Resources) -> dict[str, Any]:
    return {"name": name, "image": "example/a:1", "resources": resources}


def _spec(containers: list[Resources], **fields: Any) -> dict[str, Any]:
    rows = [_container(f"c{i}", one) for i, one in enumerate(containers)]
    return {"containers": rows, "serviceAccountName": "trial", **fields}


def pod_of(spec: dict[str, Any]) -> Pod:
    """The pod as the operator reads it off a definition."""
    rows = pod_containers(spec, "spec", Problems(), at=None)
    return as_declared(
        StepSpec("a", containers=rows, pod=pod_level(spec, rows, "spec", Problems(), at=None)), settings=None
    )


def test_no_pod_that_the_server_refuses_is_taken(cluster: Cluster, namespace: str) -> None:
    client = KubeClient.connect(cluster.kubeconfig())
    falsely_open, falsely_closed, falsely_certain, refused_by_server, asked = [], [], [], 0, 0
    places = {name: f"{namespace}-{i}" for i, name in enumerate(NAMESPACES)}
    try:
        for name, place in places.items():
            apply(cluster, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}})
            for document in NAMESPACES[name]:
                document["metadata"]["namespace"] = place
            apply(cluster, *NAMESPACES[name])
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "trial", "namespace": place}}
            apply(cluster, account)
        for name, place in places.items():
            reader = FactReader(client, AccessChecker(client))
            if any(d["kind"] == "ResourceQuota" for d in NAMESPACES[name]):

                def counted(place: str = place) -> bool:
                    return bool((cluster.get("resourcequota", "quota", "-n", place).get("status") or {}).get("hard"))

                wait_for("the quota to be counted", counted)
            ranges, quotas = list(reader.ranges(place)), list(reader.quotas(place))
            assert ranges or quotas
            for spec in shapes():
                pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "trial"}, "spec": spec}
                try:
                    client.request("POST", PODS.path(place), query={"dryRun": "All"}, body=pod)
                    answer = ""
                except (Forbidden, Rejected) as error:
                    answer = str(error)
                none = Pod((), complete=False)
                change = PodChange(none, pod_of(spec), count_before=0)
                computed = refusals([change], ranges, quotas)
                asked += 1
                refused_by_server += bool(answer)
                if not answer and (certain := refused_anew([change], ranges, quotas)):
                    falsely_certain.append((name, spec, certain[0].message))
                if answer and not computed:
                    falsely_open.append((name, spec, answer))
                if computed and not answer:
                    falsely_closed.append((name, spec, computed[0].message))
    finally:
        cluster.run_kubectl("delete", "namespace", *places.values(), "--wait=false")
    assert refused_by_server > 100
    assert falsely_open == [], f"{len(falsely_open)} of {asked}: {falsely_open[:3]}"
    assert falsely_certain == [], f"{len(falsely_certain)} of {asked}: {falsely_certain[:3]}"
    # Which of two defaults the server takes is not specified: there the harder one counts.
    falsely_closed = [row for row in falsely_closed if row[0] != "two"]
    assert falsely_closed == [], f"{len(falsely_closed)} of {asked}: {falsely_closed[:3]}"


def test_what_only_the_server_knows_is_asked_with_a_trial_of_the_pod(cluster: Cluster, namespace: str) -> None:
    """An admission policy that no computation knows: CPU requests below 800m are refused."""
    name = f"large-{namespace}"[:63]
    rule = "object.spec.containers.all(c, quantity(c.resources.requests['cpu']).compareTo(quantity('800m')) >= 0)"
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    spec = {
        "matchConstraints": {"resourceRules": [pods]},
        "validations": [{"expression": rule, "message": "pods are large here"}],
    }
    labels = {"kubernetes.io/metadata.name": namespace}
    binding = {
        "policyName": name,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchLabels": labels}},
    }
    group = "admissionregistration.k8s.io/v1"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "trial", "namespace": namespace}}
    apply(
        cluster,
        {"apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec},
        {"apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": binding},
        account,
    )
    raw = cron_job({"requests": {"cpu": "1"}})
    raw["metadata"]["namespace"] = namespace
    raw["spec"]["jobTemplate"]["spec"]["template"]["spec"]["serviceAccountName"] = "trial"
    client = KubeClient.connect(cluster.kubeconfig())
    reader = FactReader(client, AccessChecker(client))

    def refused(proposed: str) -> list[str]:
        edit = Edit(f"{POD}/containers/0/resources/requests/cpu", "1", proposed)
        made = plan(recommended(edit, step="job"), raw, PATCHABLE, profile="etl", namespace=namespace)
        return list(reader._pod_refused(made, raw, None))

    try:
        said = wait_for("the policy to be in force", lambda: refused("500m"))
        assert "pods are large here" in said[0]
        assert refused("900m") == []
        assert not list(client.items(PODS.path(namespace)))
    finally:
        kinds = "validatingadmissionpolicybinding,validatingadmissionpolicy"
        cluster.run_kubectl("delete", kinds, name)
