"""Argo: features that are simple on their own, in typical combinations."""

from __future__ import annotations

from benchmarks.torture.workflows.parts import LONG, SHORT, WORK, Object, container, dag, pod, steps, task, workflow

_EACH = pod("each", 2, inputs=["item"])
_ITEM = {"item": "{{item}}"}
_GIVEN = {"item": "{{inputs.parameters.item}}"}
_TOLD = {"exit": {"template": "tell"}}
_LEFT = {"left": "{{=asInt(inputs.parameters.left) - 1}}"}
_LIST: Object = pod(
    "list",
    1,
    sim={"outputs": '{"parts": "[\\"north\\", \\"south\\"]"}'},
    outputs={"parameters": [{"name": "parts", "valueFrom": {"path": "/tmp/parts"}}]},
)
_ONCE = {"exit-code": 1, "fail-until": 1}
_AGAIN = {"limit": "2", "retryPolicy": "Always"}

MIXED: tuple[Object, ...] = (
    workflow(
        "recursion-retried",
        steps("main", [task("start", "round", pass_on={"left": "2"})], [task("end", "short")]),
        dag(
            "round",
            task("flaky", "flaky"),
            task("next", "round", "flaky", pass_on=_LEFT, when="{{inputs.parameters.left}} > 0"),
            inputs=["left"],
        ),
        pod("flaky", 2, sim=_ONCE, retryStrategy=_AGAIN),
        SHORT,
    ),
    workflow(
        "nested-lists",
        dag(
            "main",
            task("list", "list"),
            task(
                "part",
                "inner",
                "list",
                withParam="{{tasks.list.outputs.parameters.parts}}",
                pass_on={"part": "{{item}}"},
            ),
            task("join", "work", "part"),
        ),
        steps(
            "inner",
            [task("fan", "each", withItems=["a", "b"], pass_on={"item": "{{inputs.parameters.part}}-{{item}}"})],
            [
                task("check", "bad", continueOn={"failed": True}, when="{{inputs.parameters.part}} == north"),
                task("store", "long", when="{{inputs.parameters.part}} != north"),
            ],
            [task("seal", "short")],
            inputs=["part"],
        ),
        *(_LIST, _EACH, SHORT, WORK, LONG, pod("bad", 1, sim={"exit-code": 1})),
    ),
    workflow(
        "daemons",
        steps("main", [task("shard", "shard", withItems=["x", "y"], pass_on=_ITEM)], [task("merge", "work")]),
        steps(
            "shard",
            [task("db", "server"), task("other", "short")],
            [task("load", "each", pass_on={"item": "{{inputs.parameters.item}}"})],
            [task("query", "work")],
            inputs=["item"],
        ),
        pod("server", 14, daemon=True),
        *(SHORT, WORK, _EACH),
    ),
    workflow(
        "exit-fails",
        dag("main", task("a", "short"), task("b", "work", "a")),
        dag("farewell", task("tell", "bad"), task("clean", "short", depends="tell.Failed || tell.Succeeded")),
        *(SHORT, WORK, pod("bad", 1, sim={"exit-code": 1}, retryStrategy={"limit": "1"})),
        onExit="farewell",
    ),
    workflow(
        "patched",
        dag(
            "main",
            task("a", "heavy"),
            task("fan", "heavy", "a", withItems=["1", "2"]),
            task("z", "short", "fan"),
        ),
        {
            "name": "heavy",
            "metadata": {
                "annotations": {"sim/startup": "0", "sim/duration": "2", "sim/exit-code": "1", "sim/fail-until": "1"}
            },
            "podSpecPatch": '{"containers": [{"name": "main", "resources": {"requests": {"cpu": "70m"}}}]}',
            "container": container(),
        },
        SHORT,
        podSpecPatch='{"terminationGracePeriodSeconds": 5}',
        templateDefaults={"retryStrategy": _AGAIN, "activeDeadlineSeconds": 40},
    ),
    workflow(
        "locked-twice",
        dag(
            "main",
            task("left", "guarded", withItems=["x", "y"], pass_on=_ITEM),
            task("right", "guarded", withItems=["z"], pass_on=_ITEM),
            task("join", "short", "left", "right"),
        ),
        dag(
            "guarded",
            task("write", "write"),
            task("note", "short", "write"),
            inputs=["item"],
            synchronization={"mutexes": [{"name": "outer-{{workflow.name}}"}]},
        ),
        pod(
            "write",
            2,
            synchronization={"mutexes": [{"name": "inner-{{workflow.name}}"}]},
            retryStrategy=_AGAIN,
            sim=_ONCE,
        ),
        SHORT,
    ),
    workflow(
        "cached-fan",
        steps(
            "main",
            [task("first", "remember", withItems=["x", "y"], pass_on=_ITEM)],
            [task("again", "remember", withItems=["y", "x", "z"], pass_on=_ITEM)],
            [task("use", "work")],
        ),
        pod(
            "remember",
            2,
            inputs=["item"],
            memoize={
                "key": "{{workflow.uid}}-{{inputs.parameters.item}}",
                "maxAge": "1h",
                "cache": {"configMap": {"name": "torture-fan", "key": "fan"}},
            },
        ),
        WORK,
    ),
    workflow(
        "pause-inside",
        dag(
            "main",
            task("before", "short"),
            task("mid", "middle", "before"),
            task("side", "long", "before"),
            task("z", "short", "mid", "side"),
        ),
        steps(
            "middle", [task("one", "short")], [task("pause", "pause"), task("meanwhile", "work")], [task("two", "work")]
        ),
        {"name": "pause", "suspend": {"duration": "6"}},
        *(SHORT, WORK, LONG),
    ),
    workflow(
        "argued",
        dag(
            "main",
            task("fan", "each", withSequence={"count": "{{workflow.parameters.width}}"}, pass_on=_ITEM),
            task("extra", "work", "fan", when="{{workflow.parameters.extra}} == yes"),
            task("plain", "short", "fan", when="{{workflow.parameters.extra}} != yes"),
            task("join", "short", "extra", "plain"),
        ),
        *(SHORT, WORK, _EACH),
        arguments={"parameters": [{"name": "width", "value": "2"}, {"name": "extra", "value": "no"}]},
    ),
    workflow(
        "hooked-steps",
        steps(
            "main",
            [task("part", "inner", withItems=["x", "y"], pass_on=_ITEM, hooks=_TOLD)],
            [task("z", "work", hooks=_TOLD)],
        ),
        dag("inner", task("a", "each", pass_on=_GIVEN, hooks=_TOLD), task("b", "short", "a"), inputs=["item"]),
        steps("tell", [task("mail", "short")], [task("log", "short")]),
        *(SHORT, WORK, _EACH),
    ),
    workflow(
        "exit-by-status",
        dag("main", task("a", "short"), task("b", "bad", "a")),
        steps(
            "farewell",
            [
                task("cheer", "short", when="{{workflow.status}} == Succeeded"),
                task("alarm", "work", when="{{workflow.status}} != Succeeded"),
            ],
            [task("sweep", "short")],
        ),
        *(SHORT, WORK, pod("bad", 2, sim={"exit-code": 2})),
        onExit="farewell",
    ),
    workflow(
        "none-or-some",
        dag(
            "main",
            task("fan", "failing", withItems=["0", "1"], pass_on=_ITEM),
            task("some", "short", depends="fan.AnySucceeded"),
            task("none", "work", depends="fan.AllFailed"),
            task("join", "short", depends="(some.Succeeded || some.Omitted) && none.Succeeded"),
            dag={"failFast": False},
        ),
        pod("failing", 2, inputs=["item"], sim={"exit-code": 1}, retryStrategy=_AGAIN),
        *(SHORT, WORK),
    ),
    workflow(
        "retried-fan",
        dag("main", task("block", "block"), task("z", "short", "block")),
        dag(
            "block",
            task("fan", "each", withItems=["p", "q"], pass_on=_ITEM),
            task("flaky", "flaky", "fan", pass_on={"try": "{{retries}}"}),
            task("seal", "short", "flaky"),
            retryStrategy=_AGAIN,
        ),
        pod("flaky", 1, inputs=["try"], sim={"exit-code": "{{=asInt(inputs.parameters.try) == 0 ? 1 : 0}}"}),
        *(SHORT, _EACH),
    ),
)

# What the workflows need besides themselves.
NEEDED: tuple[Object, ...] = (
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "torture-slots"}, "data": {"load": "2"}},
)

# Arguments of the runs of a workflow, in place of its own.
ARGUMENTS: dict[str, dict[str, str]] = {"argued": {"width": "4", "extra": "yes"}}
