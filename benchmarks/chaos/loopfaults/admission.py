"""LimitRange, quota, PodSecurity and admission policies x all fields that may be changed, with real creation of pods.

For each namespace and field the check evaluates a plan; then the pods of the next run are created, unchanged and as
planned, and deleted again. *Falsely open* is a plan that passes although the API server accepts the current pods and
rejects the changed ones.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from benchmarks.chaos.loopfaults.spaces import RULES, SECURITY, SPACES, Object
from benchmarks.chaos.loopfaults.targets import NOW, WIDTH, Target, targets
from concertmaster.controller.changes.cluster_facts import FactReader
from concertmaster.core.changes import checks_cluster
from concertmaster.core.changes.json_patch import apply as patched
from concertmaster.core.changes.plan import plan
from concertmaster.core.changes.situation import Situation
from concertmaster.core.model import Category, Edit, Interval, Level, Recommendation, Severity
from concertmaster.engines import PATCHABLE
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.client import KubeClient
from concertmaster.kube.errors import Conflict, Forbidden, KubeError, Rejected
from concertmaster.kube.objects import PODS
from testbed.services.controlplane import DEFAULT_USERS, ControlPlane, Options

ACCOUNT = "viewer@example.com"  # may read what the operator reads, but not create pods
PROPOSED = {
    "cpu": ("250m", "800m", "1500m", "3"),
    "memory": ("256Mi", "600Mi", "1536Mi", "3Gi"),
    "parallelism": ("1", "3", "6"),
}


@dataclass
class Tally:
    """Results so far."""

    asked: int = 0
    refused: int = 0  # by the API server, which accepts the current pods
    open: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    unusable: int = 0  # the current pods are rejected as well: says nothing about the change

    def add(self, what: str, blocked: str, answer: str) -> None:
        """Record one plan: the result of the check and the response of the API server."""
        self.asked += 1
        self.refused += bool(answer)
        if answer and not blocked:
            self.open.append(f"{what}: {answer[:200]}")
        if blocked and not answer:
            self.closed.append(f"{what}: {blocked[:200]}")


def edits(target: Target) -> Iterator[tuple[str, Edit]]:
    """All fields of the target that may be changed, with values below and above the current ones."""
    for name, values in PROPOSED.items():
        for value in values:
            if name != "parallelism":
                yield name, Edit(f"{target.resources}/{name}", NOW[name], value, target.holder)
            elif target.wide is not None:
                yield name, Edit(target.wide, str(WIDTH), value)


def recommendation(name: str, edit: Edit, step: str) -> Recommendation:
    """The recommendation to apply."""
    wide = name == "parallelism"
    gain = Interval(0.1, 0.2, 0.3)
    return Recommendation(
        id=name if wide else f"{name}-request.{step}", rule=name if wide else f"{name}-request",
        step=None if wide else step, action="Change it", because="-", otherwise="-",
        category=Category.PERFORMANCE if wide else Category.COST, severity=Severity.MEDIUM, risk=Level.LOW,
        effort=Level.LOW, current=str(edit.current), proposed=str(edit.proposed), expected="-", how="kubectl",
        confidence=0.9, gain_share=gain if wide else None, saving_per_month=None if wide else gain, edits=(edit,),
        automatic=True,
    )  # fmt: skip


class Bench:
    """Creates real pods, and resets the namespace."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    def answer(self, space: str, quota: Object | None, wanted: list[Object]) -> str:
        """The response of the API server to creating these pods in sequence; empty if it accepts all."""
        self._reset(space, quota)
        made: list[str] = []
        refusal = ""
        try:
            for number, spec in enumerate(wanted):
                meta = {"name": f"p{number}-{time.monotonic_ns()}"}
                pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
                try:
                    self._client.create(PODS.path(space), pod)
                except (Forbidden, Rejected) as error:
                    refusal = str(error)
                    break
                except Conflict:
                    continue
                made.append(meta["name"])
        finally:
            for name in made:
                with suppress(KubeError):
                    body = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
                    self._client.request("DELETE", PODS.path(space, name), body=body)
        self._reset(space, quota)
        return refusal

    def _reset(self, space: str, quota: Object | None) -> None:
        """Reset the usage of the quota, which needs a controller manager otherwise."""
        if quota is None:
            return
        path = f"/api/v1/namespaces/{space}/resourcequotas/quota"
        self._client.patch(f"{path}/status", {"status": quota["status"]})
        time.sleep(0.05)  # the admission plugin is updated through a watch


