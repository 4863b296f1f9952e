"""Scoring of the recommendations for planted problems, of those for healthy workflows, and of the ranking."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from benchmarks.advice.law import NOW, Flow
from benchmarks.advice.plant import Plant
from benchmarks.advice.truth import Worth, runs_of, worth
from concertmaster.core.fleet.ranking import order_value
from concertmaster.core.model import Interval, Recommendation
from concertmaster.core.model.policy import Policy, Pricing
from concertmaster.core.pipeline import AnalysisResult, Environment, analyze_workflow, fleet_of

TOLERANCE = 0.05
"""Share by which a true effect may lie outside the published interval: the truth is that of one good fix, and sizes are
proposed in round figures."""
BOUND = 0.3
"""Of an upper bound on the effect, the least share of the likely value that the true effect must reach."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One planted problem and the recommendation for it. None: nothing to compare."""

    kind: str
    workflow: str
    found: bool
    step: bool
    number: bool | None
    interval: bool | None
    truth: float
    published: tuple[str, ...]
    wrong: tuple[str, ...]
    note: str = ""
    inside: bool | None = None  # whether the truth lies in the published interval, without any tolerance
    width: float | None = None  # of the published interval over its likely value
    beside: int = 0  # published ones that are acceptable beside the planted problem's own

    @property
    def right(self) -> bool:
        """Whether rule, step, number and interval are right."""
        return self.found and self.step and self.number is not False and self.interval is not False


@dataclass(slots=True)
class Tally:
    """Results for one seed."""

    answers: list[Answer] = field(default_factory=list)
    healthy: int = 0
    items: list[str] = field(default_factory=list)  # rules of recommendations for healthy workflows
    touched: int = 0  # healthy workflows with a recommendation
    ranks: list[tuple[float, str, str]] = field(default_factory=list)  # predicted value, workflow, id


def analyse(flow: Flow, policy: Policy, others: Sequence[Flow] = ()) -> tuple[AnalysisResult, dict[str, str]]:
    """The product's recommendations for a simulated workflow."""
    own, runs = runs_of(flow)
    fleet = None
    if others:
        rows = [(own.definition, runs)]
        for other in others:
            found, past = runs_of(other)
            rows.append((found.definition, past))
        fleet = fleet_of(rows)
    result = analyze_workflow(
        own.definition, runs, policy, profile=flow.name, now=NOW, environment=Environment(fleet=fleet)
    )
    return result, own.names


def judge(plant: Plant, tally: Tally) -> Answer:
    """Simulate, analyse and compare."""
    result, names = analyse(plant.flow, plant.policy, plant.others)
    tally.ranks += [
        (order_value(r.id, r.severity, r.impact, Pricing()), plant.flow.name, r.id) for r in result.recommendations
    ]
    answer = compared(plant, result, names, worth(plant))
    tally.answers.append(answer)
    return answer


def compared(plant: Plant, result: AnalysisResult, names: Mapping[str, str], truth: Worth) -> Answer:
    """What was recommended against what is true."""
    answers, placed = answers_to(plant, result, names)
    best = next(iter(placed or answers), None)
    allowed = {*plant.rules, *plant.also}
    wrong = [r for r in result.recommendations if r.rule not in allowed]
    wrong += [r for r in answers if plant.step and r not in placed]
    right, inside, seen = _covers(best, plant, truth)
    return Answer(
        plant.kind,
        plant.flow.name,
        bool(answers),
        bool(placed),
        None if best is None or plant.number is None else plant.number(best),
        right,
        _value(plant, truth),
        tuple(r.id for r in result.recommendations),
        tuple(r.id for r in wrong),
        seen or ", ".join(r.id for r in result.minor if r.rule in plant.rules),
        inside,
        _width(best, plant),
        sum(r.rule in plant.also for r in result.recommendations),
    )


def answers_to(
    plant: Plant, result: AnalysisResult, names: Mapping[str, str]
) -> tuple[list[Recommendation], list[Recommendation]]:
    """The recommendations of its rules, and those of them about its step."""
    answers = [r for r in (result.minor if plant.minor else result.recommendations) if r.rule in plant.rules]
    step = names.get(plant.step) if plant.step else None
    return answers, [r for r in answers if step is None or _about(r, step)]


def check_healthy(flow: Flow, tally: Tally) -> tuple[Recommendation, ...]:
    """Record the recommendations for a healthy workflow."""
    result, _ = analyse(flow, Policy())
    tally.healthy += 1
    tally.touched += bool(result.recommendations)
    tally.items += [r.rule for r in result.recommendations]
    tally.ranks += [
        (order_value(r.id, r.severity, r.impact, Pricing()), flow.name, r.id) for r in result.recommendations
    ]
    return result.recommendations


