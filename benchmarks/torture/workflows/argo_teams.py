"""Argo: larger definitions as teams have them: several limits, locks and retries, libraries, fan-outs in fan-outs."""

from __future__ import annotations

from benchmarks.torture.workflows.parts import ARGO, Object, container, dag, pod, steps, task, workflow

_A, _B = pod("short", 1), pod("work", 3)
_EACH = pod("each", 2, inputs=["item"])
_BAD = pod("bad", 1, sim={"exit-code": 1})
_ITEM = {"item": "{{item}}"}
_GIVEN = {"item": "{{inputs.parameters.item}}"}
_AGAIN = {"limit": "2", "retryPolicy": "Always"}
_ONCE = {"exit-code": 1, "fail-until": 1}
_FLAKY = pod("flaky", 1, sim=_ONCE, retryStrategy=_AGAIN)

TEAMS: tuple[Object, ...] = (
    workflow(
        "three-limits",
        dag(
            "main",
            task("site", "site", withItems=["eu", "us", "ap"], pass_on=_ITEM),
            task("total", "short", "site"),
            parallelism=2,
        ),
        steps(
            "site",
            [task("page", "each", withSequence={"count": "4"}, pass_on=_ITEM)],
            [task("sum", "short")],
            inputs=["item"],
            parallelism=2,
        ),
        *(_A, _EACH),
        parallelism=3,
    ),
    workflow(
        "three-fans",
        dag(
            "main",
            task("list", "list"),
            task("region", "region", "list", withParam="{{tasks.list.outputs.parameters.parts}}", pass_on=_ITEM),
            task("join", "short", "region"),
        ),
        steps(
            "region",
            [task("day", "day", withItems=[{"d": 1}, {"d": 2}], pass_on={"item": "{{item.d}}"})],
            inputs=["item"],
        ),
        dag(
            "day",
            task("hour", "each", withSequence={"start": "{{inputs.parameters.item}}", "end": "2"}, pass_on=_ITEM),
            task("roll", "short", "hour"),
            inputs=["item"],
        ),
        pod(
            "list",
            1,
            sim={"outputs": '{"parts": "[\\"p\\", \\"q\\"]"}'},
            outputs={"parameters": [{"name": "parts", "valueFrom": {"path": "/tmp/parts"}}]},
        ),
        *(_A, _EACH),
    ),
    workflow(
        "two-locks",
        dag(
            "main",
            task("write", "write", withItems=["x", "y", "z"], pass_on=_ITEM),
            task("check", "check", withItems=["x", "y"], pass_on=_ITEM),
            task("end", "short", "write", "check"),
        ),
        pod(
            "write",
            2,
            inputs=["item"],
            synchronization={
                "semaphores": [{"configMapKeyRef": {"name": "torture-slots", "key": "load"}}],
                "mutexes": [{"name": "both-{{workflow.name}}"}],
            },
        ),
        steps(
            "check",
            [task("look", "each", pass_on=_GIVEN)],
            [task("note", "short")],
            inputs=["item"],
            synchronization={"semaphores": [{"configMapKeyRef": {"name": "torture-slots", "key": "load"}}]},
        ),
        *(_A, _EACH),
    ),
    workflow(
        "libraries",
        steps(
            "main",
            [
                task("own", "short"),
                task("lib", None, templateRef={"name": "library", "template": "shared"}),
                task(
                    "far",
                    None,
                    templateRef={"name": "cluster-library", "template": "spread", "clusterScope": True},
                    pass_on={"item": "1"},
                ),
            ],
            [
                task(
                    "fan",
                    None,
                    templateRef={"name": "cluster-library", "template": "each", "clusterScope": True},
                    withItems=["p", "q"],
                    pass_on=_ITEM,
                ),
            ],
        ),
        _A,
        hooks={"exit": {"templateRef": {"name": "cluster-library", "template": "short", "clusterScope": True}}},
    ),
    workflow(
        "inline-parts",
        steps(
            "main",
            [
                task("fan", None, withItems=["p", "q"], inline={k: v for k, v in _FLAKY.items() if k != "name"}),
                task("inline", "work"),
            ],
            [task("inline-end", None, inline={k: v for k, v in _A.items() if k != "name"})],
        ),
        _B,
    ),
    workflow(
        "set-fanned",
        dag(
            "main",
            task("prepare", "short"),
            task("each", "packed", "prepare", withItems=["a", "b"], pass_on=_ITEM),
            task("end", "short", "each"),
        ),
        {
            "name": "packed",
            "inputs": {"parameters": [{"name": "item"}]},
            "metadata": {"annotations": {"sim/startup": "0", "sim/duration": "3"}},
            "containerSet": {
                "containers": [
                    container("in"),
                    container("left", dependencies=["in"]),
                    container("right", dependencies=["in"]),
                    container("main", dependencies=["left", "right"]),
                ],
            },
        },
        _A,
    ),
    workflow(
        "created",
        dag(
            "main",
            task("make", "make"),
            task("fan", "each", "make", withItems=["1"], pass_on=_ITEM),
            task("end", "short", "fan"),
        ),
        {
            "name": "make",
            "metadata": {"annotations": {"sim/startup": "0", "sim/duration": "3"}},
            "resource": {
                "action": "create",
                "manifest": '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "made-"}}',
            },
        },
        *(_A, _EACH),
    ),
    workflow(
        "two-targets",
        dag(
            "main",
            task("a", "short"),
            task("b", "work", depends="a"),
            task("c", "bad", depends="a"),
            task("d", "short", depends="c.Failed && b"),
            task("unused", "work", depends="d"),
            dag={"target": "b d", "failFast": False},
        ),
        *(_A, _B, _BAD),
    ),
    workflow(
        "no-need",
        dag(
            "main",
            task("a", "short"),
            task("no", "part", depends="a", when="'{{tasks.a.status}}' == 'Failed'"),
            task("unless", "short", depends="!no.Succeeded"),
            task("b", "each", depends="no.Skipped && unless", withItems=["1", "2"], pass_on=_ITEM),
            task("z", "short", depends="b && (no || no.Omitted)"),
        ),
        dag("part", task("x", "short"), task("y", "work", "x")),
        *(_A, _B, _EACH),
    ),
    workflow(
        "many-rounds",
        dag("main", task("a", "short"), task("block", "block", "a"), task("z", "short", "block")),
        dag(
            "block",
            task("one", "short"),
            task("two", "until", "one", pass_on={"try": "{{retries}}"}),
            retryStrategy={"limit": "8", "retryPolicy": "Always"},
        ),
        pod("until", 1, inputs=["try"], sim={"exit-code": "{{=asInt(inputs.parameters.try) < 6 ? 1 : 0}}"}),
        _A,
    ),
    workflow(
        "retried-everywhere",
        dag(
            "main",
            task("get", "once"),
            task("fan", "part", "get", withItems=["1", "2"], pass_on=_ITEM),
            task("put", "once", "fan"),
        ),
        steps("part", [task("load", "once")], [task("clean", "short"), task("store", "once")], inputs=["item"]),
        pod("once", 1, sim=_ONCE),
        _A,
        onExit="once",
        retryStrategy={"limit": "3", "retryPolicy": "Always"},
    ),
    workflow(
        "limited-by-arguments",
        dag(
            "main",
            task("quick", "limited", pass_on={"seconds": "30", "size": "50m"}),
            task("late", "limited", pass_on={"seconds": "2", "size": "60m"}),
            task("fix", "short", depends="late.Failed || late.Errored"),
            task("end", "short", depends="quick && fix"),
            dag={"failFast": False},
        ),
        {
            **pod("limited", 4, inputs=["seconds", "size"], activeDeadlineSeconds="{{inputs.parameters.seconds}}"),
            "podSpecPatch": '{"containers": [{"name": "main", "resources": {"requests": {"cpu": '
            '"{{inputs.parameters.size}}"}}}]}',
        },
        _A,
    ),
)
CLUSTER_LIBRARY: tuple[Object, ...] = (
    {
        "apiVersion": ARGO,
        "kind": "ClusterWorkflowTemplate",
        "metadata": {"name": "cluster-library"},
        "spec": {
            "templates": [
                dag(
                    "spread",
                    task("read", "short"),
                    task("near", None, "read", templateRef={"name": "library", "template": "shared"}),
                    task("each", "each", "read", withItems=["1", "2"], pass_on=_ITEM),
                    inputs=["item"],
                ),
                _A,
                _EACH,
            ]
        },
    },
)
