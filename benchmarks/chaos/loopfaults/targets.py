"""All kinds of objects whose fields may be changed, with the pods that they create."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from concertmaster.core.changes.json_patch import find
from concertmaster.core.model import WorkflowDefinition
from concertmaster.engines import define
from concertmaster.engines.define import resolver

Object = dict[str, Any]
BATCH, ARGO, TEKTON = "batch/v1", "argoproj.io/v1alpha1", "tekton.dev/v1"
LIMITS: dict[str, dict[str, str]] = {
    "no limits": {},
    "CPU limit": {"cpu": "2"},
    "both limits": {"cpu": "2", "memory": "2Gi"},
}
NOW = {"cpu": "1", "memory": "1Gi"}
LEVEL = {"cpu": "2", "memory": "2Gi"}  # of a pod as a whole
ITEMS, WIDTH = 6, 2
EXECUTOR = {"requests": {"cpu": "1", "memory": "64Mi"}}  # for Argo's executor.resources
BESIDE = {
    "requests": {"cpu": "250m", "memory": "128Mi"},
    "limits": {"cpu": "1", "memory": "256Mi"},
}  # a Task's other step


@dataclass(frozen=True)
class Target:
    """An object to change: ``raw``, with the other objects of its workflow (``workflow`` is the one that declares the
    graph). ``resources`` and ``wide`` are JSON pointers of fields that may be set; ``spec`` builds the pod of an
    object, with the executor's resources known or not."""

    words: str
    raw: Object
    resources: str
    spec: Callable[[Mapping[str, Any], bool], Object]
    wide: str | None = None
    workflow: Object | None = None
    holder: str | None = None

    def definition(self) -> WorkflowDefinition:
        """The definition of the workflow that the object declares or belongs to."""
        rows = [self.workflow or self.raw, self.raw]
        meta = [(r["kind"], r["metadata"].get("namespace", ""), r["metadata"]["name"]) for r in rows]
        table = dict(zip(meta, rows, strict=True))
        space = str(rows[0]["metadata"].get("namespace") or self.space)
        found = define(rows[0], resolver(table, space), namespace=space)
        assert found is not None
        return found

    @property
    def space(self) -> str:
        """The namespace of its pods."""
        return str(self.raw["metadata"].get("namespace") or self.raw["metadata"]["labels"]["space"])

    def pods(self, raw: Mapping[str, Any], *, executor: bool) -> list[Object]:
        """The pods that run in parallel, created from ``raw``."""
        width = 1 if self.wide is None else int(find(raw, self.wide)[1])
        return [copy.deepcopy(self.spec(raw, executor)) for _ in range(min(width, ITEMS))]


def _meta(name: str, space: str) -> Object:
    return {"name": name, "namespace": space, "uid": "u", "resourceVersion": "1"}


def targets(space: str) -> Iterator[Target]:
    """The objects whose fields are changed, each with all kinds of limits."""
    for words, limits in LIMITS.items():
        sizes = {"requests": dict(NOW), "limits": dict(limits)}
        name = f"w-{words.replace(' ', '-').lower()}"
        level = {"requests": dict(LEVEL), "limits": {key: LEVEL[key] for key in limits}}
        yield _cron_job(words, _meta(name, space), sizes, {})
        yield _cron_job(f"{words}, pod-level resources", _meta(name, space), sizes, level)
        for kind in ("WorkflowTemplate", "ClusterWorkflowTemplate"):
            yield _template(words, kind, _meta(name, space), sizes, {})
        yield _template(f"{words}, podResources", "WorkflowTemplate", _meta(name, space), sizes, level)
        yield from _tekton(words, name, space, sizes)


def _cron_job(words: str, meta: Object, sizes: Object, level: Object) -> Target:
    container = {"name": "main", "image": "example/a:1", "resources": copy.deepcopy(sizes)}
    pod = {"restartPolicy": "Never", "containers": [container], **({"resources": level} if level else {})}
    job = {"parallelism": WIDTH, "completions": ITEMS, "template": {"spec": pod}}
    spec = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job}}
    at = "/spec/jobTemplate/spec"

    def made(raw: Mapping[str, Any], _: bool) -> Object:
        return dict(find(raw, f"{at}/template/spec")[1])

    raw = {"apiVersion": BATCH, "kind": "CronJob", "metadata": meta, "spec": spec}
    return Target(words, raw, f"{at}/template/spec/containers/0/resources/requests", made, wide=f"{at}/parallelism")


def _template(words: str, kind: str, meta: Object, sizes: Object, level: Object) -> Target:
    fan = {"name": "each", "template": "work", "withSequence": {"count": str(ITEMS)}}
    container = {"name": "main", "image": "example/a:1", "resources": copy.deepcopy(sizes)}
    work = {"name": "work", "container": container, **({"podResources": level} if level else {})}
    templates = [{"name": "main", "dag": {"tasks": [fan]}}, work]
    spec = {"entrypoint": "main", "parallelism": WIDTH, "templates": templates}
    if kind == "ClusterWorkflowTemplate":
        meta = {**{k: v for k, v in meta.items() if k != "namespace"}, "labels": {"space": meta["namespace"]}}

    def made(raw: Mapping[str, Any], executor: bool) -> Object:
        body = raw["spec"]["templates"][1]
        wait = {"name": "wait", "image": "example/wait:1", **({"resources": EXECUTOR} if executor else {})}
        pod = {"restartPolicy": "Never", "containers": [wait, {"name": "main", **body["container"]}]}
        return pod | ({"resources": body["podResources"]} if "podResources" in body else {})

    raw = {"apiVersion": ARGO, "kind": kind, "metadata": meta, "spec": spec}
    return Target(words, raw, "/spec/templates/1/container/resources/requests", made, wide="/spec/parallelism")


def _tekton(words: str, name: str, space: str, sizes: Object) -> Iterator[Target]:
    """A Task that a Pipeline refers to, and a Pipeline with the same task embedded."""
    steps = [
        {"name": "one", "image": "example/a:1", "computeResources": copy.deepcopy(sizes)},
        {"name": "two", "image": "example/b:1", "computeResources": copy.deepcopy(BESIDE)},
    ]

    def pod(rows: list[Mapping[str, Any]]) -> Object:
        made = [{"name": f"step-{r['name']}", "image": r["image"], "resources": r["computeResources"]} for r in rows]
        return {"restartPolicy": "Never", "containers": made}

    inside = "/steps/0/computeResources/requests"
    calls = {"tasks": [{"name": "job", "taskRef": {"name": name}}]}
    task = {"apiVersion": TEKTON, "kind": "Task", "metadata": _meta(name, space), "spec": {"steps": steps}}
    pipeline = {"apiVersion": TEKTON, "kind": "Pipeline", "metadata": _meta(f"p{name}", space), "spec": calls}
    yield Target(
        words, task, f"/spec{inside}", lambda raw, _: pod(raw["spec"]["steps"]), workflow=pipeline, holder=name
    )
    whole = {"tasks": [{"name": "job", "taskSpec": {"steps": copy.deepcopy(steps)}}]}
    alone = {"apiVersion": TEKTON, "kind": "Pipeline", "metadata": _meta(name, space), "spec": whole}

    def embedded(raw: Mapping[str, Any], _: bool) -> Object:
        return pod(raw["spec"]["tasks"][0]["taskSpec"]["steps"])

    yield Target(words, alone, f"/spec/tasks/0/taskSpec{inside}", embedded)
