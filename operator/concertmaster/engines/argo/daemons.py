"""Outcomes of the daemons of a run.

The controller terminates a daemon once its enclosing template is done. That counts as success, although the killed pod
often fails. A daemon that ended earlier has failed, whatever its exit code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from concertmaster.core.attempts import begin
from concertmaster.core.model import Outcome, StepExecution, StepSpec, WorkflowDefinition
from concertmaster.engines.argo.status import Node

_SECOND = 1.0  # resolution of the timestamps
_ENDED = (Outcome.SUCCEEDED, Outcome.FAILED)
_FAILED = ("Failed", "Error")
_ON_REQUEST = (None, 0, 137, 143)  # exit codes after a request to terminate, or a kill
_GROUPS = ("StepGroup", "TaskGroup", "Retry")  # they fail with their children, which are in the table too

_Scope = tuple[str, tuple[str, ...]]  # enclosing template of daemons: the task that calls it, items of the fan-outs


def settle_daemons(executions: Sequence[StepExecution], definition: WorkflowDefinition | None) -> list[StepExecution]:
    """Executions of one run, known by its pods alone, with the outcomes of its daemons."""
    specs = {s.name: s for s in definition.graph.steps} if definition is not None else {}
    levels = {_around(s.name): sum(p.items != () for p in s.path[:-1]) for s in specs.values() if s.daemon}
    if not levels:
        return list(executions)
    ends: dict[_Scope, float] = {}
    for e in executions:
        if e.step in specs and not specs[e.step].daemon and not specs[e.step].on_exit:
            end = e.finished if e.finished is not None else float("inf")
            for around in _all_around(e.step):
                if around in levels:
                    scope = _scope(e, around, levels)
                    ends[scope] = max(end, begin(e), ends.get(scope, end))
    return [_settled(e, specs.get(e.step), ends, levels) for e in executions]


def _settled(
    e: StepExecution, spec: StepSpec | None, ends: Mapping[_Scope, float], levels: Mapping[str, int]
) -> StepExecution:
    if spec is None or not spec.daemon or e.outcome not in _ENDED:
        return e
    scope = _scope(e, _around(e.step), levels)
    last = ends.get(scope, float("-inf"))
    if e.finished is None or last == float("inf") or any(item.startswith("#") for item in scope[1]):
        return replace(e, outcome=Outcome.UNKNOWN)
    if e.finished > last:
        return replace(e, outcome=Outcome.SUCCEEDED, reason=None)
    return replace(e, outcome=Outcome.FAILED if e.finished < last - _SECOND else Outcome.UNKNOWN)


def _around(step: str) -> str:
    return step.rpartition(".")[0]


def _all_around(step: str) -> list[str]:
    around = []
    while step:
        step = _around(step)
        around.append(step)
    return around


def _scope(e: StepExecution, around: str, levels: Mapping[str, int]) -> _Scope:
    return around, e.items[: levels[around]]


def settle_nodes(nodes: Mapping[str, Node]) -> dict[str, Node]:
    """The node table with corrected phases of daemons.

    A daemon is marked Succeeded if the controller terminated it, in a template that completed or failed for another
    reason. The controller marks it Failed if it observes the end of the pod while the run continues.
    """
    made_good = {c for n in nodes.values() if n.kind == "Retry" and n.phase == "Succeeded" for c in n.children}
    failed = {
        n.raw.get("boundaryID")
        for i, n in nodes.items()
        if n.phase in _FAILED and not n.daemoned and n.kind not in _GROUPS and i not in made_good
    }

    def ended_on_request(node: Node) -> bool:
        if not node.daemoned or node.phase not in _FAILED or node.exit_code not in _ON_REQUEST:
            return False
        boundary = node.raw.get("boundaryID")
        around = nodes.get(str(boundary))
        return around is not None and (around.phase == "Succeeded" or (around.phase in _FAILED and boundary in failed))

    return {i: replace(n, phase="Succeeded") if ended_on_request(n) else n for i, n in nodes.items()}
