"""Cost a month of many workflows by step and by component, now and after the open recommendations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from concertmaster.api.views.fleet import CostGroup
from concertmaster.report.view import View

MAX_GROUPS = 50  # groups of each table
MAX_COUNTED = 1000  # groups that are kept, so that copies in many namespaces can be added up
_KINDS = {"container": "compute", "init": "init containers", "rest": "small components"}


@dataclass(frozen=True, slots=True)
class PricedWorkflow:
    """A workflow, called ``namespace/name``, with the rows of ``components.view`` and its number of runs."""

    name: str
    currency: str
    runs: int
    runs_per_month: float
    components: Sequence[View]


def by_step(workflows: Sequence[PricedWorkflow]) -> tuple[CostGroup, ...]:
    """Cost of each step, the most expensive first; what belongs to no step is left out."""
    return _groups(workflows, lambda w, row: f"{w.name}/{row['step']}" if row["step"] else None)


def by_component(workflows: Sequence[PricedWorkflow]) -> tuple[CostGroup, ...]:
    """Cost of what steps compute, of what pods keep reserved for init containers, of each sidecar by its name, and of each
    priced metric such as tokens."""
    return _groups(workflows, lambda _, row: _component(row))


def _component(row: View) -> str:
    if row["kind"] == "sidecar":
        return f"sidecar {row['component']}"
    return _KINDS.get(row["kind"]) or str(row["component"])


def _groups(
    workflows: Sequence[PricedWorkflow], name: Callable[[PricedWorkflow, View], str | None]
) -> tuple[CostGroup, ...]:
    found: dict[tuple[str, str], CostGroup] = {}
    for workflow in workflows:
        own: dict[str, list[View]] = {}
        for row in workflow.components:
            if (group := name(workflow, row)) is not None:
                own.setdefault(group, []).append(row)
        for group, rows in own.items():
            key = group, workflow.currency
            before = found.get(key) or CostGroup(
                name=group, currency=workflow.currency, workflows=0, runs=0, cost_per_month=0.0, after_per_month=0.0
            )
            found[key] = CostGroup(
                name=group,
                currency=workflow.currency,
                workflows=before.workflows + 1,
                runs=before.runs + workflow.runs,
                cost_per_month=before.cost_per_month + sum(r["perRun"] for r in rows) * workflow.runs_per_month,
                after_per_month=(before.after_per_month or 0.0) + sum(map(_after, rows)) * workflow.runs_per_month,
            )
    made = [g for g in found.values() if g.cost_per_month > 0]
    return tuple(sorted(made, key=lambda g: (-g.cost_per_month, g.name))[:MAX_COUNTED])


def _after(row: View) -> float:
    """Cost of a run once the open recommendations are applied, in the proportion that the analysis has for a month."""
    share = row["afterPerMonth"] / row["perMonth"] if row["perMonth"] else 1.0
    return float(row["perRun"] * share)
