"""Cost a month of many workflows by step and by component, now and after the open recommendations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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
    return tuple(g for g in summed(g for w in workflows for g in _of(w, name)) if g.cost_per_month > 0)


def _of(workflow: PricedWorkflow, name: Callable[[PricedWorkflow, View], str | None]) -> Iterator[CostGroup]:
    """What one workflow adds to each group."""
    own: dict[str, list[View]] = {}
    for row in workflow.components:
        if (group := name(workflow, row)) is not None:
            own.setdefault(group, []).append(row)
    for group, rows in own.items():
        yield CostGroup(
            name=group,
            currency=workflow.currency,
            workflows=1,
            runs=workflow.runs,
            cost_per_month=sum(r["perRun"] for r in rows) * workflow.runs_per_month,
            after_per_month=sum(map(_after, rows)) * workflow.runs_per_month,
        )


def summed(groups: Iterable[CostGroup]) -> tuple[CostGroup, ...]:
    """Those of one name and currency as one, the most expensive first."""
    alike: dict[tuple[str, str], list[CostGroup]] = {}
    for group in groups:
        alike.setdefault((group.name, group.currency), []).append(group)
    found = sorted(map(_sum, alike.values()), key=lambda g: (-g.cost_per_month, g.name))
    return tuple(found[:MAX_COUNTED])


def _sum(groups: Sequence[CostGroup]) -> CostGroup:
    after = [g.after_per_month for g in groups if g.after_per_month is not None]
    return CostGroup(
        name=groups[0].name,
        currency=groups[0].currency,
        workflows=sum(g.workflows for g in groups),
        runs=sum(g.runs for g in groups),
        cost_per_month=sum(g.cost_per_month for g in groups),
        after_per_month=sum(after) if after else None,
    )


def _after(row: View) -> float:
    """Cost of a run once the open recommendations are applied, in the proportion that the analysis has for a month."""
    share = row["afterPerMonth"] / row["perMonth"] if row["perMonth"] else 1.0
    return float(row["perRun"] * share)