def _value(plant: Plant, truth: Worth) -> float:
    """Monthly value of the workflow's problems on the scale of the ranking."""
    if plant.whole is None:
        return truth.value(plant.measure)
    real = worth(replace(plant, mended=plant.whole))
    return sum(max(0.0, real.value(m)) for m in ("money", "failed_runs"))


def _about(item: Recommendation, step: str) -> bool:
    return item.step == step or any(i.step == step for i in item.items) or step in item.id.split(".")[1:]


def _covers(best: Recommendation | None, plant: Plant, truth: Worth) -> tuple[bool | None, bool | None, str]:
    """Whether the predicted interval contains the truth, within the tolerance and strictly, and both as text."""
    if best is None or not plant.measure:
        return None, None, ""
    promised: Interval | None = getattr(best.impact, plant.measure)
    real = float(getattr(truth, plant.measure))
    if promised is None:
        return False, False, f"nothing promised, truth {real:.1f}"
    low, high = promised.low * (1 - TOLERANCE), promised.high * (1 + TOLERANCE)
    words = f"{promised.low:.1f} {promised.likely:.1f} {promised.high:.1f}, truth {real:.1f}"
    inside = promised.low <= real <= promised.high
    return (BOUND * promised.likely if plant.bound else low) <= real <= high, inside, words


def _width(best: Recommendation | None, plant: Plant) -> float | None:
    promised: Interval | None = getattr(best.impact, plant.measure) if best is not None and plant.measure else None
    return (promised.high - promised.low) / promised.likely if promised is not None and promised.likely > 0 else None


def top(tally: Tally) -> tuple[int, int, list[str]]:
    """How many of the five workflows with the most valuable problems are among the first seven ranked, out of how many; and
    the missed ones."""
    real = sorted((a for a in tally.answers if a.truth > 0), key=lambda a: -a.truth)[:5]
    ranked = sorted(tally.ranks, key=lambda r: (-round(r[0], 2), r[1], r[2]))
    shown = {workflow for _, workflow, _ in ranked[:7]}
    missed = [f"{a.kind} ({a.truth:.0f})" for a in real if a.workflow not in shown]
    return len(real) - len(missed), len(real), missed


def summary(tallies: Sequence[Tally]) -> dict[str, Any]:
    """The figures over all seeds."""
    answers = [a for t in tallies for a in t.answers]
    published = sum(len(a.published) for a in answers) + sum(len(t.items) for t in tallies)
    wrong = sum(len(a.wrong) for a in answers) + sum(len(t.items) for t in tallies)
    healthy = sum(t.healthy for t in tallies)
    tops = [top(t) for t in tallies]
    return {
        "seeds": len(tallies),
        "kinds": len({a.kind for a in answers}),
        "planted": len(answers),
        "healthy": healthy,
        "recall": _share(sum(a.right for a in answers), len(answers)),
        "found": _share(sum(a.found and a.step for a in answers), len(answers)),
        "precision": _share(published - wrong, published),
        "healthy_with_items": _share(sum(t.touched for t in tallies), healthy),
        "top_five_in_seven": _share(sum(n for n, _, _ in tops), sum(m for _, m, _ in tops)),
        "intervals": sum(a.inside is not None for a in answers),
        "inside": _share(sum(a.inside is True for a in answers), sum(a.inside is not None for a in answers)),
        "width": _middle([a.width for a in answers]),
        "published": published,
        "beside": sum(a.beside for a in answers),
        "kinds_table": _table(answers),
        "healthy_items": dict(Counter(i for t in tallies for i in t.items).most_common()),
        "wrong": dict(Counter(f"{a.kind}: {w.partition('.')[0]}" for a in answers for w in a.wrong).most_common()),
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _middle(widths: Iterable[float | None]) -> float | None:
    known = [w for w in widths if w is not None]
    return round(median(known), 3) if known else None


def _table(answers: Iterable[Answer]) -> dict[str, dict[str, float | None]]:
    """Counts by kind, and the median width of the interval; None where no answer has a number or an interval to compare."""
    kinds: dict[str, list[Answer]] = defaultdict(list)
    for a in answers:
        kinds[a.kind].append(a)
    return {
        kind: {
            "planted": len(rows),
            "found": sum(a.found for a in rows),
            "step": sum(a.found and a.step for a in rows),
            "number": _right([a.number for a in rows if a.found]),
            "interval": _right([a.interval for a in rows if a.found]),
            "inside": _right([a.inside for a in rows if a.found]),
            "width": _middle([a.width for a in rows]),
            "wrong": sum(len(a.wrong) for a in rows),
        }
        for kind, rows in sorted(kinds.items())
    }


def _right(compared: Sequence[bool | None]) -> int | None:
    return None if all(c is None for c in compared) else sum(c is not False for c in compared)
