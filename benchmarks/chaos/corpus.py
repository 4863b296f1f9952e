"""Objects that an API server accepts and that may break a reader: deep, wide, multiplying or of wrong types, for every
engine."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from benchmarks.chaos.costly import costly

ARGO, TEKTON, JOBSET, RAY = "argoproj.io/v1alpha1", "tekton.dev/v1", "jobset.x-k8s.io/v1alpha2", "ray.io/v1"
SPARK, TRAINER, OURS = "sparkoperator.k8s.io/v1beta2", "trainer.kubeflow.org/v1alpha1", "concertmaster.dev/v1alpha1"
SPACE = "hostile"
LEAF: dict[str, Any] = {"name": "leaf", "container": {"image": "x", "command": ["x"]}}
DONE = "2026-11-20T00:01:00Z"
Object = dict[str, Any]

_PLURALS = {
    "WorkflowTemplate": "workflowtemplates",
    "ClusterWorkflowTemplate": "clusterworkflowtemplates",
    "CronWorkflow": "cronworkflows",
    "Workflow": "workflows",
    "Pipeline": "pipelines",
    "PipelineRun": "pipelineruns",
    "Task": "tasks",
    "TaskRun": "taskruns",
    "JobSet": "jobsets",
    "RayJob": "rayjobs",
    "CronJob": "cronjobs",
    "Job": "jobs",
    "WorkflowProfile": "workflowprofiles",
    "SparkApplication": "sparkapplications",
    "TrainJob": "trainjobs",
    "Pod": "pods",
    "OptimizationPolicy": "optimizationpolicies",
    "ClusterOptimizationPolicy": "clusteroptimizationpolicies",
    "WorkflowChange": "workflowchanges",
}


@dataclass(frozen=True, slots=True)
class Hostile:
    """One object. ``status`` is written by itself where a kind takes none at creation."""

    name: str
    body: Object
    status: Object | None = None

    @property
    def path(self) -> str:
        """The API path to create it."""
        version, kind = str(self.body["apiVersion"]), str(self.body["kind"])
        space = "" if kind.startswith("Cluster") else f"/namespaces/{SPACE}"
        return f"/{'apis' if '/' in version else 'api'}/{version}{space}/{_PLURALS[kind]}"


def _object(api: str, kind: str, name: str, spec: Any, **more: Any) -> Object:
    meta = {"name": name, **more.pop("metadata", {})}
    return {"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec, **more}


def _template(name: str, templates: Any, **spec: Any) -> Object:
    return _object(ARGO, "WorkflowTemplate", name, {"entrypoint": "main", "templates": templates, **spec})


def _tasks(tasks: list[Object]) -> list[Object]:
    return [LEAF, {"name": "main", "dag": {"tasks": tasks}}]


def _task(name: str, **more: Any) -> Object:
    return {"name": name, "template": "leaf", **more}


def _deep(levels: int, kind: Callable[[Any], Any]) -> Any:
    return reduce(lambda value, _: kind(value), range(levels), "x")


def _run(name: str, status: Any, labels: Mapping[str, str] | None = None) -> Object:
    """A finished Workflow of the template ``victim``, which itself is healthy."""
    marks = {"workflows.argoproj.io/completed": "true", "workflows.argoproj.io/workflow-template": "victim"}
    whole = {"phase": "Succeeded", "startedAt": "2026-11-20T00:00:00Z", "finishedAt": DONE}
    return _object(
        ARGO,
        "Workflow",
        name,
        {"workflowTemplateRef": {"name": "victim"}},
        metadata={"labels": {**marks, **(labels or {})}},
        status={**whole, **status},
    )


def _packed(document: bytes) -> str:
    return base64.b64encode(gzip.compress(document)).decode()


def _node(name: str, **more: Any) -> Object:
    times = {"startedAt": "2026-11-20T00:00:00Z", "finishedAt": DONE}
    return {"id": name, "name": name, "displayName": name, "type": "Pod", "phase": "Succeeded", **times, **more}


def deep() -> Iterator[Object]:
    """Nesting beyond the limits of decoders and recursive readers."""
    yield _template("deep-lists", [LEAF], deep=_deep(1_200, lambda v: [v]))
    yield _template("deep-objects", [LEAF], deep=_deep(5_000, lambda v: {"a": v}))
    yield _template("deep-parentheses", _tasks([_task("a"), _task("b", depends="(" * 10_000 + "a" + ")" * 10_000)]))
    yield _template("deep-inline", [LEAF, {"name": "main", **_deep(60, _inlined)}])
    yield _run("deep-nodes", {"nodes": {"a": _node("a", inputs=_deep(3_000, lambda v: [v]))}})
    yield _object(TEKTON, "Pipeline", "deep-pipelines", _deep(90, _nested_pipeline))
    yield _object(JOBSET, "JobSet", "deep-jobset", {"replicatedJobs": _deep(2_000, lambda v: [v])})


def _inlined(value: Any) -> Object:
    inline = value if isinstance(value, dict) else LEAF
    return {"dag": {"tasks": [{"name": "t", "inline": inline}]}}


def _nested_pipeline(value: Any) -> Object:
    inner = value if isinstance(value, dict) else {"tasks": [{"name": "leaf", "taskRef": {"name": "x"}}]}
    return {"tasks": [{"name": "t", "pipelineSpec": inner}]}


def wide() -> Iterator[Object]:
    """Large numbers of elements that normally are few."""
    groups = [[_task(f"{g}{i}") for i in range(4_000)] for g in "ab"]
    yield _template("wide-groups", [LEAF, {"name": "main", "steps": groups}])
    yield _template("wide-group", [LEAF, {"name": "main", "steps": [[_task(f"s{i}") for i in range(16_000)]]}])
    yield _template(
        "wide-chain", _tasks([_task(f"t{i}", dependencies=[f"t{i + 1}"] * (i < 8_000)) for i in range(8_001)])
    )
    names = [f"t{i}" for i in range(480)]
    yield _template("wide-edges", _tasks([_task(n, dependencies=names[:i]) for i, n in enumerate(names)]))
    yield _template("wide-depends", _tasks([*(_task(f"a{i}") for i in range(3_000)), _task("z", depends=" && ".join(
        f"(a{i}.Succeeded || a{i}.Skipped)" for i in range(3_000)))]))  # fmt: skip
    yield _template("wide-items", _tasks([_task("a", withItems=list(range(100_000)))]))
    yield _template("wide-sequence", _tasks([_task("a", withSequence={"count": "999999999999"})]))
    yield _template("wide-param", _tasks([_task("a", withParam=json.dumps(["x" * 10] * 60_000))]))
    yield _template("wide-templates", [*({**LEAF, "name": f"leaf{i}"} for i in range(20_000)), *_tasks([_task("a")])])
    yield _object(TEKTON, "Pipeline", "wide-pipeline", {"tasks": [
        {"name": f"t{i}", "taskRef": {"name": "x"}, "runAfter": [f"t{j}" for j in range(max(0, i - 60), i)]}
        for i in range(1_900)]})  # fmt: skip
    matrix = {"params": [{"name": f"p{i}", "value": [str(v) for v in range(100)]} for i in range(6)]}
    yield _object(
        TEKTON, "Pipeline", "wide-matrix", {"tasks": [{"name": "t", "taskRef": {"name": "x"}, "matrix": matrix}]}
    )
    yield _object(TEKTON, "Task", "wide-task", {"steps": [{"name": f"s{i}", "image": "x"} for i in range(10_000)]})
    replicated = [
        {"name": f"j{i}", "replicas": 2**31 - 1, "template": {"spec": {"parallelism": 2**31 - 1}}} for i in range(3_000)
    ]
    yield _object(JOBSET, "JobSet", "wide-jobset", {"replicatedJobs": replicated})
    groups_of_ray = [
        {"groupName": f"g{i}", "replicas": 10**12, "template": {"spec": {"containers": []}}} for i in range(5_000)
    ]
    yield _object(RAY, "RayJob", "wide-rayjob", {"rayClusterSpec": {"workerGroupSpecs": groups_of_ray}})
    containers = [{"name": f"c{i}", "image": "x"} for i in range(2_000)]
    indexed = {"completions": 100_000, "parallelism": 100_000, "completionMode": "Indexed"}
    indexed |= {"template": {"spec": {"restartPolicy": "Never", "containers": containers}}}
    spec = {"schedule": "0 * * * *", "suspend": True, "jobTemplate": {"spec": indexed}}
    yield _object("batch/v1", "CronJob", "wide-cronjob", spec)
    yield _run("wide-nodes", {"nodes": {f"n{i}": _node(f"n{i}") for i in range(5_000)}})


def multiplying() -> Iterator[Object]:
    """Small texts that expand to large ones."""
    doubled = [{"name": "p0", "value": "x" * 100}, *(
        {"name": f"p{i}", "value": f"{{{{workflow.parameters.p{i - 1}}}}}" * 4} for i in range(1, 30))]  # fmt: skip
    yield _template(
        "bomb-parameters", _tasks([_task("{{workflow.parameters.p29}}")]), arguments={"parameters": doubled}
    )
    calls = [{"name": f"t{i}", "dag": {"tasks": [
        {"name": "a", "template": f"t{i + 1}"}, {"name": "b", "template": f"t{i + 1}"}]}} for i in range(40)]  # fmt: skip
    yield _template(
        "bomb-calls", [*calls, {**LEAF, "name": "t40"}, {"name": "main", "steps": [[{"name": "x", "template": "t0"}]]}]
    )
    yield _template("bomb-itself", _tasks([{"name": "a", "template": "main"}, {"name": "b", "template": "main"}]))
    yield _template(
        "bomb-items", _tasks([_task(f"a{{{{item.{c}}}}}", withItems=[{c: c * 700} for _ in range(700)]) for c in "xy"])
    )
    yield _run("bomb-gzip", {"compressedNodes": _packed(b'{"a":' + b"[" + b"0," * 20_000_000 + b"0]}")})
    yield _run("bomb-lists", {"compressedNodes": _packed(b'{"a":[' + b"[]," * 8_000_000 + b"[]]}")})
    yield _run("bomb-depth", {"compressedNodes": _packed(b'{"a":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}")})
    chained = [{"name": f"p{i}", "default": f"$(params.p{i - 1})" * 6} for i in range(1, 30)]
    yield _object(TEKTON, "Pipeline", "bomb-params", {"params": [{"name": "p0", "default": "x"}, *chained], "tasks": [
        {"name": "t", "taskRef": {"name": "$(params.p29)"}}]})  # fmt: skip


def wrong() -> Iterator[Object]:
    """Values of types that the engines reject, where no schema does."""
    values: tuple[Any, ...] = (None, "x", 3, [], [None, 3, "x", []], {"a": 1}, [[LEAF]], True)
    for i, value in enumerate(values):
        yield _template(f"wrong-templates-{i}", value)
    yield _object(ARGO, "WorkflowTemplate", "wrong-spec", ["x"])
    amounts = {"cpu": "NaN", "memory": "-5Gi", "nvidia.com/gpu": "1e400", "x": ["1"]}
    leaf = {**LEAF, "container": {"image": ["x"], "resources": {"requests": amounts, "limits": "all"}}}
    yield _template(
        "wrong-amounts", [leaf, *_tasks([_task("a")])[1:]], parallelism=1e308, activeDeadlineSeconds="{{x}}"
    )
    yield _object(ARGO, "CronWorkflow", "wrong-schedule", {"schedule": "*/0 99 31 2 8", "timezone": "../../etc/passwd",
        "workflowSpec": {"entrypoint": "main", "templates": _tasks([_task("a")])}})  # fmt: skip
    yield _object(ARGO, "CronWorkflow", "wrong-schedules", {"schedules": ["* * * * *"] * 5_000, "workflowSpec": None})
    yield _object(TEKTON, "Pipeline", "wrong-tasks", {"tasks": {"a": 1}, "finally": 7})
    yield _object(RAY, "RayJob", "wrong-ray", {"rayClusterSpec": "x"})
    yield _object(JOBSET, "JobSet", "wrong-jobset", {"replicatedJobs": [{"replicas": "many", "template": 5}]})
    far = {"startedAt": "9999-12-31T23:59:59Z", "finishedAt": "0001-01-01T00:00:00Z"}
    yield _run("wrong-times", {**far, "nodes": {"a": _node("a", **far)}})
    loop = {"a": _node("a", type="DAG", children=["b"]), "b": _node("b", type="DAG", children=["a", "a", "none"])}
    yield _run("wrong-circle", {"nodes": loop})
    yield _run("wrong-nodes", {"nodes": ["x"], "phase": "Succeeded"})
    yield _run("wrong-base64", {"compressedNodes": "!!!" * 1_000})


def texts() -> Iterator[Object]:
    """Unusual characters and sizes."""
    strange = "\u202e\u0000\ufeff\u2028é\U0001f4a3{{=1+1}}$(x)`rm`<b>%s%n"
    yield _template("text-names", [{**LEAF, "name": strange}, {"name": "main", "dag": {"tasks": [
        {"name": strange, "template": strange}]}}])  # fmt: skip
    yield _template("text-emoji", _tasks([_task("a")]), note="\U0001f4a3" * 330_000)
    yield _template(
        "text-large", _tasks([_task("a", arguments={"parameters": [{"name": "x", "value": "y" * 1_400_000}]})])
    )
    notes = {f"example.com/n{i}": "z" * 1_000 for i in range(250)}
    yield _object(ARGO, "WorkflowTemplate", "text-annotations", {"templates": [LEAF]}, metadata={"annotations": notes})
    labels = {f"example.com/l{i}": "v" * 63 for i in range(2_000)}
    yield _object(ARGO, "WorkflowTemplate", "text-labels", {"templates": [LEAF]}, metadata={"labels": labels})
    yield _object(
        ARGO,
        "ClusterWorkflowTemplate",
        "text-cluster",
        {"templates": [{**LEAF, "name": strange}], "entrypoint": strange},
    )


def runs() -> Iterator[Object]:
    """Finished runs of the other engines, with the profiles that read them."""
    far, wide = {"a": _deep(3_000, lambda v: [v])}, "x" * 1_300_000
    completed = {"type": "Completed", "status": "True", "lastTransitionTime": DONE}
    sets: dict[str, tuple[Any, Object]] = {
        "deep": ({"replicatedJobs": _deep(2_000, lambda v: [v])}, {}),
        "wide": (
            {
                "replicatedJobs": [
                    {"name": f"j{i}", "replicas": 2**31 - 1, "template": {"spec": {}}} for i in range(3_000)
                ]
            },
            {"replicatedJobsStatus": [{"name": f"j{i}", "failed": 10**300} for i in range(3_000)]},
        ),
        "wrong": ({"replicatedJobs": [None, 3, {"name": ["x"], "dependsOn": "all"}]}, {"restarts": "many"}),
    }
    yield _reader("runs-of-jobset", runSelector={"apiVersion": JOBSET, "kind": "JobSet", "namePrefix": "run-jobset-"})
    for name, (spec, more) in sets.items():
        ends = {"conditions": [completed, *({"type": n} for n in range(5_000))], **more}
        yield _object(JOBSET, "JobSet", f"run-jobset-{name}", spec, status=ends)
    yield _reader("runs-of-ray", runSelector={"apiVersion": RAY, "kind": "RayJob", "namePrefix": "run-ray-"})
    yield _reader("runs-of-spark", podLabels={"preset": "spark", "value": "run-spark"})
    yield _reader("runs-of-trainer", podLabels={"preset": "kubeflow-trainer", "value": "run-train"})
    kinds: tuple[tuple[str, str, str, Object], ...] = (
        (RAY, "RayJob", "run-ray-", {"jobStatus": "FAILED", "jobDeploymentStatus": "Failed", "endTime": DONE}),
        (SPARK, "SparkApplication", "run-spark-", {"applicationState": {"state": "FAILED"}, "terminationTime": DONE}),
        (TRAINER, "TrainJob", "run-train-", {"conditions": [{**completed, "type": "Failed"}]}),
    )
    for api, kind, name, ends in kinds:
        statuses: dict[str, Object] = {
            "deep": {**ends, "more": far},
            "wide": {**ends, "reason": wide, "sparkApplicationId": wide[:9_999]},
            "many": {**ends, "conditions": [*({"type": str(n)} for n in range(20_000)), *ends.get("conditions", ())]},
            "wrong": {**ends, "startTime": {"a": 1}, "reason": [7], "sparkApplicationId": {}, "endTime": "\u202e"},
        }
        for n, (how, status) in enumerate(statuses.items()):
            label = {"example.com/how": how}
            yield _object(
                api, kind, f"{name}{1_790_000_000_000_000_000 + n}", {}, metadata={"labels": label}, status=status
            )


def _reader(name: str, **selected: Object) -> Object:
    return _object(OURS, "WorkflowProfile", name, selected)


def built_in() -> Iterator[Hostile]:
    """Jobs and pods, as hostile as the API server's own checks allow."""
    containers = [{"name": f"c{i}", "image": "x", "env": [{"name": "A", "value": "z" * 300}]} for i in range(2_000)]
    pod = {"restartPolicy": "Never", "containers": containers}
    reader = _reader("runs-of-job", runSelector={"apiVersion": "batch/v1", "kind": "Job", "namePrefix": "run-job-"})
    yield Hostile("runs-of-job", reader)
    wide = {"completions": 100_000, "parallelism": 100_000, "completionMode": "Indexed", "template": {"spec": pod}}
    yield Hostile("run-job-wide", _object("batch/v1", "Job", "run-job-wide", wide), _complete())
    notes = {f"example.com/n{i}": "z" * 1_000 for i in range(250)}
    labels = {f"example.com/l{i}": "v" * 63 for i in range(2_000)}
    marks = {"spark-app-name": "run-spark", "spark-role": "driver", "spark-app-selector": "s" * 63}
    meta = {"labels": {**labels, **marks}, "annotations": notes}
    yield Hostile("pod-wide", _object("v1", "Pod", "pod-wide", pod, metadata=meta))


