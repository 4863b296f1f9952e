"""What resolvers fetch from elsewhere: a definition of the same name in the cluster is then not the one that ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MAX_NAME = 60  # characters of a name from a run's spec


def resolver_params(params: Sequence[Any]) -> dict[str, str]:
    """The parameters of a resolver by name."""
    return {str(p.get("name")): str(p.get("value") or "") for p in params if isinstance(p, Mapping)}


def fetched_by(ref: Mapping[str, Any], namespace: str) -> str | None:
    """What fetches the pipeline of a ``pipelineRef`` from elsewhere than its own ``namespace``, as "resolver git"; None
    where nothing does, or where a parameter of the cluster resolver is only known at run time."""
    if ref.get("bundle"):
        return "resolver bundles"
    resolver = ref.get("resolver")
    if not resolver:
        return None
    if resolver != "cluster":
        return f"resolver {str(resolver)[:_MAX_NAME]}"
    params = ref.get("params")
    space = resolver_params(params if isinstance(params, list) else ()).get("namespace") or namespace
    return None if space == namespace or "$(" in space else f"resolver cluster from namespace {space[:_MAX_NAME]}"
