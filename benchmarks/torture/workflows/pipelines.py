"""Tekton pipelines of the set."""

from __future__ import annotations

from typing import Any

from benchmarks.torture.workflows.parts import LARGE, SMALL, Object


def _task(name: str, *after: str, seconds: str = "2", sim: Object | None = None, **more: Any) -> Object:
    """A task of a pipeline; ``seconds`` of its steps are separated by commas."""
    requests = more.pop("requests", SMALL)
    spec: Object = {
        "metadata": {
            "annotations": {"sim/startup": "0", "sim/steps": seconds, **{f"sim/{k}": v for k, v in (sim or {}).items()}}
        },
        "steps": [
            {"name": f"s{i}", "image": "sim/work:1", "command": ["work"], "computeResources": requests}
            for i, _ in enumerate(seconds.split(","))
        ],
        **more.pop("spec", {}),
    }
    return {"name": name, "taskSpec": spec, **({"runAfter": list(after)} if after else {}), **more}


def _pipeline(name: str, *tasks: Object, **spec: Any) -> Object:
    return {
        "apiVersion": "tekton.dev/v1",
        "kind": "Pipeline",
        "metadata": {"name": name},
        "spec": {"tasks": list(tasks), **spec},
    }


_RESULT: Object = {"spec": {"results": [{"name": "count"}]}, "sim": {"results": '{"count": "3"}'}}
_USE: Object = {
    "params": [{"name": "value", "value": "$(tasks.build.results.count)"}],
    "spec": {"params": [{"name": "value"}]},
}

