"""Argo: patterns of daily work: polling, approval under a lock, map and reduce, handlers of what failed."""

from __future__ import annotations

from benchmarks.torture.workflows.parts import Object, container, dag, pod, steps, task, workflow

_A, _B = pod("short", 1), pod("work", 3)
_EACH = pod("each", 2, inputs=["item"])
_ITEM = {"item": "{{item}}"}
_GIVEN = {"item": "{{inputs.parameters.item}}"}
_AGAIN = {"limit": "2", "retryPolicy": "Always"}
_ONCE = {"exit-code": 1, "fail-until": 1}
_PARTS: Object = {"parameters": [{"name": "parts", "valueFrom": {"path": "/tmp/parts"}}]}

PRACTICE: tuple[Object, ...] = (
    workflow(
        "guarded-sequence",
        steps(
            "main",
            [task("day", "day", withSequence={"start": "1", "end": "3"}, pass_on=_ITEM, when="{{item}} != 2")],
            [task("report", "short")],
        ),
        steps(
            "day",
            [task("hour", "flaky", withSequence={"count": "2"}, pass_on=_ITEM)],
            [
                task("odd", "work", when="{{inputs.parameters.item}} == 3"),
                task("even", "short", when="{{inputs.parameters.item}} != 3"),
            ],
            inputs=["item"],
            retryStrategy={"limit": "1"},
        ),
        pod("flaky", 1, inputs=["item"], sim=_ONCE, retryStrategy={**_AGAIN, "backoff": {"duration": "1"}}),
        *(_A, _B),
    ),
    workflow(
        "handled-failure",
        steps(
            "main",
            [
                task(
                    "load",
                    "bad",
                    continueOn={"failed": True},
                    hooks={"exit": {"template": "tell", "expression": 'steps["load"].status == "Failed"'}},
                ),
                task("side", "work"),
            ],
            [task("repair", "block", hooks={"exit": {"template": "tell"}})],
            [task("end", "short")],
        ),
        dag("block", task("x", "short"), task("y", "bad", "x"), task("never", "work", "y")),
        dag("tell", task("mail", "short"), task("log", "flaky", "mail")),
        *(_A, _B, pod("bad", 1, sim={"exit-code": 1}, retryStrategy={"limit": "1"})),
        pod("flaky", 1, sim=_ONCE, retryStrategy=_AGAIN),
        onExit="tell",
    ),
    workflow(
        "approved-under-lock",
        dag(
            "main",
            task("plan", "short"),
            task("deploy", "deploy", "plan", withItems=["eu", "us"], pass_on=_ITEM),
            task("other", "work", "plan"),
            task("end", "short", "deploy", "other"),
        ),
        steps(
            "deploy",
            [task("check", "short")],
            [task("approve", "approve")],
            [task("roll-out", "each", pass_on=_GIVEN)],
            inputs=["item"],
            synchronization={"mutexes": [{"name": "deploy-{{workflow.name}}"}]},
        ),
        {"name": "approve", "suspend": {"duration": "3"}},
        *(_A, _B, _EACH),
    ),
    workflow(
        "swept-failure",
        dag(
            "main",
            task("a", "flaky"),
            task("fan", "each", "a", withItems=["p", "q", "r"], pass_on=_ITEM),
            task("b", "bad", "fan"),
            task("never", "work", "b"),
        ),
        pod("flaky", 2, sim=_ONCE, retryStrategy=_AGAIN),
        *(_B, _EACH, pod("bad", 2, sim={"exit-code": 1})),
        podGC={"strategy": "OnPodSuccess", "deleteDelayDuration": "1s"},
    ),
    workflow(
        "packed-retried",
        dag("main", task("a", "short"), task("packed", "packed", "a"), task("after", "work", "packed")),
        {
            "name": "packed",
            "metadata": {
                "annotations": {"sim/startup": "0", "sim/duration": "3", "sim/exit-code": "1", "sim/fail-until": "1"}
            },
            "retryStrategy": _AGAIN,
            "containerSet": {
                "retryStrategy": {"retries": "2", "duration": "1s"},
                "containers": [
                    container("fetch"),
                    container("check"),
                    container("main", dependencies=["fetch", "check"]),
                ],
            },
        },
        *(_A, _B),
    ),
    workflow(
        "polled",
        steps("main", [task("submit", "short")], [task("wait", "poll", pass_on={"left": "2"})], [task("use", "work")]),
        steps(
            "poll",
            [task("check", "check")],
            [task("pause", "pause", when="{{inputs.parameters.left}} > 0")],
            [
                task(
                    "again",
                    "poll",
                    when="{{inputs.parameters.left}} > 0",
                    pass_on={"left": "{{=asInt(inputs.parameters.left) - 1}}"},
                )
            ],
            inputs=["left"],
        ),
        {"name": "pause", "suspend": {"duration": "3"}},
        *(_A, _B, pod("check", 1)),
    ),
    workflow(
        "map-reduce",
        dag(
            "main",
            task("split", "split"),
            task("map", "map", depends="split", withParam="{{tasks.split.outputs.parameters.parts}}", pass_on=_ITEM),
            task("merge", "split", depends="map"),
            task(
                "reduce", "each", depends="merge", withParam="{{tasks.merge.outputs.parameters.parts}}", pass_on=_ITEM
            ),
            task("publish", "short", depends="reduce.Succeeded && map"),
        ),
        dag(
            "map",
            task("read", "each", pass_on=_GIVEN),
            task("skip", "work", depends="read", when="{{inputs.parameters.item}} == q"),
            task("write", "flaky", depends="skip || skip.Skipped"),
            inputs=["item"],
        ),
        pod("split", 1, sim={"outputs": '{"parts": "[\\"p\\", \\"q\\"]"}'}, outputs=_PARTS),
        pod("flaky", 1, sim=_ONCE, retryStrategy=_AGAIN),
        *(_A, _B, _EACH),
        parallelism=3,
    ),
    workflow(
        "fallbacks",
        dag(
            "main",
            task("fast", "late"),
            task("slow", "work", depends="fast.Failed || fast.Errored"),
            task("manual", "short", depends="slow.Failed"),
            task("done", "each", depends="fast.Succeeded || slow.Succeeded || manual.Succeeded", pass_on={"item": "1"}),
            task("undo", "short", depends="done.Failed || done.Errored"),
            dag={"failFast": False},
        ),
        pod("late", 30, activeDeadlineSeconds=3, sim={"exit-code": 1}),
        *(_A, _B, _EACH),
    ),
)