def measure(seed: int = 1, share: float = 0.5) -> dict[str, Any]:
    """Run the campaign with a random ``share`` of the plans."""
    chance = random.Random(seed)
    with ControlPlane(Options(users=DEFAULT_USERS), progress=print) as plane:
        cluster = plane.cluster
        client, reader = KubeClient.connect(cluster.kubeconfig()), KubeClient.connect(cluster.kubeconfig(ACCOUNT))
        subject = {"kind": "User", "name": ACCOUNT, "apiGroup": "rbac.authorization.k8s.io"}
        role = {"kind": "ClusterRole", "name": "chaos", "apiGroup": "rbac.authorization.k8s.io"}
        rule = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}
        cluster.apply(
            {
                "apiVersion": f"{role['apiGroup']}/v1",
                "kind": "ClusterRole",
                "metadata": {"name": "chaos"},
                "rules": [rule],
            }
        )
        binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding"}
        cluster.apply({**binding, "metadata": {"name": "chaos"}, "subjects": [subject], "roleRef": role})
        places = {name: f"space-{n}" for n, name in enumerate(SPACES)}
        for name, place in places.items():
            _prepare(cluster, name, place)
        time.sleep(5.0)  # admission policies are compiled asynchronously
        asked, computed = Tally(), Tally()
        by_field: Counter[str] = Counter()
        by_kind: Counter[str] = Counter()
        for name, place in places.items():
            quota = next((d for d in SPACES[name] if d["kind"] == "ResourceQuota"), None)
            if quota is not None:
                Bench(client)._reset(place, quota)
            for target in targets(place):
                _try(client, reader, name, quota, target, chance, share, asked, computed, by_field, by_kind)
            print(f"  {name}: {asked.asked} plans, open {len(asked.open)}, closed {len(asked.closed)}", flush=True)
    return {
        "spaces": len(SPACES),
        "plans": asked.asked,
        "unusable": asked.unusable,
        "refused": asked.refused,
        "by_field": dict(by_field),
        "by_kind": dict(by_kind),
        "asking": {"open": asked.open, "closed": asked.closed},
        "computing": {"open": computed.open, "closed": computed.closed},
    }


def _prepare(cluster: Any, name: str, place: str) -> None:
    labels = {"pod-security.kubernetes.io/enforce": SECURITY[name]} if name in SECURITY else {}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place, "labels": labels}})
    for document in SPACES[name]:
        meta = {**document["metadata"], "namespace": place}
        cluster.apply({k: v for k, v in document.items() if k != "status"} | {"metadata": meta})
    if (rule := RULES.get(name)) is None:
        return
    api = "admissionregistration.k8s.io/v1"
    made = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    expression = f"object.spec.containers.all(c, {rule})"
    spec = {"matchConstraints": {"resourceRules": [made]}, "validations": [{"expression": expression, "message": name}]}
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place}}}
    bound = {"policyName": place, "validationActions": ["Deny"], "matchResources": selector}
    cluster.apply(
        {"apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": place}, "spec": spec},
        {"apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": place}, "spec": bound},
    )


def _try(
    client: KubeClient, reader: KubeClient, name: str, quota: Object | None, target: Target, chance: random.Random,
    share: float, asked: Tally, computed: Tally, by_field: Counter[str], by_kind: Counter[str],
) -> None:  # fmt: skip
    """Try all changes of one object in one namespace."""
    bench, raw, place = Bench(client), target.raw, target.space
    definition, executor = target.definition(), name in RULES
    present = bench.answer(place, quota, target.pods(raw, executor=executor))
    step = next(s.name for s in definition.graph.steps if s.containers)
    for what, edit in edits(target):
        if chance.random() >= share:
            continue
        if present:
            asked.unusable += 1
            continue
        made = plan(recommendation(what, edit, step), raw, PATCHABLE, profile="w", namespace=place)
        after = patched(raw, list(made.operations("1")))
        answer = bench.answer(place, quota, target.pods(after, executor=executor))
        label = f"{name}, {raw['kind']} with {target.words}, {what} {edit.current} -> {edit.proposed}"
        by_field[what] += 1
        by_kind[raw["kind"]] += 1
        for who, tally in ((client, asked), (reader, computed)):
            facts = FactReader(who, AccessChecker(who), False).read(made, raw, definition, definition.key.name)
            situation = Situation(now=0.0, facts=facts)
            results = (checks_cluster.namespace_limits(made, situation), checks_cluster.pod_admission(made, situation))
            tally.add(label, next((r.message for r in results if not r.passed), ""), answer)


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The section of the page."""
    fields = ", ".join(f"{count} of {name}" for name, count in found["by_field"].items())
    kinds = ", ".join(f"{name} {count}" for name, count in found["by_kind"].items())
    yield f"### Admission: {found['plans']} plans in {found['spaces']} namespaces, pods created for real"
    yield ""
    yield (
        f"LimitRange, ResourceQuota, PodSecurity and admission policies x {fields} ({kinds}), with and without"
        f" limits and pod-level resources. The API server refused the changed pods of {found['refused']};"
        f" {found['unusable']} more plans are left out, because the present pods are refused already."
    )
    yield ""
    yield "| the check | passed although refused | blocked although accepted |"
    yield "|---|---|---|"
    for words, key in (("computes and tries a pod", "asking"), ("may not try pods: computes only", "computing")):
        yield f"| {words} | {len(found[key]['open'])} | {len(found[key]['closed'])} |"
    yield from (f"- passed although refused: {text}" for text in found["asking"]["open"][:10])
    if "note" in found:
        yield ""
        yield str(found["note"])
    waiting = sum("up to ValidatingAdmissionPolicy" in text for text in found["computing"]["closed"])
    yield ""
    yield (
        "Admission policies are not computed: where they decide about pods and none may be tried, a change waits for a"
        f" decision ({waiting} of those blocked although accepted)."
    )
    yield from (f"- passed although refused, computed: {text}" for text in found["computing"]["open"][:10])