def _complete(**counts: int) -> Object:
    met = [
        {"type": kind, "status": "True", "lastTransitionTime": DONE, "lastProbeTime": DONE}
        for kind in ("SuccessCriteriaMet", "Complete")
    ]
    return {"startTime": "2026-11-20T00:00:00Z", "completionTime": DONE, "conditions": met, **counts}


def ours() -> Iterator[Object]:
    """The largest objects of the operator's own kinds that their schemas accept."""
    api = OURS
    steps = [
        {
            "name": f"s{i}",
            "podSelector": {"matchLabels": {"app": f"s{i}"}},
            "dependsOn": [f"s{j}" for j in range(max(0, i - 20), i)],
        }
        for i in range(100)
    ]
    yield _object(api, "WorkflowProfile", "ours-graph", {"graph": {"podRunLabel": "example.com/run", "steps": steps}})
    yield _object(
        api,
        "WorkflowProfile",
        "ours-missing",
        {"workflowRef": {"apiVersion": ARGO, "kind": "WorkflowTemplate", "name": "deep-lists"}},
    )
    named = ((ARGO, "WorkflowTemplate"), (ARGO, "CronWorkflow"), (TEKTON, "Pipeline"), ("batch/v1", "CronJob"))
    kinds = [{"apiVersion": api_version, "kind": kind} for api_version, kind in named]
    yield _object(
        api, "OptimizationPolicy", "ours-policy", {"discover": kinds, "analysis": {"window": "365d", "maxRuns": 1000}}
    )
    here = {"matchLabels": {"kubernetes.io/metadata.name": SPACE}}
    keys = [f"{'x' * 60}{i}.example.com/{'l' * 60}" for i in range(20)]
    labelled = [{"podLabels": {"workflow": key, "run": key + "r", "step": key + "s"}} for key in keys]
    yield _object(
        api, "ClusterOptimizationPolicy", "ours-cluster-policy", {"namespaceSelector": here, "discover": labelled}
    )
    plan = {
        "profileRef": {"name": "ours-graph"},
        "recommendation": "cpu-request.s0",
        "planDigest": "0" * 64,
    }
    yield _object(api, "WorkflowChange", "ours-change", plan)


