"""A history through the whole analysis of a workflow: which regression is reported, since when."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, partial

from benchmarks.advice.manifests import Known, read
from benchmarks.healthy.law import Flow, Run, Step, in_sequence
from benchmarks.healthy.manifests import manifest
from benchmarks.healthy.simulation import simulate
from benchmarks.series.law import DAY, HOUR, Rows
from benchmarks.series.rises.law import History
from concertmaster.core.analysis.daily.rows import daily_rows
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.model import DailyPeaks, Recommendation, RunRecord
from concertmaster.core.model.daily import DailyRow
from concertmaster.core.model.policy import Policy, RuleSettings
from concertmaster.core.pipeline import EarlierAnalyses, analyze_workflow
from concertmaster.core.pipeline.damping import LAGS
from concertmaster.core.rules import RULES
from concertmaster.core.rules.reliability.regression_by_day import FEW_RUNS
from concertmaster.core.units import WEEK

RULE = "degradation"
DELAY = HOUR
"""From the end of the span to an analysis."""
_POLICY = Policy(rules={rule.name: RuleSettings(enabled=rule.name == RULE) for rule in RULES})
_WINDOW = _POLICY.analysis.window_seconds
_MOMENT = r"(\d{4}-\d\d-\d\d(?: \d\d:\d\d)?)"
_SINCE = re.compile(rf" since {_MOMENT}")
_BETWEEN = re.compile(rf"gradual increase between about {_MOMENT}(?: UTC)? and {_MOMENT}")


@dataclass(frozen=True, slots=True)
class Reported:
    """A regression as it is reported: ``since`` (unix seconds; None: gradual), known to the day only if ``by_day``;
    ``between``: the begin and the end of a gradual one."""

    id: str
    since: float | None
    by_day: bool
    between: tuple[float, float] | None


@dataclass(slots=True)
class Workflow:
    """One workflow with its runs. ``published``: ids of the last analysis (None: there was none)."""

    known: Known
    name: str
    runs: list[RunRecord]
    figures: RunFigures = field(default_factory=RunFigures)
    published: tuple[str, ...] | None = None

    def analyze(self, now: float) -> Reported | None:
        """What is reported at that time (unix seconds) of the runs that have ended; the first one if there are several."""
        most, since = _POLICY.analysis.max_runs, now - _WINDOW
        kept = [r for r in self.runs if since - max(LAGS) <= (r.end or 0.0) <= now][-most:]
        runs = [r for r in kept if (r.end or 0.0) >= since]
        limited = len(runs) == most
        result = analyze_workflow(
            self.known.definition,
            runs,
            _POLICY,
            profile=self.name,
            now=now,
            earlier=EarlierAnalyses(
                self.published,
                [r for r in kept if (r.end or 0.0) < since],
                peaks=DailyPeaks(every_day=limited),
                days=self._days(now) if limited or len(runs) <= FEW_RUNS else (),
            ),
            figures=self.figures,
        )
        found = [item for item in result.recommendations if item.rule == RULE]
        self.published = tuple(item.id for item in found)
        return reported(found[0]) if found else None

    def _days(self, now: float) -> list[DailyRow]:
        ended = [r for r in self.runs if now - _WINDOW - WEEK <= (r.end or 0.0) <= now]
        return daily_rows(
            ended, _POLICY.pricing, self.figures, covered=0.0, recorded=0.0, until=now, complete=None, score=None
        )


def reported(item: Recommendation) -> Reported:
    """What its words say."""
    since, between = _SINCE.search(item.action), _BETWEEN.search(item.because)
    return Reported(
        item.id,
        _seconds(since[1]) if since is not None else None,
        since is not None and len(since[1]) == len("2025-10-06"),
        (_seconds(between[1]), _seconds(between[2])) if between is not None else None,
    )


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(f"{moment}+00:00").timestamp()


@cache
def _flow() -> tuple[Flow, Known]:
    """A chain of steps, two of which follow the load of the run, one less than the other."""
    flow = Flow(
        "series",
        in_sequence(
            Step("prepare", 45.0, spread=0.05, wait=_at_once, pull=_at_once),
            Step("extract", 150.0, scales=0.8, spread=0.05, sized=True, wait=_at_once, pull=_at_once),
            Step("work", 200.0, scales=1.0, spread=0.05, sized=True, wait=_at_once, pull=_at_once),
            Step("store", 45.0, spread=0.05, wait=_at_once, pull=_at_once),
        ),
        starts=lambda _, __: [],
    )
    return flow, read(manifest(flow), (each.name for each in flow.steps))


def workflow(of: History, seed: int) -> Workflow:
    """The workflow with all its runs."""
    flow, known = _flow()
    flow = replace(flow, starts=lambda _, __: of.times.tolist(), prepare=partial(_set, of.load))
    runs = simulate(flow, known.definition, known.names, (seed,), float(of.times[-1]) + DAY)
    return Workflow(known, flow.name, [_with_inputs(run, of.inputs) for run in runs])


def _with_inputs(run: RunRecord, inputs: Rows | None) -> RunRecord:
    size = None if inputs is None else float(inputs[int(run.run.rpartition("-")[2])])
    return replace(
        run, steps=tuple(replace(e, input_size=size if e.input_size is not None else None) for e in run.steps)
    )


def _at_once(_: Run) -> float:
    """No wait: run times are what the law says."""
    return 0.0


def _set(load: Rows, run: Run) -> None:
    """The work of this run is what the law says."""
    run.load = float(load[run.number])
