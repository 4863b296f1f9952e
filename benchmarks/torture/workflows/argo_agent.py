"""Argo: ``http`` and plugin templates, which an agent runs instead of pods of their own. The agent of the simulation
answers after ``sim/duration``, with ``sim/result``; its first answers fail as ``sim/fail-until`` says."""

from __future__ import annotations

from typing import Any

from benchmarks.torture.workflows.parts import Object, dag, pod, steps, task, workflow

_A, _B = pod("short", 1), pod("work", 3)
_EACH = pod("each", 2, inputs=["item"])
_ITEM = {"item": "{{item}}"}


def _sent(name: str, seconds: int, sim: Object, body: Object, **more: Any) -> Object:
    notes = {"sim/duration": seconds, **{f"sim/{key}": value for key, value in sim.items()}}
    return {"name": name, "metadata": {"annotations": {k: str(v) for k, v in notes.items()}}, **body, **more}


def http(name: str, seconds: int, sim: Object | None = None, **more: Any) -> Object:
    """A template that sends a request."""
    return _sent(name, seconds, sim or {}, {"http": {"url": "http://service.example/api", "method": "POST"}}, **more)


def plugin(name: str, seconds: int, sim: Object | None = None, **more: Any) -> Object:
    """A template of an executor plugin."""
    return _sent(name, seconds, sim or {}, {"plugin": {"notify": {"channel": "builds"}}}, **more)


AGENT: tuple[Object, ...] = (
    workflow(
        "called",
        dag(
            "main",
            task("a", "short"),
            task("ask", "ask", depends="a"),
            task("tell", "tell", depends="a"),
            task("yes", "work", depends="ask", when="{{tasks.ask.outputs.result}} == ready"),
            task("no", "work", depends="ask", when="{{tasks.ask.outputs.result}} == busy"),
            task("end", "short", depends="tell && (yes.Succeeded || yes.Skipped) && (no.Succeeded || no.Skipped)"),
        ),
        http("ask", 3, {"result": "ready"}),
        plugin("tell", 9),
        *(_A, _B),
    ),
    workflow(
        "called-fan",
        steps(
            "main",
            [task("list", "list")],
            [task("each", "each", withParam="{{steps.list.outputs.result}}", pass_on=_ITEM), task("beside", "ask")],
            [task("report", "report", withItems=["x", "y", "z"], pass_on=_ITEM)],
            [task("end", "short")],
        ),
        http("list", 2, {"result": '["p", "q", "r"]'}),
        http("ask", 4),
        plugin("report", 2, inputs={"parameters": [{"name": "item"}]}),
        *(_A, _EACH),
    ),
    workflow(
        "called-retried",
        dag("main", task("a", "short"), task("part", "part", "a"), task("end", "work", "part")),
        dag("part", task("ask", "ask"), task("use", "short", "ask"), task("tell", "tell", "ask")),
        http("ask", 2, {"fail-until": 2}, retryStrategy={"limit": "2", "retryPolicy": "Always"}),
        plugin("tell", 3, {"fail-until": 1}, retryStrategy={"limit": "1", "retryPolicy": "Always"}),
        *(_A, _B, http("close", 2)),
        onExit="close",
    ),
    workflow(
        "called-only",
        steps("main", [task("ask", "ask"), task("tell", "tell")], [task("again", "ask")]),
        http("ask", 2),
        plugin("tell", 4),
    ),
    workflow(
        "called-failed",
        dag(
            "main",
            task("a", "short"),
            task("ask", "ask", depends="a"),
            task("never", "work", depends="ask"),
            task("side", "work", depends="a"),
            task("tell", "tell", depends="ask.Failed"),
        ),
        http("ask", 2, {"fail-until": 9}),
        plugin("tell", 2),
        *(_A, _B),
        onExit="short",
    ),
)