def corpus() -> list[Hostile]:
    """All objects in a fixed order."""
    parts = (deep, wide, multiplying, costly, wrong, texts, runs, ours)
    return [*(Hostile(str(body["metadata"]["name"]), body) for part in parts for body in part()), *built_in()]


def bulk(count: int = 150, size: int = 1_200_000) -> Iterator[Hostile]:
    """Valid definitions of the maximum size."""
    for n in range(count):
        yield Hostile(f"bulk-{n:03}", _template(f"bulk-{n:03}", _tasks([_task("a")]), note=["abcdefgh"] * (size // 11)))


def victim() -> Object:
    """The healthy template of the hostile runs."""
    return _template("victim", _tasks([_task("a")]))


def children(count: int = 20_000) -> Iterator[tuple[str, Object]]:
    """A finished PipelineRun and its TaskRuns, each with the API path to create it."""
    pipeline = _object(TEKTON, "Pipeline", "crowd", {"tasks": [{"name": "t", "taskRef": {"name": "x"}}]})
    base = f"/apis/{TEKTON}/namespaces/{SPACE}"
    yield f"{base}/pipelines", pipeline
    ends = {"startTime": "2026-11-20T00:00:00Z", "completionTime": DONE}
    over = {"conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}], **ends}
    label = {"tekton.dev/pipelineRun": "crowd-1", "tekton.dev/pipelineTask": "t", "tekton.dev/pipeline": "crowd"}
    for n in range(count):
        run = _object(TEKTON, "TaskRun", f"crowd-1-t-{n}", {"taskRef": {"name": "x"}}, metadata={"labels": label}, status={
            **over, "podName": f"crowd-1-t-{n}-pod", "steps": [{"name": "s", "container": "step-s", "terminated": {
                "exitCode": 0, "reason": "Completed", "startedAt": ends["startTime"], "finishedAt": DONE}}]})  # fmt: skip
        yield f"{base}/taskruns", run
    refs = [
        {"apiVersion": TEKTON, "kind": "TaskRun", "name": f"crowd-1-t-{n}", "pipelineTaskName": "t"}
        for n in range(min(count, 5_000))
    ]
    marks = {"tekton.dev/pipeline": "crowd"}
    status = {**over, "childReferences": refs}
    yield (
        f"{base}/pipelineruns",
        _object(
            TEKTON,
            "PipelineRun",
            "crowd-1",
            {"pipelineRef": {"name": "crowd"}},
            metadata={"labels": marks},
            status=status,
        ),
    )


def pods(count: int = 20_000) -> Iterator[Hostile]:
    """A finished Job and its pods."""
    mark = {"crowd": "pods"}
    pod = {
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": "x", "env": [{"name": "A", "value": "z" * 500}]}],
    }
    template = {"metadata": {"labels": mark}, "spec": pod}
    spec = {"completions": count, "parallelism": count, "manualSelector": True, "selector": {"matchLabels": mark},
            "template": template}  # fmt: skip
    job = _object("batch/v1", "Job", "run-job-crowd", spec)
    over = {"exitCode": 0, "reason": "Completed", "startedAt": "2026-11-20T00:00:00Z", "finishedAt": DONE}
    container = {
        "name": "main",
        "image": "x",
        "imageID": "x",
        "ready": False,
        "restartCount": 0,
        "state": {"terminated": over},
    }
    ended = {"phase": "Succeeded", "startTime": "2026-11-20T00:00:00Z", "containerStatuses": [container]}
    for n in range(count):
        name = f"run-job-crowd-{n}"
        yield Hostile(
            name, _object("v1", "Pod", name, pod, metadata={"labels": {**mark, "job-name": "run-job-crowd"}}), ended
        )
    yield Hostile("run-job-crowd", job, _complete(succeeded=count))
