"""What is recommended for a planted problem of resources: whether it is found, and what it does to later runs."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import fmean, median
from typing import Any

from benchmarks.advice.fresh import Kept, summary
from benchmarks.resources.admission import admitted, problem
from benchmarks.resources.kinds import KINDS, planted
from benchmarks.resources.law import CPU, DISK, GPU, MEMORY, NOW, Flow
from benchmarks.resources.manifests import definition
from benchmarks.resources.plant import FAILURES, MINUTES, MONEY, Plant
from benchmarks.resources.records import record
from benchmarks.resources.remedies import applied
from benchmarks.resources.simulation import Run, history
from benchmarks.resources.truth import Effect, effect
from concertmaster.core.changes.admission.capacity import Capacity, capacity_by_namespace
from concertmaster.core.changes.admission.nodes import Nodes
from concertmaster.core.model import Interval, Recommendation
from concertmaster.core.model.amounts import quantity
from concertmaster.core.pipeline import AnalysisResult, Environment, analyze_workflow

_CLEARLY = 2.0  # times what is material, from which on a minor item does not count
_ROUNDED = 0.02  # relative difference of a request that a table rounds
LONGER = 0.05  # share by which runs may take longer than a recommendation says
_STATED = re.compile(r"at most ([0-9.]+)% longer on a full node")
_WARNINGS = ("check ", "of them probably more than")  # what is not promised to be enough


class Verdict(StrEnum):
    """``FOUND``: published, by a right rule about the right container. ``SMALL``: not published, as its effect is below what
    is material, or a minor item that is less than twice that. ``UNSEEN``: the window does not contain what it could be
    recognized by."""

    FOUND = "found"
    SMALL = "small"
    UNSEEN = "unseen"
    MISSED = "missed"
    NOTHING = "nothing"  # there is nothing to find


@dataclass(frozen=True, slots=True)
class Item:
    """One published recommendation. ``wrong``: why it is; ``short``: the largest share of later attempts that lack memory of
    what it sets (None: it sets none); ``kept``: its intervals beside the effect."""

    id: str
    wrong: tuple[str, ...]
    short: float | None
    longer: float
    kept: tuple[Kept, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Case:
    """One planted problem with all that is recommended."""

    kind: str
    seed: int
    verdict: Verdict
    runs: int
    note: str
    items: tuple[Item, ...] = field(default=())

    @property
    def wrong(self) -> tuple[str, ...]:
        """What is wrong with any of its recommendations."""
        return tuple(why for item in self.items for why in item.wrong)

    @property
    def open(self) -> bool:
        """Whether it deserves a look."""
        off = any(not k.held for item in self.items for k in item.kept)
        return bool(self.wrong) or off or self.verdict is Verdict.MISSED

    def __str__(self) -> str:
        head = f"{self.kind} {self.seed} ({self.runs} runs{f'; {self.note}' if self.note else ''}): {self.verdict}"
        return "; ".join([head, *map(_described, self.items)])


def _described(item: Item) -> str:
    parts = [f"WRONG {', '.join(item.wrong)}"] if item.wrong else []
    if item.short is not None:
        parts.append(f"short {item.short:.2%}")
    if abs(item.longer) > 0.005:
        parts.append(f"longer {item.longer:.1%}")
    parts += (
        f"{k.low:.3g} {k.likely:.3g} {k.high:.3g} true {k.true:.3g}{'' if k.held else ' OUTSIDE'}" for k in item.kept
    )
    return f"{item.id} ({'; '.join(parts)}): {item.words}"


def analyse(flow: Flow) -> tuple[AnalysisResult, list[Run]]:
    """The product's answer to the runs of the window, and these runs."""
    read, runs = definition(flow), history(flow)
    capacity = capacity_by_namespace(flow.namespace).get("lab", Capacity())
    if flow.node:
        capacity = Capacity(capacity.quotas, capacity.ranges, Nodes(largest=flow.node))
    result = analyze_workflow(
        read, [record(run, read) for run in runs], flow.policy, profile=flow.name, now=NOW,
        environment=Environment(capacity=capacity),
    )  # fmt: skip
    return result, runs


def judge(kind: str, seed: int, later_runs: int | None = None) -> Case:
    """Plant, analyse, apply and compare."""
    plant = planted(kind, seed)
    result, runs = analyse(plant.flow)
    items = tuple(assessed(kind, plant, item, later_runs) for item in result.recommendations)
    return Case(kind, seed, _verdict(plant, result, runs, later_runs), len(runs), plant.note, items)


def _verdict(plant: Plant, result: AnalysisResult, runs: Sequence[Run], later_runs: int | None) -> Verdict:
    if not plant.rules:
        return Verdict.NOTHING
    if any(answers(plant, item) for item in result.recommendations):
        return Verdict.FOUND
    if not plant.shown(runs):
        return Verdict.UNSEEN
    least, minor = result.analysis.options.materiality, any(answers(plant, item) for item in result.minor)
    found = effect(plant.flow, plant.fixed, later_runs)
    return Verdict.MISSED if found.material(plant.measure, least, _CLEARLY if minor else 1.0) else Verdict.SMALL


