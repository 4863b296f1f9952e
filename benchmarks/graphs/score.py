"""What is recommended for a planted problem: whether it is the right thing, and whether its interval holds the effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, median
from typing import Any

from benchmarks.advice.fresh import Kept, summary
from benchmarks.graphs.kinds import KINDS, planted
from benchmarks.graphs.law import NOW, Flow
from benchmarks.graphs.manifests import definition
from benchmarks.graphs.plant import Plant
from benchmarks.graphs.records import record
from benchmarks.graphs.simulation import Played, history
from benchmarks.graphs.truth import LEAST, TIMES, Worth, worth
from concertmaster.core.model import Interval, Recommendation
from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import AnalysisResult, Environment, analyze_workflow


class Verdict(StrEnum):
    """``FOUND``: published, by a right rule about the right step. ``SMALL``: not published, as its effect is below what is
    material, or reported as a minor item. ``UNSEEN``: the window does not contain what it could be recognized by."""

    FOUND = "found"
    SMALL = "small"
    UNSEEN = "unseen"
    MISSED = "missed"
    NOTHING = "nothing"  # there is nothing to find


@dataclass(frozen=True, slots=True)
class Case:
    """One planted problem. ``true``: its monthly effect in its measure, after what is recommended; ``kept``: the published
    interval beside it (None: none is published); ``wrong``: ids of recommendations that answer neither it nor anything that
    is acceptable beside it."""

    kind: str
    seed: int
    verdict: Verdict
    runs: int
    true: float
    kept: Kept | None
    wrong: tuple[str, ...]
    note: str

    def __str__(self) -> str:
        kept = self.kept
        promised = "" if kept is None else f", {kept.low:.4g} {kept.likely:.4g} {kept.high:.4g}"
        off = " OUTSIDE" if kept is not None and not kept.held else ""
        wrong = f", wrong {' '.join(self.wrong)}" if self.wrong else ""
        head = f"{self.kind} {self.seed} ({self.runs} runs; {self.note}): {self.verdict}"
        return f"{head}, true {self.true:.4g}{promised}{off}{wrong}"


def analyse(flow: Flow) -> tuple[AnalysisResult, list[Played]]:
    """The product's answer to the runs of the window, and these runs."""
    read, runs = definition(flow), history(flow)
    records = [record(run, read) for run in runs]
    result = analyze_workflow(read, records, Policy(), profile=flow.name, now=NOW, environment=Environment())
    return result, runs


def judge(kind: str, seed: int, fresh_runs: int | None = None) -> Case:
    """Plant, analyse and compare."""
    plant = planted(kind, seed)
    result, runs = analyse(plant.flow)
    best = next((r for r in result.recommendations if answers(plant, r)), None)
    wrong = tuple(r.id for r in result.recommendations if r.rule not in plant.also and not answers(plant, r))
    if not plant.rules:
        return Case(kind, seed, Verdict.NOTHING, len(runs), 0.0, None, wrong, plant.note)
    effect = worth(plant, best, fresh_runs)
    true = effect.of(plant.measure)
    if best is not None:
        return Case(kind, seed, Verdict.FOUND, len(runs), true, _kept(kind, plant, best, true), wrong, plant.note)
    small = any(answers(plant, r) for r in result.minor) or _small(plant, effect, result)
    verdict = Verdict.UNSEEN if not plant.shown(runs) else Verdict.SMALL if small else Verdict.MISSED
    return Case(kind, seed, verdict, len(runs), true, None, wrong, plant.note)


def answers(plant: Plant, item: Recommendation) -> bool:
    """Whether the recommendation is of a right rule, and about the right step."""
    if item.rule not in plant.rules:
        return False
    if plant.step is None:
        return True
    step = plant.flow.step(plant.step).path
    return item.step == step or any(row.step == step for row in item.items)


def _small(plant: Plant, effect: Worth, result: AnalysisResult) -> bool:
    """Whether the effect is less than what is reported by default."""
    least = result.analysis.options.materiality
    return effect.run_share < plant.least_share or not effect.material(plant.measure, least)


def _kept(kind: str, plant: Plant, item: Recommendation, true: float) -> Kept | None:
    promised: Interval | None = getattr(item.impact, plant.measure)
    if promised is None:
        return None
    return Kept(item.rule, kind, item.upper_bound, promised.low, promised.likely, promised.high, true)


def table(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """A row for each kind, in the order of KINDS, and one over all."""
    rows = [_row(kind, [c for c in cases if c.kind == kind]) for kind in KINDS if any(c.kind == kind for c in cases)]
    return [*rows, _row("all", cases)]


def _row(kind: str, cases: Sequence[Case]) -> dict[str, Any]:
    kept = [c.kept for c in cases if c.kept is not None]
    ratios = [k.likely / k.true for k in kept if k.true > 0.0]
    return {
        "kind": kind,
        "cases": len(cases),
        **{str(v): sum(c.verdict is v for c in cases) for v in Verdict},
        "intervals": len(kept),
        "held": 100.0 * fmean(k.held for k in kept) if kept else None,
        "smaller": sum(k.true < k.low for k in kept),
        "larger": sum(k.true > k.high for k in kept),
        "ratio": median(ratios) if ratios else None,
        "wrong": dict(Counter(w.partition(".")[0] for c in cases for w in c.wrong).most_common()),
    }


def summarize(cases: Sequence[Case], seeds: int) -> dict[str, Any]:
    """The content of the result file."""
    return {
        "seeds": seeds,
        "fresh_runs": {"least": LEAST, "times": TIMES},
        "kinds": table(cases),
        "rules": summary([c.kept for c in cases if c.kept is not None], "effect on fresh runs"),
        "open": [str(c) for c in cases if c.verdict is Verdict.MISSED or c.wrong],
    }
