"""Argo: fan-outs, handlers, limits, caches and failures inside one another."""

from __future__ import annotations

from benchmarks.torture.workflows.parts import LONG, SHORT, WORK, Object, dag, pod, steps, task, workflow

_EACH = pod("each", 2, inputs=["item"])
_BAD = pod("bad", 1, sim={"exit-code": 1})
_AGAIN = {"limit": "2", "retryPolicy": "Always"}
_FLAKY = pod("flaky", 2, sim={"exit-code": 1, "fail-until": 1}, retryStrategy=_AGAIN)
_ITEM = {"item": "{{item}}"}
_GIVEN = {"item": "{{inputs.parameters.item}}"}
_CACHE = {"name": "torture-block", "key": "block"}

NESTED: tuple[Object, ...] = (
    workflow(
        "branches-fanned",
        steps(
            "main",
            [
                task(
                    "part", "inner", withSequence={"start": "0", "end": "2"}, pass_on=_ITEM, continueOn={"failed": True}
                )
            ],
            [task("end", "short")],
        ),
        dag(
            "inner",
            task("a", "short"),
            task("try", "maybe", depends="a", pass_on=_GIVEN),
            task("side", "work", depends="a"),
            task("fix", "short", depends="try.Failed || try.Errored"),
            task("use", "work", depends="try.Succeeded && side"),
            task("tail", "short", depends="(fix.Succeeded || fix.Omitted) && (use.Succeeded || use.Omitted) && side"),
            inputs=["item"],
            dag={"failFast": False},
        ),
        pod("maybe", 2, inputs=["item"], sim={"exit-code": "{{=asInt(inputs.parameters.item) == 1 ? 1 : 0}}"}),
        *(SHORT, WORK),
    ),
    workflow(
        "task-hooks",
        dag(
            "main",
            task("s", "short"),
            task(
                "a",
                "work",
                "s",
                hooks={
                    "running": {"expression": 'tasks["a"].status == "Running"', "template": "long"},
                    "success": {"expression": 'tasks["a"].status == "Succeeded"', "template": "tell"},
                },
            ),
            task(
                "b",
                "bad",
                "a",
                hooks={"failed": {"expression": 'tasks["b"].status == "Failed"', "template": "short"}},
                continueOn={"failed": True},
            ),
            task("c", "work", "b"),
        ),
        steps("tell", [task("mail", "short")]),
        *(SHORT, WORK, LONG, _BAD),
    ),
    workflow(
        "locked-whole",
        steps(
            "main",
            [
                task("left", "block", withItems=["x", "y"], pass_on=_ITEM),
                task("right", "guarded", pass_on={"item": "r"}),
            ],
            [task("end", "short")],
        ),
        dag("block", task("pre", "short"), task("hold", "guarded", "pre", pass_on=_GIVEN), inputs=["item"]),
        pod("guarded", 3, inputs=["item"], synchronization={"mutexes": [{"name": "part-{{workflow.name}}"}]}),
        SHORT,
        synchronization={"mutexes": [{"name": "whole-{{workflow.name}}"}]},
    ),
    workflow(
        "deadline-retried",
        steps(
            "main",
            [task("slow", "slow", continueOn={"failed": True, "error": True}), task("side", "short")],
            [task("after", "work")],
        ),
        pod("slow", 60, activeDeadlineSeconds=4, retryStrategy={"limit": "1", "retryPolicy": "Always"}),
        *(SHORT, WORK),
    ),
    workflow(
        "limited-inside",
        dag("main", task("part", "inner", withItems=["x", "y"], pass_on=_ITEM), task("join", "short", "part")),
        dag(
            "inner",
            task("p", "work"),
            task("q", "work"),
            task("r", "short"),
            task("s", "short", "p", "q", "r"),
            inputs=["item"],
            parallelism=1,
        ),
        *(SHORT, WORK),
        parallelism=4,
    ),
    workflow(
        "cached-block",
        dag("main", task("one", "block"), task("two", "block", "one"), task("use", "work", "two")),
        steps(
            "block",
            [task("x", "short")],
            [task("y", "work")],
            memoize={"key": "{{workflow.uid}}", "maxAge": "1h", "cache": {"configMap": _CACHE}},
            outputs={"parameters": [{"name": "made", "valueFrom": {"expression": "'1'"}}]},
        ),
        *(SHORT, WORK),
    ),
    workflow(
        "fan-skipped",
        dag(
            "main",
            task("a", "short"),
            task("fan", "each", depends="a", withItems=["p", "q"], pass_on=_ITEM, when="{{tasks.a.status}} == Failed"),
            task("block", "block", depends="a", when="{{tasks.a.status}} == Failed"),
            task("b", "work", depends="fan && block"),
            task("c", "short", depends="fan.Skipped"),
            task("d", "short", depends="b && c"),
        ),
        steps("block", [task("x", "short")], [task("y", "work")]),
        *(SHORT, WORK, _EACH),
    ),
    workflow(
        "daemoned",
        dag(
            "main",
            task("db", "server"),
            task("load", "flaky", depends="db.Daemoned"),
            task("query", "work", depends="load"),
            task("end", "short", depends="query && db.Daemoned"),
        ),
        pod("server", 30, daemon=True),
        *(SHORT, WORK, _FLAKY),
    ),
    workflow(
        "exit-retried",
        dag("main", task("a", "short"), task("block", "block", "a")),
        dag(
            "block",
            task("x", "work"),
            task("y", "bad", "x"),
            retryStrategy={"limit": "1", "retryPolicy": "Always"},
        ),
        dag(
            "farewell",
            task("fan", "each", withItems=["1", "2"], pass_on=_ITEM),
            task("tell", "flaky", "fan"),
            task("end", "short", "tell"),
        ),
        *(SHORT, WORK, _EACH, _BAD, _FLAKY),
        onExit="farewell",
    ),
)