PIPELINES: tuple[Object, ...] = (
    _pipeline("tk-chain", _task("a"), _task("b", "a", seconds="3,2", requests=LARGE), _task("c", "b")),
    _pipeline(
        "tk-diamond", _task("a"), _task("b", "a", seconds="6", requests=LARGE), _task("c", "a"), _task("d", "b", "c")
    ),
    _pipeline("tk-results", _task("build", **_RESULT), _task("use", **_USE), _task("last", "use")),
    _pipeline(
        "tk-matrix",
        _task("prepare"),
        _task(
            "each",
            "prepare",
            matrix={"params": [{"name": "part", "value": ["x", "y", "z"]}]},
            spec={"params": [{"name": "part"}]},
        ),
        _task("join", "each"),
    ),
    _pipeline(
        "tk-finally",
        _task("a"),
        _task("bad", "a", sim={"fail-step": "0"}),
        _task("never", "bad"),
        **{"finally": [_task("sweep"), _task("tell", seconds="4")]},
    ),
    _pipeline(
        "tk-when",
        _task("a"),
        _task("no", "a", when=[{"input": "x", "operator": "in", "values": ["y"]}]),
        _task("yes", "a"),
        _task("end", "yes"),
    ),
    _pipeline(
        "tk-retries",
        _task("a"),
        _task("flaky", "a", retries=2, sim={"fail-step": "0", "fail-until": "1"}),
        _task("c", "flaky"),
    ),
    _pipeline(
        "tk-mixed",
        _task("a", **_RESULT),
        _task("no", "a", when=[{"input": "$(tasks.a.results.count)", "operator": "in", "values": ["4"]}]),
        _task(
            "each",
            "a",
            matrix={"params": [{"name": "part", "value": ["x", "y"]}]},
            retries=2,
            sim={"fail-step": "1", "fail-until": "1"},
            seconds="1,2",
            spec={"params": [{"name": "part"}]},
        ),
        _task("after", "no"),
        _task("join", "each"),
        **{
            "finally": [
                _task("tell", when=[{"input": "$(tasks.join.status)", "operator": "in", "values": ["Succeeded"]}]),
                _task("alarm", when=[{"input": "$(tasks.join.status)", "operator": "in", "values": ["Failed"]}]),
                _task(
                    "sweep",
                    matrix={"params": [{"name": "place", "value": ["p", "q"]}]},
                    spec={"params": [{"name": "place"}]},
                ),
            ]
        },
    ),
    _pipeline(
        "tk-timeout",
        _task("a"),
        _task("slow", "a", seconds="2,60", timeout="6s", retries=1),
        _task("never", "slow"),
        _task("side", "a", seconds="3"),
        **{"finally": [_task("sweep")]},
    ),
    _pipeline("tk-ignored", _task("a", sim={"fail-step": "0"}, onError="continue"), _task("b", "a")),
    _pipeline(
        "tk-array",
        _task(
            "list",
            spec={"results": [{"name": "parts", "type": "array"}]},
            sim={"results": '{"parts": "[\\"p\\",\\"q\\"]"}'},
        ),
        _task(
            "each",
            matrix={"params": [{"name": "part", "value": "$(tasks.list.results.parts[*])"}]},
            spec={"params": [{"name": "part"}]},
        ),
        _task("join", "each", seconds="1,1"),
    ),
    _pipeline(
        "tk-include",
        _task(
            "each",
            matrix={
                "params": [{"name": "os", "value": ["l", "m"]}],
                "include": [
                    {"name": "extra", "params": [{"name": "os", "value": "w"}, {"name": "flag", "value": "f"}]}
                ],
            },
            spec={"params": [{"name": "os"}, {"name": "flag", "default": ""}]},
        ),
        _task("join", "each"),
    ),
    _pipeline(
        "tk-daily",
        _task("a", onError="continue", sim={"fail-step": "1", "results": '{"count": "3"}'}, seconds="1,1"),
        _task("gate", "a", when=[{"input": "x", "operator": "in", "values": ["y"]}]),
        _task(
            "fan",
            "a",
            matrix={"params": [{"name": "part", "value": ["x", "y", "z"]}]},
            onError="continue",
            sim={"fail-step": "0"},
            spec={"params": [{"name": "part"}]},
        ),
        _task("behind", "gate", "fan"),
        _task("end", "fan"),
        **{
            "finally": [
                _task("tell", when=[{"input": "$(tasks.status)", "operator": "in", "values": ["Completed"]}]),
                _task("bad", sim={"fail-step": "0"}, retries=1),
            ]
        },
    ),
    _pipeline(
        "tk-arrays",
        _task(
            "list",
            spec={"results": [{"name": "parts", "type": "array"}, {"name": "go"}]},
            sim={"results": '{"parts": "[\\"p\\",\\"q\\",\\"r\\"]", "go": "yes"}'},
        ),
        _task(
            "each",
            when=[{"input": "$(tasks.list.results.go)", "operator": "in", "values": ["yes"]}],
            matrix={"params": [{"name": "part", "value": "$(tasks.list.results.parts[*])"}]},
            retries=1,
            sim={"fail-step": "0", "fail-until": "1"},
            spec={"params": [{"name": "part"}]},
        ),
        _task("never", when=[{"input": "$(tasks.list.results.go)", "operator": "notin", "values": ["yes"]}]),
        _task("behind", "never", "each"),
        _task("join", "each", onError="continue", sim={"fail-step": "1"}, seconds="1,2"),
        _task("last", "join"),
        **{
            "finally": [
                _task(
                    "tell",
                    params=[{"name": "n", "value": "$(tasks.list.results.go)"}],
                    spec={"params": [{"name": "n"}]},
                )
            ]
        },
    ),
    _pipeline(
        "tk-stopped",
        _task("a"),
        _task("bad", "a", seconds="1", sim={"fail-step": "0"}, retries=1),
        _task("slow", "a", seconds="4,3"),
        _task("behind", "slow"),
        _task("never", "bad", when=[{"input": "x", "operator": "in", "values": ["x"]}]),
        **{
            "finally": [
                _task("alarm", when=[{"input": "$(tasks.bad.status)", "operator": "in", "values": ["Failed"]}]),
                _task("cheer", when=[{"input": "$(tasks.status)", "operator": "in", "values": ["Succeeded"]}]),
            ]
        },
    ),
    _pipeline(
        "tk-release",
        _task("version", spec={"results": [{"name": "go"}]}, sim={"results": '{"go": "yes"}'}),
        _task(
            "test",
            "version",
            matrix={"params": [{"name": "os", "value": ["l", "m"]}, {"name": "py", "value": ["3", "4"]}]},
            seconds="1,1",
            spec={"params": [{"name": "os"}, {"name": "py"}]},
        ),
        _task("lint", "version", seconds="3", onError="continue", sim={"fail-step": "0"}),
        _task(
            "publish",
            "test",
            "lint",
            when=[{"input": "$(tasks.version.results.go)", "operator": "in", "values": ["yes"]}],
            retries=3,
            sim={"fail-step": "0", "fail-until": "2"},
        ),
        _task("announce", "publish"),
        **{"finally": [_task("sweep", retries=1, sim={"fail-step": "0", "fail-until": "1"})]},
    ),
    _pipeline(
        "tk-skips",
        _task("a", **_RESULT),
        _task("no", "a", when=[{"input": "x", "operator": "in", "values": ["y"]}], **_RESULT),
        _task("reads", params=[{"name": "n", "value": "$(tasks.no.results.count)"}], spec={"params": [{"name": "n"}]}),
        _task("order", "no"),
        _task("behind", "reads"),
        _task("far", "behind", "order", seconds="1"),
        **{
            "finally": [
                _task(
                    "tell",
                    params=[{"name": "n", "value": "$(tasks.no.results.count)"}],
                    spec={"params": [{"name": "n"}]},
                ),
                _task("sweep", seconds="1"),
            ]
        },
    ),
    _pipeline(
        "tk-parts",
        _task(
            "test",
            seconds="1,2,1",
            spec={
                "workspaces": [{"name": "src"}],
                "sidecars": [{"name": "db", "image": "sim/db:1", "computeResources": SMALL}],
                "stepTemplate": {"computeResources": SMALL},
            },
            workspaces=[{"name": "src", "workspace": "shared"}],
            retries=1,
            sim={"fail-step": "1", "fail-until": "1"},
        ),
        _task(
            "pack", "test", spec={"workspaces": [{"name": "src"}]}, workspaces=[{"name": "src", "workspace": "shared"}]
        ),
        _task(
            "each",
            "pack",
            matrix={"params": [{"name": "os", "value": "$(params.platforms[*])"}]},
            retries=1,
            sim={"fail-step": "0", "fail-until": "1"},
            spec={"params": [{"name": "os"}]},
        ),
        params=[{"name": "platforms", "type": "array", "default": ["l", "m"]}],
        workspaces=[{"name": "shared"}],
    ),
    _pipeline(
        "tk-limited",
        _task("a", seconds="1"),
        _task("slow", "a", seconds="2,30", retries=1),
        _task("never", "slow"),
        **{"finally": [_task("sweep", seconds="1")]},
    ),
)

OF_RUN: dict[str, Object] = {
    "tk-parts": {"workspaces": [{"name": "shared", "emptyDir": {}}]},
    "tk-limited": {
        "timeouts": {"pipeline": "60s", "tasks": "10s"},
        "taskRunSpecs": [{"pipelineTaskName": "a", "computeResources": {"requests": {"cpu": "120m"}}}],
    },
}
"""What the PipelineRuns of a pipeline set besides its name."""
