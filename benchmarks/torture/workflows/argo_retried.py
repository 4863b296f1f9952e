"""Argo: Workflows that fail and are retried by hand with another parameter, as ``argo retry -p code=0`` does."""

from __future__ import annotations

from benchmarks.torture.workflows.parts import Object, dag, pod, steps, task, workflow

_A, _B = pod("short", 1), pod("work", 3)
_ITEM = {"item": "{{item}}"}
_CODE: Object = {"arguments": {"parameters": [{"name": "code", "value": "1"}]}}
_BAD = pod("bad", 2, sim={"exit-code": "{{workflow.parameters.code}}"})
_LATER = pod("later", 3, sim={"exit-code": "{{workflow.parameters.code}}"})
_OF_Q = "{{=inputs.parameters.item == 'q' ? workflow.parameters.code : '0'}}"
_MENDED = ("code=0",)

RETRIES: dict[str, tuple[tuple[str, ...], ...]] = {
    "again-chain": (_MENDED,),
    "again-exit": (_MENDED,),
    "again-fan": (_MENDED,),
    "again-nested": (_MENDED,),
    "again-twice": ((), _MENDED),
}
"""The parameters of each retry of a run, by workflow."""

RETRIED: tuple[Object, ...] = (
    workflow(
        "again-chain",
        dag("main", task("a", "short"), task("b", "bad", "a"), task("c", "work", "b"), task("side", "work", "a")),
        *(_A, _B, _BAD),
        **_CODE,
    ),
    workflow(
        "again-exit",
        dag("main", task("a", "short"), task("b", "bad", "a"), task("c", "work", "b")),
        dag("tell", task("mail", "short"), task("log", "short", "mail")),
        *(_A, _B, {**_BAD, "retryStrategy": {"limit": "1", "retryPolicy": "Always"}}),
        onExit="tell",
        **_CODE,
    ),
    workflow(
        "again-fan",
        steps(
            "main",
            [task("list", "short")],
            [task("fan", "each", withItems=["p", "q", "r"], pass_on=_ITEM), task("beside", "work")],
            [task("join", "work")],
        ),
        pod("each", 2, inputs=["item"], sim={"exit-code": _OF_Q}),
        *(_A, _B),
        **_CODE,
    ),
    workflow(
        "again-nested",
        dag("main", task("a", "short"), task("part", "part", "a"), task("end", "short", "part")),
        steps("part", [task("x", "work"), task("y", "bad")], [task("inner", "inner")], [task("z", "short")]),
        dag("inner", task("p", "short"), task("q", "later", "p"), task("r", "short", "q")),
        *(_A, _B, _LATER, pod("bad", 2)),
        **_CODE,
    ),
    workflow(
        "again-twice",
        dag(
            "main",
            task("a", "short"),
            task("b", "bad", "a"),
            task("c", "later", "b"),
            task("d", "short", "c"),
            task("other", "later", "a"),
        ),
        *(_A, _BAD, _LATER),
        **_CODE,
    ),
)
