"""Objects that an API server accepts and that may break a reader: deep, wide, multiplying or of wrong types, for every
engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from benchmarks.chaos.costly import costly
from benchmarks.chaos.objects import (
    ARGO,
    DONE,
    JOBSET,
    LEAF,
    OURS,
    RAY,
    SPACE,
    SPARK,
    TEKTON,
    TRAINER,
    Hostile,
    Object,
    complete,
    finished_run,
    made,
    nested,
    node,
    packed,
    task,
    tasks_of,
    template,
)


def deep() -> Iterator[Object]:
    """Nesting beyond the limits of decoders and recursive readers."""
    yield template("deep-lists", [LEAF], deep=nested(1_200, lambda v: [v]))
    yield template("deep-objects", [LEAF], deep=nested(5_000, lambda v: {"a": v}))
    yield template("deep-parentheses", tasks_of([task("a"), task("b", depends="(" * 10_000 + "a" + ")" * 10_000)]))
    yield template("deep-inline", [LEAF, {"name": "main", **nested(60, _inlined)}])
    yield finished_run("deep-nodes", {"nodes": {"a": node("a", inputs=nested(3_000, lambda v: [v]))}})
    yield made(TEKTON, "Pipeline", "deep-pipelines", nested(90, _nested_pipeline))
    yield made(JOBSET, "JobSet", "deep-jobset", {"replicatedJobs": nested(2_000, lambda v: [v])})


def _inlined(value: Any) -> Object:
    inline = value if isinstance(value, dict) else LEAF
    return {"dag": {"tasks": [{"name": "t", "inline": inline}]}}


def _nested_pipeline(value: Any) -> Object:
    inner = value if isinstance(value, dict) else {"tasks": [{"name": "leaf", "taskRef": {"name": "x"}}]}
    return {"tasks": [{"name": "t", "pipelineSpec": inner}]}


def wide() -> Iterator[Object]:
    """Large numbers of elements that normally are few."""
    groups = [[task(f"{g}{i}") for i in range(4_000)] for g in "ab"]
    yield template("wide-groups", [LEAF, {"name": "main", "steps": groups}])
    yield template("wide-group", [LEAF, {"name": "main", "steps": [[task(f"s{i}") for i in range(16_000)]]}])
    yield template(
        "wide-chain", tasks_of([task(f"t{i}", dependencies=[f"t{i + 1}"] * (i < 8_000)) for i in range(8_001)])
    )
    names = [f"t{i}" for i in range(480)]
    yield template("wide-edges", tasks_of([task(n, dependencies=names[:i]) for i, n in enumerate(names)]))
    yield template("wide-depends", tasks_of([*(task(f"a{i}") for i in range(3_000)), task("z", depends=" && ".join(
        f"(a{i}.Succeeded || a{i}.Skipped)" for i in range(3_000)))]))  # fmt: skip
    yield template("wide-items", tasks_of([task("a", withItems=list(range(100_000)))]))
    yield template("wide-sequence", tasks_of([task("a", withSequence={"count": "999999999999"})]))
    yield template("wide-param", tasks_of([task("a", withParam=json.dumps(["x" * 10] * 60_000))]))
    yield template("wide-templates", [*({**LEAF, "name": f"leaf{i}"} for i in range(20_000)), *tasks_of([task("a")])])
    yield made(TEKTON, "Pipeline", "wide-pipeline", {"tasks": [
        {"name": f"t{i}", "taskRef": {"name": "x"}, "runAfter": [f"t{j}" for j in range(max(0, i - 60), i)]}
        for i in range(1_900)]})  # fmt: skip
    matrix = {"params": [{"name": f"p{i}", "value": [str(v) for v in range(100)]} for i in range(6)]}
    yield made(
        TEKTON, "Pipeline", "wide-matrix", {"tasks": [{"name": "t", "taskRef": {"name": "x"}, "matrix": matrix}]}
    )
    yield made(TEKTON, "Task", "wide-task", {"steps": [{"name": f"s{i}", "image": "x"} for i in range(10_000)]})
    replicated = [
        {"name": f"j{i}", "replicas": 2**31 - 1, "template": {"spec": {"parallelism": 2**31 - 1}}} for i in range(3_000)
    ]
    yield made(JOBSET, "JobSet", "wide-jobset", {"replicatedJobs": replicated})
    groups_of_ray = [
        {"groupName": f"g{i}", "replicas": 10**12, "template": {"spec": {"containers": []}}} for i in range(5_000)
    ]
    yield made(RAY, "RayJob", "wide-rayjob", {"rayClusterSpec": {"workerGroupSpecs": groups_of_ray}})
    containers = [{"name": f"c{i}", "image": "x"} for i in range(2_000)]
    indexed = {"completions": 100_000, "parallelism": 100_000, "completionMode": "Indexed"}
    indexed |= {"template": {"spec": {"restartPolicy": "Never", "containers": containers}}}
    spec = {"schedule": "0 * * * *", "suspend": True, "jobTemplate": {"spec": indexed}}
    yield made("batch/v1", "CronJob", "wide-cronjob", spec)
    yield finished_run("wide-nodes", {"nodes": {f"n{i}": node(f"n{i}") for i in range(5_000)}})


def multiplying() -> Iterator[Object]:
    """Small texts that expand to large ones."""
    doubled = [{"name": "p0", "value": "x" * 100}, *(
        {"name": f"p{i}", "value": f"{{{{workflow.parameters.p{i - 1}}}}}" * 4} for i in range(1, 30))]  # fmt: skip
    yield template(
        "bomb-parameters", tasks_of([task("{{workflow.parameters.p29}}")]), arguments={"parameters": doubled}
    )
    calls = [{"name": f"t{i}", "dag": {"tasks": [
        {"name": "a", "template": f"t{i + 1}"}, {"name": "b", "template": f"t{i + 1}"}]}} for i in range(40)]  # fmt: skip
    yield template(
        "bomb-calls", [*calls, {**LEAF, "name": "t40"}, {"name": "main", "steps": [[{"name": "x", "template": "t0"}]]}]
    )
    yield template("bomb-itself", tasks_of([{"name": "a", "template": "main"}, {"name": "b", "template": "main"}]))
    yield template(
        "bomb-items", tasks_of([task(f"a{{{{item.{c}}}}}", withItems=[{c: c * 700} for _ in range(700)]) for c in "xy"])
    )
    yield finished_run("bomb-gzip", {"compressedNodes": packed(b'{"a":' + b"[" + b"0," * 20_000_000 + b"0]}")})
    yield finished_run("bomb-lists", {"compressedNodes": packed(b'{"a":[' + b"[]," * 8_000_000 + b"[]]}")})
    yield finished_run("bomb-depth", {"compressedNodes": packed(b'{"a":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}")})
    chained = [{"name": f"p{i}", "default": f"$(params.p{i - 1})" * 6} for i in range(1, 30)]
    yield made(TEKTON, "Pipeline", "bomb-params", {"params": [{"name": "p0", "default": "x"}, *chained], "tasks": [
        {"name": "t", "taskRef": {"name": "$(params.p29)"}}]})  # fmt: skip


def wrong() -> Iterator[Object]:
    """Values of types that the engines reject, where no schema does."""
    values: tuple[Any, ...] = (None, "x", 3, [], [None, 3, "x", []], {"a": 1}, [[LEAF]], True)
    for i, value in enumerate(values):
        yield template(f"wrong-templates-{i}", value)
    yield made(ARGO, "WorkflowTemplate", "wrong-spec", ["x"])
    amounts = {"cpu": "NaN", "memory": "-5Gi", "nvidia.com/gpu": "1e400", "x": ["1"]}
    leaf = {**LEAF, "container": {"image": ["x"], "resources": {"requests": amounts, "limits": "all"}}}
    yield template(
        "wrong-amounts", [leaf, *tasks_of([task("a")])[1:]], parallelism=1e308, activeDeadlineSeconds="{{x}}"
    )
    yield made(ARGO, "CronWorkflow", "wrong-schedule", {"schedule": "*/0 99 31 2 8", "timezone": "../../etc/passwd",
        "workflowSpec": {"entrypoint": "main", "templates": tasks_of([task("a")])}})  # fmt: skip
    yield made(ARGO, "CronWorkflow", "wrong-schedules", {"schedules": ["* * * * *"] * 5_000, "workflowSpec": None})
    yield made(TEKTON, "Pipeline", "wrong-tasks", {"tasks": {"a": 1}, "finally": 7})
    yield made(RAY, "RayJob", "wrong-ray", {"rayClusterSpec": "x"})
    yield made(JOBSET, "JobSet", "wrong-jobset", {"replicatedJobs": [{"replicas": "many", "template": 5}]})
    far = {"startedAt": "9999-12-31T23:59:59Z", "finishedAt": "0001-01-01T00:00:00Z"}
    yield finished_run("wrong-times", {**far, "nodes": {"a": node("a", **far)}})
    loop = {"a": node("a", type="DAG", children=["b"]), "b": node("b", type="DAG", children=["a", "a", "none"])}
    yield finished_run("wrong-circle", {"nodes": loop})
    yield finished_run("wrong-nodes", {"nodes": ["x"], "phase": "Succeeded"})
    yield finished_run("wrong-base64", {"compressedNodes": "!!!" * 1_000})


def texts() -> Iterator[Object]:
    """Unusual characters and sizes."""
    strange = "\u202e\u0000\ufeff\u2028é\U0001f4a3{{=1+1}}$(x)`rm`<b>%s%n"
    yield template("text-names", [{**LEAF, "name": strange}, {"name": "main", "dag": {"tasks": [
        {"name": strange, "template": strange}]}}])  # fmt: skip
    yield template("text-emoji", tasks_of([task("a")]), note="\U0001f4a3" * 330_000)
    yield template(
        "text-large", tasks_of([task("a", arguments={"parameters": [{"name": "x", "value": "y" * 1_400_000}]})])
    )
    notes = {f"example.com/n{i}": "z" * 1_000 for i in range(250)}
    yield made(ARGO, "WorkflowTemplate", "text-annotations", {"templates": [LEAF]}, metadata={"annotations": notes})
    labels = {f"example.com/l{i}": "v" * 63 for i in range(2_000)}
    yield made(ARGO, "WorkflowTemplate", "text-labels", {"templates": [LEAF]}, metadata={"labels": labels})
    yield made(
        ARGO,
        "ClusterWorkflowTemplate",
        "text-cluster",
        {"templates": [{**LEAF, "name": strange}], "entrypoint": strange},
    )


def runs() -> Iterator[Object]:
    """Finished runs of the other engines, with the profiles that read them."""
    far, wide = {"a": nested(3_000, lambda v: [v])}, "x" * 1_300_000
    completed = {"type": "Completed", "status": "True", "lastTransitionTime": DONE}
    sets: dict[str, tuple[Any, Object]] = {
        "deep": ({"replicatedJobs": nested(2_000, lambda v: [v])}, {}),
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
        yield made(JOBSET, "JobSet", f"run-jobset-{name}", spec, status=ends)
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
            yield made(
                api, kind, f"{name}{1_790_000_000_000_000_000 + n}", {}, metadata={"labels": label}, status=status
            )


def _reader(name: str, **selected: Object) -> Object:
    return made(OURS, "WorkflowProfile", name, selected)


def built_in() -> Iterator[Hostile]:
    """Jobs and pods, as hostile as the API server's own checks allow."""
    containers = [{"name": f"c{i}", "image": "x", "env": [{"name": "A", "value": "z" * 300}]} for i in range(2_000)]
    pod = {"restartPolicy": "Never", "containers": containers}
    reader = _reader("runs-of-job", runSelector={"apiVersion": "batch/v1", "kind": "Job", "namePrefix": "run-job-"})
    yield Hostile("runs-of-job", reader)
    wide = {"completions": 100_000, "parallelism": 100_000, "completionMode": "Indexed", "template": {"spec": pod}}
    yield Hostile("run-job-wide", made("batch/v1", "Job", "run-job-wide", wide), complete())
    notes = {f"example.com/n{i}": "z" * 1_000 for i in range(250)}
    labels = {f"example.com/l{i}": "v" * 63 for i in range(2_000)}
    marks = {"spark-app-name": "run-spark", "spark-role": "driver", "spark-app-selector": "s" * 63}
    meta = {"labels": {**labels, **marks}, "annotations": notes}
    yield Hostile("pod-wide", made("v1", "Pod", "pod-wide", pod, metadata=meta))


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
    yield made(api, "WorkflowProfile", "ours-graph", {"graph": {"podRunLabel": "example.com/run", "steps": steps}})
    yield made(
        api,
        "WorkflowProfile",
        "ours-missing",
        {"workflowRef": {"apiVersion": ARGO, "kind": "WorkflowTemplate", "name": "deep-lists"}},
    )
    named = ((ARGO, "WorkflowTemplate"), (ARGO, "CronWorkflow"), (TEKTON, "Pipeline"), ("batch/v1", "CronJob"))
    kinds = [{"apiVersion": api_version, "kind": kind} for api_version, kind in named]
    yield made(
        api, "OptimizationPolicy", "ours-policy", {"discover": kinds, "analysis": {"window": "365d", "maxRuns": 1000}}
    )
    here = {"matchLabels": {"kubernetes.io/metadata.name": SPACE}}
    keys = [f"{'x' * 60}{i}.example.com/{'l' * 60}" for i in range(20)]
    labelled = [{"podLabels": {"workflow": key, "run": key + "r", "step": key + "s"}} for key in keys]
    yield made(
        api, "ClusterOptimizationPolicy", "ours-cluster-policy", {"namespaceSelector": here, "discover": labelled}
    )
    plan = {
        "profileRef": {"name": "ours-graph"},
        "recommendation": "cpu-request.s0",
        "planDigest": "0" * 64,
    }
    yield made(api, "WorkflowChange", "ours-change", plan)


def corpus() -> list[Hostile]:
    """All objects in a fixed order."""
    parts = (deep, wide, multiplying, costly, wrong, texts, runs, ours)
    return [*(Hostile(str(body["metadata"]["name"]), body) for part in parts for body in part()), *built_in()]


def victim() -> Object:
    """The healthy template of the hostile runs."""
    return template("victim", tasks_of([task("a")]))
