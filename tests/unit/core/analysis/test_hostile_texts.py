"""No text of a tenant's template, of whatever length, takes time that grows faster than the text."""

from __future__ import annotations

from typing import Any

import pytest

from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import analyze_workflow
from concertmaster.engines import define
from tests.support.builders import DAY, NOW
from tests.support.core.scenario_builder import argo, simulate, task

LENGTH = 60_000  # quadratic in this is minutes
FILLERS = [
    "1",
    ".0",
    "1h",
    "{{a",
    "{{=(",
    "a && ",
    "((",
    "\\",
    '"',
    "\n",
    "é",
    "a-",
    "tasks.b.",
    "9e9",
    "[[",
    "%d",
    "* ",
]


def workflow(text: str) -> dict[str, Any]:
    """A template with ``text`` in every field that is read, next to names and references that hold."""
    quantities = {"requests": {"cpu": text, "memory": text, "ephemeral-storage": text}, "limits": {"memory": text}}
    work = {
        "memoize": {"key": text, "maxAge": text, "cache": {"configMap": {"name": "cache", "key": text}}},
        "timeout": text,
        "activeDeadlineSeconds": text,
        "parallelism": text,
        "retryStrategy": {
            "limit": text,
            "retryPolicy": text,
            "expression": text,
            "backoff": {"duration": text, "factor": text, "maxDuration": text, "cap": text},
        },
        "synchronization": {"mutex": {"name": text}, "semaphore": {"configMapKeyRef": {"name": text, "key": text}}},
        "metadata": {"labels": {"a": text}, "annotations": {"a": text}},
        "podSpecPatch": text,
        "nodeSelector": {text[:300]: text},
        "container": {"image": text, "command": [text], "args": [text], "env": [{"name": "A", "value": text}],
                      "resources": quantities},
        "inputs": {"parameters": [{"name": "p", "value": text, "default": text}]},
        "outputs": {"parameters": [{"name": "p", "valueFrom": {"path": text, "expression": text}}]},
    }  # fmt: skip
    calls = {
        "when": text,
        "withParam": text,
        "arguments": {"parameters": [{"name": "p", "value": text}], "artifacts": [{"name": "x", "from": text}]},
    }
    found = argo(
        task("a"),
        task("b", "a", **calls),
        task("c", "b", withSequence={"count": text, "start": text, "format": text}),
        task("d", "c", hooks={"running": {"template": "a", "expression": text}}),
        templates={"a": work, "b": work},
        activeDeadlineSeconds=text,
        parallelism=text,
        onExit="a",
        arguments={"parameters": [{"name": "p", "value": text}]},
        ttlStrategy={"secondsAfterCompletion": text},
        podGC={"strategy": text, "deleteDelayDuration": text},
        synchronization={"mutexes": [{"name": text}]},
        workflowMetadata={"labels": {"a": text}},
        podPriorityClassName=text,
        priority=text,
    )
    found["metadata"]["annotations"] = {"workflows.argoproj.io/description": text, "b": text}
    return found


@pytest.mark.timeout(60)
@pytest.mark.parametrize("filler", FILLERS)
def test_an_analysis_ends_soon_whatever_is_written(filler: str) -> None:
    definition = define(workflow(filler * (LENGTH // len(filler))))
    assert definition is not None
    runs = [
        simulate(definition.graph, dict.fromkeys("abcd", 60.0 + n), number=n, start=NOW - DAY * (12 - n))
        for n in range(12)
    ]
    result = analyze_workflow(definition, runs, Policy(), profile="wfp", now=NOW)
    assert result.analysis.steps
