"""Argo: behaviour beyond the graph: retries, handlers, waiting, limits, failures."""

from __future__ import annotations

from benchmarks.torture.workflows.parts import LONG, SHORT, WORK, Object, container, dag, pod, steps, task, workflow

_FLAKY = {"exit-code": 137, "reason": "OOMKilled", "fail-until": 2}
_EACH = pod("each", 2, inputs=["item"])
_ITEM = {"item": "{{item}}"}

BEHAVIOUR: tuple[Object, ...] = (
    workflow(
        "retried",
        dag(
            "main",
            task("a", "short"),
            task("train", "train", "a", withItems=["0", "1"], pass_on=_ITEM),
            task("c", "short", "train"),
        ),
        pod(
            "train",
            2,
            inputs=["item"],
            sim=_FLAKY,
            retryStrategy={"limit": "3", "retryPolicy": "Always", "backoff": {"duration": "2"}},
        ),
        SHORT,
    ),
    workflow(
        "exhausted",
        steps("main", [task("fragile", "fragile")], [task("never", "short")]),
        pod("fragile", 1, sim={"exit-code": 2}, retryStrategy={"limit": "1"}),
        SHORT,
        onExit="short",
    ),
    workflow(
        "retried-dag",
        dag("main", task("a", "short"), task("block", "block", "a"), task("z", "short", "block")),
        dag(
            "block",
            task("one", "work"),
            task("two", "flaky", "one"),
            retryStrategy={"limit": "2", "retryPolicy": "Always"},
        ),
        pod("flaky", 1, sim={"fail-percent": 0, "exit-code": 1, "fail-until": 1}),
        *(SHORT, WORK),
    ),
    workflow(
        "retry-expression",
        dag("main", task("a", "picky"), task("b", "short", "a")),
        pod(
            "picky",
            1,
            sim={"exit-code": 3, "fail-until": 1},
            retryStrategy={"limit": "4", "expression": "asInt(lastRetry.exitCode) == 3"},
        ),
        SHORT,
    ),
    workflow(
        "hooked",
        dag("main", task("guarded", "work", hooks={"exit": {"template": "short"}}), task("after", "short", "guarded")),
        *(SHORT, WORK),
        onExit="farewell",
        hooks={"running": {"expression": 'workflow.status == "Running"', "template": "short"}},
    ),
    workflow(
        "hooked-items",
        dag(
            "main",
            task("fan", "each", withItems=["x", "y"], pass_on=_ITEM, hooks={"exit": {"template": "short"}}),
            task("after", "short", "fan"),
        ),
        *(SHORT, _EACH),
    ),
    workflow(
        "failing-exit",
        steps("main", [task("a", "bad")]),
        steps("farewell", [task("tell", "short")], [task("clean", "work")]),
        *(SHORT, WORK, pod("bad", 2, sim={"exit-code": 1})),
        onExit="farewell",
    ),
    workflow(
        "pause-first",
        dag("main", task("pause", "pause"), task("a", "work", "pause")),
        {"name": "pause", "suspend": {"duration": "6"}},
        WORK,
    ),
    workflow(
        "pause-between",
        dag("main", task("a", "short"), task("pause", "pause", "a"), task("b", "work", "pause")),
        {"name": "pause", "suspend": {"duration": "4"}},
        *(SHORT, WORK),
    ),
    workflow(
        "daemon",
        steps("main", [task("db", "server")], [task("load", "work")], [task("query", "long")]),
        pod("server", 150, daemon=True),
        *(WORK, LONG),
    ),
    workflow(
        "failed-daemon",
        dag("main", task("db", "server"), task("load", "long", "db"), task("query", "long", "load")),
        pod("server", 4, daemon=True, sim={"exit-code": 1}),
        LONG,
    ),
    workflow(
        "sidecar",
        dag("main", task("a", "helped"), task("b", "short", "a")),
        pod("helped", 3, sidecars=[container("proxy")]),
        SHORT,
    ),
    workflow(
        "cached",
        dag("main", task("fetch", "fetch"), task("use", "work", "fetch")),
        pod(
            "fetch",
            3,
            memoize={
                "key": "fetch-v1",
                "maxAge": "1h",
                "cache": {"configMap": {"name": "torture-cache", "key": "fetch"}},
            },
        ),
        WORK,
    ),
    workflow(
        "narrow",
        dag("main", task("slice", "each", withSequence={"count": "5"}, pass_on=_ITEM), task("merge", "short", "slice")),
        SHORT,
        _EACH,
        parallelism=2,
    ),
    workflow(
        "mutex",
        dag("main", task("write", "write", withItems=["x", "y", "z"], pass_on=_ITEM), task("end", "short", "write")),
        pod("write", 2, inputs=["item"], synchronization={"mutexes": [{"name": "ledger-{{workflow.name}}"}]}),
        SHORT,
    ),
    workflow(
        "late", dag("main", task("slow", "slow"), task("never", "short", "slow")), pod("slow", 60, timeout="5s"), SHORT
    ),
    workflow(
        "deadline",
        dag("main", task("a", "short"), task("slow", "slow", "a")),
        pod("slow", 60),
        SHORT,
        activeDeadlineSeconds=8,
    ),
    workflow(
        "fail-fast",
        dag(
            "main",
            task("bad", "bad"),
            task("slow", "long"),
            task("next", "short", "bad"),
            task("more", "short", "slow"),
        ),
        *(SHORT, LONG, pod("bad", 1, sim={"exit-code": 1})),
    ),
    workflow(
        "fail-slow",
        dag(
            "main",
            task("bad", "bad"),
            task("slow", "work"),
            task("next", "short", "bad"),
            task("more", "short", "slow"),
            dag={"failFast": False},
        ),
        *(SHORT, WORK, pod("bad", 1, sim={"exit-code": 1})),
    ),
    workflow(
        "instant", dag("main", task("a", "blink"), task("b", "blink", "a"), task("c", "blink", "b")), pod("blink", 0)
    ),
    workflow("lengthy", dag("main", task("a", "short"), task("b", "hour", "a")), pod("hour", 45), SHORT),
    workflow(
        "swept",
        dag("main", task("a", "short"), task("b", "work", "a"), task("c", "short", "b")),
        SHORT,
        WORK,
        podGC={"strategy": "OnPodCompletion"},
    ),
    workflow(
        "defaults",
        dag("main", task("a", "flaky"), task("b", "short", "a")),
        {
            "name": "flaky",
            "metadata": {
                "annotations": {"sim/startup": "0", "sim/duration": "1", "sim/exit-code": "1", "sim/fail-until": "1"}
            },
            "container": container(),
        },
        SHORT,
        templateDefaults={"retryStrategy": {"limit": "2", "retryPolicy": "Always"}},
    ),
    workflow(
        "slots",
        dag(
            "main",
            task("load", "guarded", withItems=["u", "v", "w"], pass_on=_ITEM),
            task("merge", "short", "load"),
        ),
        pod(
            "guarded",
            3,
            inputs=["item"],
            synchronization={"semaphores": [{"configMapKeyRef": {"name": "torture-slots", "key": "load"}}]},
        ),
        SHORT,
    ),
    workflow(
        "pause-items",
        dag(
            "main",
            task("each", "wait-and-work", withItems=["3", "8"], pass_on={"seconds": "{{item}}"}),
            task("z", "short", "each"),
        ),
        steps(
            "wait-and-work",
            [task("pause", "pause", pass_on={"seconds": "{{inputs.parameters.seconds}}"})],
            [task("work", "work")],
            inputs=["seconds"],
        ),
        {
            "name": "pause",
            "inputs": {"parameters": [{"name": "seconds"}]},
            "suspend": {"duration": "{{inputs.parameters.seconds}}"},
        },
        *(SHORT, WORK),
    ),
    workflow(
        "continued-deep",
        steps(
            "main",
            [task("try", "attempt", continueOn={"failed": True, "error": True}), task("side", "long")],
            [task("after", "short")],
        ),
        dag(
            "attempt",
            task("a", "short"),
            task("b", "bad", "a", continueOn={"failed": True}),
            task("c", "bad", "b"),
            task("never", "work", "c"),
        ),
        *(SHORT, WORK, LONG, pod("bad", 1, sim={"exit-code": 1}, retryStrategy={"limit": "1"})),
    ),
)
# Handlers are templates of the workflow itself.
for _found in BEHAVIOUR:
    if _found["metadata"]["name"] == "hooked":
        _found["spec"]["templates"].append(steps("farewell", [task("tell", "short")]))
