"""Cost by component: each container of each step, sidecars and priced metrics, now and after the open recommendations.

A recommendation's saving goes to the containers whose fields it sets, in proportion to what each field saves; one without
fields to the containers it sizes, by what each size saves, else to the components of its step. What a raised request costs
more is a negative saving. What the present runs save of a component is the same share of its cost in all. Savings of several
recommendations are added: those that are left stand together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from concertmaster.core import text
from concertmaster.core.analysis.cost.runs import OVERHEAD, Component
from concertmaster.core.analysis.workflow import Analysis
from concertmaster.core.model import Recommendation, RuleName
from concertmaster.report.tables import cell, table
from concertmaster.report.view import View, number

MAX_ROWS = 40  # rows; the rest is added up
# Whose savings are those of the present runs.
_OF_PRESENT = (RuleName.RIGHT_SIZE, RuleName.GPU_REQUEST, RuleName.SIDECAR_OVERHEAD)
_MARKS = {"sidecar": " (sidecar)", "init": " (init container)"}


def view(analysis: Analysis, recommendations: Sequence[Recommendation]) -> list[View]:
    """The rows, most expensive first; amounts a month are null without a rate of runs."""
    rate = analysis.cost.runs_per_month
    parts = analysis.components
    saved: list[dict[str, float]] = [{} for _ in parts]
    longer = _longer(analysis)
    in_all = [longer.get((part.step, part.container), 1.0) for part in parts]
    present = [replace(part, per_run=part.per_run / times) for part, times in zip(parts, in_all, strict=True)]
    for item in recommendations:
        if item.saving_per_month is not None and item.saving_per_month.likely:
            of_present = item.rule in _OF_PRESENT
            for place, share in _shares(analysis, present if of_present else parts, item).items():
                amount = share * item.saving_per_month.likely
                saved[place][item.id] = amount * in_all[place] if of_present else amount
    rows = [_row(analysis, c, rate, saving) for c, saving in zip(parts, saved, strict=True)]
    return rows if len(rows) <= MAX_ROWS else [*rows[: MAX_ROWS - 1], _rest(rows[MAX_ROWS - 1 :])]


def _longer(analysis: Analysis) -> dict[tuple[str | None, str | None], float]:
    """By step and container, how many times as long as in the present runs with it its request is held in all: of its cost
    the one shows what is saved, and the other is what is shown."""
    held: dict[tuple[str | None, str | None], float] = {}
    for step in analysis.steps:
        for container in (*step.containers, *step.inits):
            present, always = analysis.held(container)[1], container.columns["reserved_seconds"]
            if sum(present):
                held[step.step, container.name] = fmean(always) / fmean(present)
    return held


def _row(analysis: Analysis, part: Component, rate: float | None, saving: Mapping[str, float]) -> View:
    month = part.per_run * rate if rate is not None else None
    return {
        "step": part.step,
        "component": part.metric or part.container,
        "kind": _kind(analysis, part),
        "perRun": number(part.per_run),
        "unusedPerRun": number(part.unused),
        "perMonth": number(month),
        "afterPerMonth": number(max(0.0, month - sum(saving.values()))) if month is not None else None,
        "recommendations": sorted(saving),
    }


def _rest(rows: Sequence[View]) -> View:
    """What is too small for a row of its own."""
    names = ("perRun", "unusedPerRun", "perMonth", "afterPerMonth")
    sums = {n: number(sum(r[n] for r in rows)) if rows[0][n] is not None else None for n in names}
    ids = sorted({i for r in rows for i in r["recommendations"]})
    return {"step": None, "component": f"{len(rows)} more", "kind": "rest", **sums, "recommendations": ids}


def _kind(analysis: Analysis, part: Component) -> str:
    """``metric``, ``init`` (what a pod keeps reserved for an init container), ``container`` of the step's own, or
    ``sidecar``: declared as one, or put in by something else."""
    if part.metric:
        return "metric"
    if part.init:
        return "init"
    spec = analysis.definition.graph.declaring(part.step or "")
    if spec is None or not spec.containers or part.container in spec.own or part.container == OVERHEAD:
        return "container"
    return "sidecar"


def _shares(analysis: Analysis, parts: Sequence[Component], item: Recommendation) -> dict[int, float]:
    """Which part of a recommendation's saving concerns which component, by place; together 1 where any does. Negative for a
    field that takes from it: of a right-sizing that raises one request and lowers another, each has its own."""
    weights = _of_fields(analysis, parts, item)
    known = any(edit.share is not None for edit in item.edits)
    if not weights:  # the fields are elsewhere
        weights = _of_sizes(parts, item)
        known = bool(weights)
    total = sum(weights.values())
    if not known and total > 0.0:
        return {n: w / total for n, w in weights.items() if w}
    rest = 1.0 - total if known else 1.0  # of fields that no edit sets
    if not math.isclose(rest, 0.0, abs_tol=1e-9):
        about, sized = item.id.partition(".")[2], {(i.step, i.container) for i in item.items}
        places = [n for n, c in enumerate(parts) if c.container == about or (c.step, c.container) in sized] or [
            n for n, c in enumerate(parts) if item.step in (None, c.step)
        ]
        places = [n for n in places if not weights.get(n)] or places
        held = sum(parts[n].per_run for n in places)
        for n in places if held else ():
            weights[n] = weights.get(n, 0.0) + rest * parts[n].per_run / held
    return {n: w for n, w in weights.items() if w}


def _of_sizes(parts: Sequence[Component], item: Recommendation) -> dict[int, float]:
    """By place, the shares of the saving that its sizes bring; empty where that is not known."""
    sized: dict[tuple[str | None, str | None], float] = {}
    for size in item.items:
        if size.share is not None:
            sized[size.step, size.container] = sized.get((size.step, size.container), 0.0) + size.share
    return {n: sized[c.step, c.container] for n, c in enumerate(parts) if (c.step, c.container) in sized}


def _of_fields(analysis: Analysis, parts: Sequence[Component], item: Recommendation) -> dict[int, float]:
    """By place, the shares of the saving that the fields of a component bring, or else their weights."""
    weights: dict[int, float] = {}
    declared: dict[tuple[str, str | None], list[int]] = {}
    for n, place in _pointers(analysis, parts).items():
        declared.setdefault(place, []).append(n)
    for edit in item.edits:
        above = [edit.pointer[:end] for end, sign in enumerate(edit.pointer) if sign == "/"]
        places = sorted([n for pointer in above for n in declared.get((pointer, edit.holder), ())])
        held = sum(parts[n].per_run for n in places)
        for n in places:
            part = parts[n].per_run / held if held else 1.0 / len(places)
            weights[n] = weights.get(n, 0.0) + (edit.weight if edit.share is None else edit.share) * part
    return weights


def _pointers(analysis: Analysis, parts: Sequence[Component]) -> dict[int, tuple[str, str | None]]:
    """Where the resources of components are declared, with the object that holds them."""
    known = {}
    for n, part in enumerate(parts):
        spec = analysis.definition.graph.declaring(part.step or "")
        own = next((c for c in spec.sized if c.name == part.container), None) if spec is not None else None
        if own is not None and own.resources_pointer is not None:
            known[n] = (own.resources_pointer, own.holder)
    return known


def cost_table(rows: Sequence[Mapping[str, Any]], currency: str, *, whole: bool) -> str:
    """The rows for a terminal, with their sum where they are the ``whole`` of a run; empty without any."""
    if not rows:
        return ""

    def money(value: float | None) -> str:
        return cell(value, lambda amount: text.money(amount, currency))

    lines = [
        [
            row["step"] or "-",
            f"{row['component']}{_MARKS.get(row['kind'], '')}",
            money(row["perRun"]),
            text.percent(row["unusedPerRun"] / row["perRun"]) if row["perRun"] else "-",
            money(row["perMonth"]),
            money(row["afterPerMonth"]),
            ", ".join(row["recommendations"]) or "-",
        ]
        for row in rows
    ]
    sums = [
        sum(r[n] or 0.0 for r in rows) if rows[0][n] is not None else None
        for n in ("perRun", "perMonth", "afterPerMonth")
    ]
    if whole:
        lines.append(["total", "", money(sums[0]), "", money(sums[1]), money(sums[2]), ""])
    return table(["STEP", "COMPONENT", "PER RUN", "UNUSED", "PER MONTH", "AFTER", "RECOMMENDATIONS"], lines)
