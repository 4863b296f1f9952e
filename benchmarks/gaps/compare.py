"""One workflow read with a gap, against the same workflow read in full."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.advice.law import NOW, Flow
from benchmarks.advice.manifests import Known
from benchmarks.advice.plant import Plant
from benchmarks.advice.score import Answer, answers_to, compared
from benchmarks.advice.truth import Worth, runs_of, worth
from benchmarks.gaps.law import Law, read
from concertmaster.core.model import Interval, Outcome, PodFact, RunRecord, StepExecution
from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import AnalysisResult, Environment, analyze_workflow, fleet_of
from concertmaster.core.rules import DataGaps
from concertmaster.prometheus.facts.missing_series import absent

COMPLETE = Law("complete", "", lambda _, run: run)
SIZED = replace(COMPLETE, name="complete, with sizes of inputs", sized=True)
MEASURES = ("money", "run_minutes", "failed_runs")
FIGURES = ("runs_per_month", "cost_per_run", "success_rate", "makespan")


@dataclass(frozen=True, slots=True)
class Reading:
    """What the product says of one workflow. ``gains``: the likely monthly effects that are promised for the planted
    problem, by measure; ``gaps``: sentences on missing data; ``figures``: those of ``FIGURES``, None where unknown."""

    answer: Answer | None
    published: frozenset[str]
    gains: Mapping[str, float]
    gaps: frozenset[str]
    figures: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Case:
    """A workflow and a law. ``kind``: of the planted problem, empty for a healthy workflow; ``error``: the end of the
    traceback; ``new``: recommendations that are wrong, and absent with complete data."""

    law: str
    kind: str
    workflow: str
    seed: int
    complete: Reading
    seen: Reading | None
    error: str = ""

    @property
    def new(self) -> tuple[str, ...]:
        """Wrong recommendations that complete data do not lead to."""
        if self.seen is None:
            return ()
        if self.seen.answer is None or self.complete.answer is None:
            return tuple(sorted(self.seen.published - self.complete.published))
        return tuple(sorted(set(self.seen.answer.wrong) - set(self.complete.answer.wrong)))

    @property
    def lost(self) -> bool | None:
        """Whether a problem that was found in the right place is not found any more; None if it was not."""
        if self.complete.answer is None or not self.complete.answer.step or self.seen is None:
            return None
        return self.seen.answer is None or not self.seen.answer.step

    @property
    def gain_off(self) -> bool | None:
        """Whether a promised gain that was right is wrong now; None where there is nothing to compare."""
        return self._wrong_now("interval")

    @property
    def number_off(self) -> bool | None:
        """Whether a proposed or stated number that was right is wrong now; None where there is nothing to compare."""
        return self._wrong_now("number")

    @property
    def gain_ratios(self) -> dict[str, float]:
        """Promised gains over those of complete data, by measure."""
        if self.lost is not False or self.seen is None:
            return {}
        return {m: self.seen.gains[m] / was for m, was in self.complete.gains.items() if was and m in self.seen.gains}

    @property
    def affected(self) -> bool:
        """Whether anything that was right with complete data is wrong now."""
        return bool(self.error or self.new or self.lost or self.gain_off or self.number_off)

    @property
    def reported(self) -> bool:
        """Whether a data gap is reported that complete data do not have."""
        return self.seen is not None and bool(self.seen.gaps - self.complete.gaps)

    def ratio(self, figure: str) -> float | None:
        """A figure of the workflow over that of complete data; of the success rate, the difference. None where unknown."""
        before = self.complete.figures[figure]
        after = self.seen.figures[figure] if self.seen is not None else None
        if before is None or after is None:
            return None
        if figure == "success_rate":
            return after - before
        return after / before if before else None

    def becomes_unknown(self, figure: str) -> bool:
        """Whether a figure is unknown that complete data tell."""
        return self.complete.figures[figure] is not None and (self.seen is None or self.seen.figures[figure] is None)

    def _wrong_now(self, part: str) -> bool | None:
        if self.lost is not False or self.seen is None or self.seen.answer is None or self.complete.answer is None:
            return None
        if getattr(self.complete.answer, part) is not True:
            return None
        return getattr(self.seen.answer, part) is not True


def cases(flow: Flow, laws: Sequence[Law], plant: Plant | None = None) -> list[Case]:
    """A workflow, with its planted problem if it has one, under each law."""
    found: list[Case] = []
    for sized in sorted({law.sized for law in laws}):
        own = _with_sizes(flow) if sized else flow
        planted = plant and replace(plant, flow=own)
        truth = worth(plant) if plant is not None else Worth()
        past = [runs_of(own), *(runs_of(other) for other in (plant.others if plant else ()))]
        complete = _reading(own, past, SIZED if sized else COMPLETE, planted, truth)
        for law in [law for law in laws if law.sized is sized]:
            kind = plant.kind if plant else ""
            try:
                seen = _reading(own, past, law, planted, truth)
            except Exception:  # noqa: BLE001 - a defect of the product, which is what is looked for
                found.append(Case(law.name, kind, flow.name, flow.seed, complete, None, traceback.format_exc(limit=-2)))
            else:
                found.append(Case(law.name, kind, flow.name, flow.seed, complete, seen))
    return found


def _with_sizes(flow: Flow) -> Flow:
    return replace(flow, steps=tuple(replace(s, sizes=True) for s in flow.steps))


def _reading(
    flow: Flow, past: Sequence[tuple[Known, list[RunRecord]]], law: Law, plant: Plant | None, truth: Worth
) -> Reading:
    """The analysis of the workflow, and of its neighbours, as far as they are seen. ``past``: the complete runs of each."""
    rows = [(known, read(known, law, runs, flow.seed)) for known, runs in past]
    known, runs = rows[0]
    fleet = fleet_of([(k.definition, r) for k, r in rows]) if len(rows) > 1 else None
    missing = tuple(map(str, absent([_fact(flow, e) for run in runs for e in run.steps])))
    result = analyze_workflow(
        known.definition,
        runs,
        plant.policy if plant else Policy(),
        profile=flow.name,
        now=NOW,
        environment=Environment(DataGaps(missing), fleet, blind=law.blind),
    )
    answer = compared(plant, result, known.names, truth) if plant else None
    gains = _gains(plant, result, known) if plant else {}
    return Reading(answer, frozenset(r.id for r in result.recommendations), gains, _gaps(result), _figures(result))


def _fact(flow: Flow, e: StepExecution) -> PodFact:
    """The pod as the metrics source showed it."""
    vanished = e.outcome is Outcome.UNKNOWN and e.reason == "Vanished"
    phase = e.outcome.value if e.outcome in (Outcome.SUCCEEDED, Outcome.FAILED) else None
    return PodFact(
        flow.namespace, e.pod or "", e.uid or "", e.node, created=e.created, scheduled=e.scheduled, started=e.started,
        finished=None if vanished else e.finished, phase=phase, reason=e.reason, vanished=vanished,
        containers=e.containers,
    )  # fmt: skip


def _gains(plant: Plant, result: AnalysisResult, known: Known) -> dict[str, float]:
    """Of the recommendation that is compared with the truth."""
    answers, placed = answers_to(plant, result, known.names)
    best = next(iter(placed or answers), None)
    promised: dict[str, Interval | None] = {m: getattr(best.impact, m) for m in MEASURES} if best is not None else {}
    return {measure: amount.likely for measure, amount in promised.items() if amount is not None}


def _gaps(result: AnalysisResult) -> frozenset[str]:
    """Sentences on missing data, without the numbers in them."""
    items = [r for r in (*result.recommendations, *result.minor) if r.rule == "data-quality"]
    return frozenset(re.sub(r"\d+", "#", sentence) for item in items for sentence in item.evidence)


def _figures(result: AnalysisResult) -> dict[str, float | None]:
    analysis = result.analysis
    cost = analysis.cost.per_run
    values = (
        analysis.cost.runs_per_month,
        None if cost is None else cost.total,
        analysis.success_rate,
        analysis.makespan.mean,
    )
    return dict(zip(FIGURES, values, strict=True))
