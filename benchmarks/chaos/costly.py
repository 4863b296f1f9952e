"""Texts that are slow to search or that formatting expands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

LONG = 300_000  # characters


def costly() -> Iterator[dict[str, Any]]:
    """One object of each kind with such a text."""
    each: dict[str, dict[str, Any]] = {
        "width": {"withSequence": {"count": "5", "format": "%1000000000d"}},
        "digits": {"withSequence": {"count": "5", "format": f"%{'9' * 5_000}d"}},
        "format": {"withSequence": {"count": "20000", "format": "x" * LONG}},
        "tags": {"withItems": ["{{=" * (LONG // 3)]},
        "spaces": {"withItems": ["{{a" + " " * LONG]},
        "param": {"withParam": "[" * LONG},
    }
    for name, more in each.items():
        yield _template(f"costly-{name}", [{"name": "a", "template": "leaf", **more}])
    many = [{"name": f"t{i}", "template": "leaf", "withSequence": {"count": "20000"}} for i in range(1_500)]
    yield _template("costly-sequences", many)
    meta = {"name": "costly-timeout"}
    spec = {"tasks": [{"name": "a", "timeout": "1" * LONG, "taskRef": {"name": "x"}}]}
    yield {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": meta, "spec": spec}


def _template(name: str, tasks: list[dict[str, Any]]) -> dict[str, Any]:
    leaf = {"name": "leaf", "container": {"image": "x", "command": ["x"]}}
    spec = {"entrypoint": "main", "templates": [leaf, {"name": "main", "dag": {"tasks": tasks}}]}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "metadata": {"name": name}, "spec": spec}
