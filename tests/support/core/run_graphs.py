"""Small step graphs."""

from __future__ import annotations

from typing import Any

from concertmaster.core.model import WorkflowDefinition
from concertmaster.engines import define
from tests.support.engines.argo_oracle import leaf, template


def definition(*tasks: dict[str, Any], **spec: Any) -> WorkflowDefinition:
    main = {"name": "main", "dag": {"tasks": list(tasks)}}
    templates = [
        main,
        leaf("run"),
        leaf("cached", memoize={"key": "k"}),
        {"name": "pause", "suspend": {}},
        leaf("d", daemon=True),
    ]
    found = define(template("etl", {"entrypoint": "main", "templates": templates, **spec}))
    assert found is not None
    assert found.graph.problems == ()
    return found


def task(name: str, *after: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "template": "run", "dependencies": list(after), **fields}


DIAMOND = definition(task("a"), task("b", "a"), task("c", "a"), task("d", "b", "c"))
