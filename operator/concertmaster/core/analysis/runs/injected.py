"""Containers that something other than the workflow puts into its pods: the proxy of a service mesh, an agent that fetches
secrets, what the engine adds. Others release them, into the pods of all workflows, so that another image of theirs is no
change of the workflow."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from concertmaster.core.model import WorkflowGraph

EXECUTOR = frozenset({"wait", "init", "supervisor", "prepare", "place-scripts", "working-dir-initializer"})
"""What engines add to pods."""
PROXIES = (
    "istio-proxy",
    "linkerd-proxy",
    "kuma-sidecar",
    "consul-dataplane",
    "daprd",
    "vault-agent",
    "otc-container",
)
"""What others put into pods beside the work; some write it into their templates as any other container."""
_NAMES = EXECUTOR.union(PROXIES)  # for pods of which no container is declared

OwnContainers = Callable[[str, frozenset[str]], frozenset[str]]
"""Of a step and the names of the containers in its pods: those that are the workflow's own."""


def own_containers(graph: WorkflowGraph) -> OwnContainers:
    """The containers that the steps of a ``graph`` declare. A pod with none of them is of another definition, or nothing is
    declared: all but those with the name of an injected one are the workflow's own."""

    @cache
    def own(step: str, names: frozenset[str]) -> frozenset[str]:
        spec = graph.declaring(step)
        declared = frozenset(c.name for c in spec.containers) if spec is not None else frozenset[str]()
        return names & declared or names - _NAMES

    return own
