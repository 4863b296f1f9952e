"""Argo: shapes of graphs, fan-outs and conditions."""

from __future__ import annotations

from benchmarks.torture.workflows.parts import LONG, SHORT, WORK, Object, container, dag, pod, steps, task, workflow

_LIST = pod(
    "list",
    2,
    sim={"outputs": '{"files": "[\\"a.csv\\", \\"b.csv\\", \\"c (1).csv\\"]"}'},
    outputs={"parameters": [{"name": "files", "valueFrom": {"path": "/tmp/files"}}]},
)
_TIMED = pod("timed", "{{inputs.parameters.seconds}}", inputs=["seconds"])
_EACH = pod("each", 2, inputs=["item"])
_ITEM = {"item": "{{item}}"}

GRAPHS: tuple[Object, ...] = (
    workflow("chain", dag("main", task("a", "work"), task("b", "short", "a"), task("c", "work", "b")), SHORT, WORK),
    workflow(
        "diamond",
        dag("main", task("a", "short"), task("b", "work", "a"), task("c", "long", "a"), task("d", "short", "b", "c")),
        *(SHORT, WORK, LONG),
    ),
    workflow(
        "groups",
        steps("main", [task("a", "work")], [task("b", "short"), task("c", "long")], [task("d", "work")]),
        SHORT,
        WORK,
        LONG,
    ),
    workflow(
        "lattice",
        dag(
            "main",
            *(task("a", "short"), task("b", "work"), task("c", "long", "a"), task("d", "short", "a", "b")),
            *(task("e", "work", "c", "d"), task("f", "long", "d"), task("g", "short", "e", "f")),
        ),
        *(SHORT, WORK, LONG),
    ),
    workflow(
        "unequal-items",
        dag(
            "main",
            task("first", "short"),
            task("fan", "timed", "first", pass_on={"seconds": "{{item}}"}, withItems=["2", "9", "4"]),
            task("join", "work", "fan"),
        ),
        *(SHORT, WORK, _TIMED),
    ),
    workflow(
        "map-items",
        dag(
            "main",
            task(
                "fan",
                "each",
                pass_on={"item": "{{item.part}}"},
                withItems=[{"part": "north", "n": 1}, {"part": "s (b)", "n": 2.5}],
            ),
            task("join", "work", "fan"),
        ),
        *(WORK, _EACH),
    ),
    workflow(
        "odd-items",
        dag(
            "main",
            task("fan", "each", pass_on={"item": "x"}, withItems=["a,b", "(x)", "a.b/c d", True, 3, 2.5, "ü"]),
            task("join", "work", "fan"),
        ),
        *(WORK, _EACH),
    ),
    workflow(
        "brace-items",
        dag("main", task("fan", "each", pass_on={"item": "x"}, withItems=["}}", "a}b"]), task("join", "work", "fan")),
        WORK,
        _EACH,
    ),
    workflow(
        "param-items",
        dag(
            "main",
            task("list", "list"),
            task("each", "each", "list", pass_on=_ITEM, withParam="{{tasks.list.outputs.parameters.files}}"),
            task("sum", "work", "each"),
        ),
        *(WORK, _LIST, _EACH),
    ),
    workflow(
        "sequence",
        steps(
            "main",
            [task("page", "each", pass_on=_ITEM, withSequence={"start": "3", "end": "9", "format": "p%03d"})],
            [task("done", "work")],
            parallelism=3,
        ),
        *(WORK, _EACH),
    ),
    workflow(
        "chained-items",
        dag(
            "main",
            task("part", "inner", pass_on={"seconds": "{{item}}"}, withItems=["2", "3", "12"]),
            task("load", "short", "part"),
        ),
        dag(
            "inner",
            task("extract", "timed", pass_on={"seconds": "{{inputs.parameters.seconds}}"}),
            task("clean", "work", "extract"),
            task("seal", "short", "clean"),
            inputs=["seconds"],
        ),
        *(SHORT, WORK, _TIMED),
    ),
    workflow(
        "nested-items",
        dag(
            "main",
            task("outer", "inner", withItems=["x", "y"], pass_on={"who": "{{item}}"}),
            task("join", "short", "outer"),
        ),
        steps(
            "inner",
            [task("fan", "timed", withItems=["2", "5"], pass_on={"seconds": "{{item}}"})],
            [task("one", "work")],
            inputs=["who"],
        ),
        *(SHORT, WORK, _TIMED),
    ),
    workflow(
        "three-deep",
        steps("main", [task("get", "short")], [task("mid", "middle"), task("side", "work")], [task("put", "short")]),
        dag("middle", task("split", "short"), task("core", "core", "split"), task("tail", "short", "core")),
        steps("core", [task("left", "long"), task("right", "work")], [task("close", "short")]),
        *(SHORT, WORK, LONG),
    ),
    workflow(
        "library",
        dag("shared", task("read", "work"), task("write", "long", "read")),
        WORK,
        LONG,
        SHORT,
        dag("main", task("only", "short")),
    ),
    workflow(
        "referenced",
        dag(
            "main",
            task("a", "short"),
            task("lib", None, "a", templateRef={"name": "library", "template": "shared"}),
            task("b", "work", "lib"),
        ),
        *(SHORT, WORK),
    ),
    workflow(
        "inline",
        dag("main", task("a", None, inline={k: v for k, v in WORK.items() if k != "name"}), task("b", "short", "a")),
        SHORT,
    ),
    workflow(
        "skipped",
        dag(
            "main",
            task("a", "short"),
            task("no", "work", "a", when="{{tasks.a.status}} == Failed"),
            task("yes", "long", "a", when="{{tasks.a.status}} == Succeeded"),
            task("join", "short", "no", "yes"),
        ),
        *(SHORT, WORK, LONG),
    ),
    workflow(
        "expressions",
        dag(
            "main",
            task("bad", "bad"),
            task("good", "work"),
            task("repair", "short", depends="bad.Failed && (good.Succeeded || good.Failed)"),
            task("never", "short", depends="bad.Succeeded"),
            task("last", "work", depends="(repair || never.Omitted) && good"),
            dag={"failFast": False},
        ),
        *(SHORT, WORK, pod("bad", 2, sim={"exit-code": 3})),
    ),
    workflow(
        "all-any",
        dag(
            "main",
            task("fan", "shaky", withItems=["0", "1", "2"], pass_on=_ITEM),
            task("some", "short", depends="fan.AnySucceeded"),
            task("none", "work", depends="fan.AllFailed"),
            dag={"failFast": False},
        ),
        *(SHORT, WORK, pod("shaky", 2, inputs=["item"], sim={"exit-code": "{{inputs.parameters.item}}"})),
    ),
    workflow(
        "continued",
        steps(
            "main", [task("bad", "bad", continueOn={"failed": True}), task("slow", "long")], [task("after", "short")]
        ),
        *(SHORT, LONG, pod("bad", 1, sim={"exit-code": 1})),
    ),
    workflow(
        "recursion",
        steps("main", [task("round", "round", pass_on={"left": "2"})], [task("end", "short")]),
        steps(
            "round",
            [task("work", "work")],
            [
                task("again", "stop", when="{{inputs.parameters.left}} == 0"),
                task("next", "second", when="{{inputs.parameters.left}} != 0"),
            ],
            inputs=["left"],
        ),
        steps("second", [task("work", "work")], [task("again", "round", pass_on={"left": "0"})]),
        pod("stop", 1),
        *(SHORT, WORK),
    ),
    workflow(
        "long-fan",
        dag(
            "main",
            task("list", "short"),
            task("each", "each", "list", pass_on=_ITEM, withSequence={"count": "24"}),
            task("sum", "short", "each"),
        ),
        *(SHORT, _EACH),
        parallelism=8,
    ),
    workflow(
        "target",
        dag("main", task("a", "work"), task("b", "short", "a"), task("unused", "long", "a"), dag={"target": "b"}),
        SHORT,
        WORK,
        LONG,
    ),
    workflow(
        "containers",
        dag("main", task("packed", "packed"), task("after", "short", "packed")),
        {
            "name": "packed",
            "metadata": {"annotations": {"sim/startup": "0", "sim/duration": "4"}},
            "containerSet": {"containers": [container("fetch"), container("main", dependencies=["fetch"])]},
        },
        SHORT,
    ),
    workflow(
        "empty-list",
        dag(
            "main",
            task("list", "nothing"),
            task("each", "each", "list", pass_on=_ITEM, withParam="{{tasks.list.outputs.parameters.parts}}"),
            task("after", "work", "each"),
            task("beside", "short", "list"),
        ),
        pod(
            "nothing",
            1,
            sim={"outputs": '{"parts": "[]"}'},
            outputs={"parameters": [{"name": "parts", "valueFrom": {"path": "/tmp/parts"}}]},
        ),
        *(SHORT, WORK, _EACH),
    ),
    workflow(
        "picked-items",
        steps(
            "main",
            [task("fan", "each", withItems=["a", "b", "c"], pass_on=_ITEM, when="'{{item}}' != 'b'")],
            [task("join", "work")],
        ),
        *(WORK, _EACH),
    ),
)
