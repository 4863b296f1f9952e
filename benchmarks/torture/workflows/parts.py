"""Builders for the manifests of the set: pods that behave as their annotations say."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

ARGO = "argoproj.io/v1alpha1"
SMALL = {"requests": {"cpu": "50m", "memory": "32Mi"}}
LARGE = {"requests": {"cpu": "800m", "memory": "1Gi"}}  # several times the usage: worth a recommendation


def container(name: str = "main", **more: Any) -> Object:
    """A container that is never started: image and command are only names."""
    return {"name": name, "image": f"sim/{name}:1", "command": [name], "resources": SMALL, **more}


def pod(name: str, seconds: float | str = 2, **more: Any) -> Object:
    """A template of one pod. ``sim`` are further annotations of the simulation; ``inputs`` are names of input
    parameters."""
    annotations = {"sim/startup": "0", "sim/duration": str(seconds), **_sim(more.pop("sim", {}))}
    template: Object = {"name": name, "metadata": {"annotations": annotations}, "container": container()}
    return {**template, **_inputs(more.pop("inputs", ())), **more}


def _sim(found: Object) -> Object:
    return {f"sim/{name}": str(value) for name, value in found.items()}


def _inputs(names: Any) -> Object:
    return {"inputs": {"parameters": [{"name": name} for name in names]}} if names else {}


def task(name: str, template: str | None = None, *after: str, **more: Any) -> Object:
    """A task or step. ``after``: its dependencies; ``pass_on``: arguments for the parameters of its template."""
    found: Object = {"name": name, **({"template": template} if template else {})}
    if after:
        found["dependencies"] = list(after)
    passed = more.pop("pass_on", {})
    if passed:
        found["arguments"] = {"parameters": [{"name": k, "value": v} for k, v in passed.items()]}
    return {**found, **more}


def dag(name: str, *tasks: Object, **more: Any) -> Object:
    """A DAG template; ``dag`` are further fields of it."""
    return {
        "name": name,
        "dag": {"tasks": list(tasks), **more.pop("dag", {})},
        **_inputs(more.pop("inputs", ())),
        **more,
    }


def steps(name: str, *groups: list[Object], **more: Any) -> Object:
    """A steps template, by groups."""
    return {"name": name, "steps": [list(g) for g in groups], **_inputs(more.pop("inputs", ())), **more}


def workflow(name: str, *templates: Object, **spec: Any) -> Object:
    """A WorkflowTemplate with entrypoint ``main``."""
    return {
        "apiVersion": ARGO,
        "kind": "WorkflowTemplate",
        "metadata": {"name": name},
        "spec": {"entrypoint": "main", "templates": list(templates), **spec},
    }


# Templates that several workflows share; the last requests far more than it uses.
SHORT, WORK, LONG = pod("short", 1), pod("work", 3), pod("long", 7, container=container(resources=LARGE))