def answers(plant: Plant, item: Recommendation) -> bool:
    """Whether the recommendation is of a right rule, and about the right container."""
    if item.rule not in plant.rules:
        return False
    if plant.step is None or not item.items:
        return plant.step is None or item.step in (None, plant.step)
    rows = [row for row in item.items if row.step == plant.step]
    return any(plant.container is None or row.container == plant.container for row in rows)


def assessed(kind: str, plant: Plant, item: Recommendation, later_runs: int | None = None) -> Item:
    """The recommendation beside what it does to later runs."""
    words = f"{item.action}; {item.expected}"
    related = answers(plant, item)
    needless = () if related or item.rule in plant.also else (f"{item.rule} needless",)
    new = applied(plant.flow, item)
    if new is None:
        fixed = effect(plant.flow, plant.fixed, later_runs) if related and item.rule == "sidecar-overhead" else None
        return Item(item.id, needless, None, 0.0, _kept(kind, item, fixed), words)
    found = effect(plant.flow, new, later_runs)
    rejected = problem(new) if item.edits else ""  # without a patch it says what to raise first
    wrong = (
        *needless,
        *_begun(plant.flow, item),
        *_wrong(plant, item, found),
        *([f"{item.rule} rejected ({rejected})"] if rejected else []),
    )
    short = [share for what, share in found.short.items() if what.endswith(MEMORY)]
    return Item(item.id, wrong, max(short, default=None), found.longer, _kept(kind, item, found), words)


def _begun(flow: Flow, item: Recommendation) -> Iterator[str]:
    """Rows that begin with another request than pods have."""
    always = flow.elsewhere is not None and flow.elsewhere.often == 1.0
    for row in item.items:
        section, _, resource = row.field.partition(".")
        step = next((admitted(s, flow, always) for s in flow.steps if s.name == row.step), None)
        of = [c.requests.get(resource) for c in step.containers if c.name == row.container] if step is not None else []
        if section == "requests" and of and resource in (CPU, MEMORY):
            have, old = of[0], quantity(row.old.replace(" ", "")) if row.old else None
            if not math.isclose(have or 0.0, old or 0.0, rel_tol=_ROUNDED):
                yield f"{item.rule} begins with a request of no pod"


def _wrong(plant: Plant, item: Recommendation, found: Effect) -> Iterator[str]:
    """What it sets too low, by the policy's bound on memory failures, and half of it for long steps."""
    bound = plant.flow.policy.analysis.max_failure
    warned = any(words in item.expected for words in _WARNINGS)
    for what, share in found.short.items():
        resource = what.rpartition(" ")[2]
        if resource == MEMORY and not warned and share > (bound / 2 if what in found.long else bound):
            yield f"{item.rule} memory"
        elif resource in (DISK, GPU) and share > bound:
            yield f"{item.rule} {'GPU' if resource == GPU else 'disk'}"
        elif resource == CPU and share > 0.0:
            yield f"{item.rule} CPU below the mean use"
        elif resource.endswith("volume") and share > bound:
            yield f"{item.rule} volume"
    stated = _STATED.search(item.expected)
    if found.longer > LONGER + (float(stated[1]) / 100 if stated else 0.0):
        yield f"{item.rule} longer"


def _kept(kind: str, item: Recommendation, found: Effect | None) -> tuple[Kept, ...]:
    """Each published interval beside the effect."""
    kept = []
    for measure in (MONEY, MINUTES, FAILURES):
        promised: Interval | None = getattr(item.impact, measure)
        if promised is not None and found is not None:
            true = found.of(measure)
            kept.append(Kept(item.rule, kind, item.upper_bound, promised.low, promised.likely, promised.high, true))
    return tuple(kept)


def table(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """A row for each kind, in the order of KINDS, and one over all."""
    rows = [_row(kind, [c for c in cases if c.kind == kind]) for kind in KINDS if any(c.kind == kind for c in cases)]
    return [*rows, _row("all", cases)]


def _row(kind: str, cases: Sequence[Case]) -> dict[str, Any]:
    items = [item for c in cases for item in c.items]
    kept = [k for item in items for k in item.kept]
    ratios = [k.likely / k.true for k in kept if k.true > 0.0]
    short = [item.short for item in items if item.short is not None]
    return {
        "kind": kind,
        "cases": len(cases),
        **{str(v): sum(c.verdict is v for c in cases) for v in Verdict},
        "items": len(items),
        "short": 100.0 * fmean(short) if short else None,
        "longer": 100.0 * max((item.longer for item in items), default=0.0),
        "intervals": len(kept),
        "held": 100.0 * fmean(k.held for k in kept) if kept else None,
        "ratio": median(ratios) if ratios else None,
        "cases_wrong": sum(bool(c.wrong) for c in cases),
        "wrong": dict(Counter(why.partition(" (")[0] for c in cases for why in c.wrong).most_common()),
    }


def summarize(cases: Sequence[Case], seeds: int) -> dict[str, Any]:
    """The content of the result file."""
    kept = [k for c in cases for item in c.items for k in item.kept]
    return {
        "seeds": seeds,
        "kinds": table(cases),
        "rules": summary(kept, "effect on later runs"),
        "open": [str(c) for c in cases if c.verdict is Verdict.MISSED or c.wrong],
    }
