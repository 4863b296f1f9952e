"""The manifest of a followed workflow, what the product reads from it, and the edits that people make."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any

from benchmarks.advice.manifests import Known, document, read, resources
from benchmarks.advice.numbers import amount
from benchmarks.lives.law import DAY, HOUR, Flow, Step

NAME, NAMESPACE = "etl", "lab"
_SPEC = "/spec/workflowSpec/"
_RESOURCE = re.compile(r"templates/([^/]+)/container/resources/(request|limit)s/(cpu|memory)")
_RETRIES = re.compile(r"templates/([^/]+)/retryStrategy(?:/limit)?")


@lru_cache(maxsize=64)
def known(flow: Flow) -> Known:
    """The definition that the product reads from the workflow's manifest."""
    return read(manifest(flow), (step.name for step in flow.steps))


def manifest(flow: Flow) -> dict[str, Any]:
    """The object as its owner would write it."""
    tasks = [_task(step) for step in flow.steps]
    spec: dict[str, Any] = {
        "entrypoint": "main",
        "ttlStrategy": {"secondsAfterCompletion": 3600},
        "templates": [{"name": "main", "dag": {"tasks": tasks}}, *(_template(step) for step in flow.steps)],
    }
    if flow.parallelism is not None:
        spec["parallelism"] = flow.parallelism
    whole = {"schedule": schedule(flow.every), "workflowSpec": spec, "concurrencyPolicy": "Forbid"}
    return document("cron", NAME, NAMESPACE, whole)


def schedule(every: float) -> str:
    """The cron expression of starts every so many seconds: less than an hour, whole hours of a day, or a day."""
    if every < HOUR:
        return f"*/{round(every / 60)} * * * *"
    return "0 0 * * *" if every >= DAY else f"0 */{round(every / HOUR)} * * *"


def _inputs(step: Step) -> list[dict[str, str]]:
    given = [{"name": f"from-{d}", "value": f"{{{{tasks.{d}.outputs.parameters.out}}}}"} for d in step.after]
    if step.items > 1:
        given.append({"name": "item", "value": "{{item}}"})
    return given or [{"name": "day", "value": "{{workflow.parameters.day}}"}]


def _task(step: Step) -> dict[str, Any]:
    task: dict[str, Any] = {"name": step.name, "template": step.name, "arguments": {"parameters": _inputs(step)}}
    if step.after:
        task["dependencies"] = list(step.after)
    return task | ({"withItems": [str(i) for i in range(step.items)]} if step.items > 1 else {})


def _template(step: Step) -> dict[str, Any]:
    container = {"image": image(step), "command": ["work"], "resources": resources(step)}
    body: dict[str, Any] = {
        "name": step.name,
        "inputs": {"parameters": [{"name": given["name"]} for given in _inputs(step)]},
        "container": container,
        "outputs": {"parameters": [{"name": "out", "valueFrom": {"path": "/out"}}]},
    }
    if step.timeout is not None:
        body["activeDeadlineSeconds"] = int(step.timeout)
    return body | ({"retryStrategy": {"limit": str(step.retries), "retryPolicy": "Always"}} if step.retries else {})


def image(step: Step) -> str:
    """The image of its container."""
    return f"registry.example/{step.name}:{step.image}"


def edited(flow: Flow, sets: str, share: float = 1.0) -> Flow:
    """The workflow with the fields that a recommendation names as it prints them (``path: old -> new; ...``), or with
    amounts that go this share of the way. Raises ValueError for a field that this benchmark does not know."""
    for path, old, new in _fields(sets):
        flow = _set(flow, path, old, new, share)
    return flow


def _fields(sets: str) -> Iterable[tuple[str, str, str]]:
    for part in sets.split("; "):
        path, _, values = part.partition(": ")
        old, _, new = values.partition(" -> ")
        yield path.removeprefix(_SPEC), old, new


def _set(flow: Flow, path: str, old: str, new: str, share: float) -> Flow:
    if path == "parallelism":
        return replace(flow, parallelism=round(_between(old, new, share)))
    if found := _RESOURCE.fullmatch(path):
        return flow.having(found[1], **{f"{found[3]}_{found[2]}": _between(old, new, share)})
    if found := _RETRIES.fullmatch(path):
        limit = re.search(r"\d+", new)
        return flow.having(found[1], retries=int(limit[0]) if limit else 0)
    raise ValueError(f"{path} is no field of the simulated workflow")


def _between(old: str, new: str, share: float) -> float:
    least = amount(old) if re.match(r"\d", old) else 0.0
    return least + share * (amount(new) - least)
