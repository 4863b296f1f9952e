"""What if: the newest runs, replayed with a change made to them, in hundredths of a second: fast enough to answer a form.

``concertmaster what-if`` replays all runs of the window with more kinds of changes; this is for looking around.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from concertmaster.api.models.list_entry import Amount
from concertmaster.api.views.runs import RunView
from concertmaster.api.views.workflow import WhatIfView
from concertmaster.core import text
from concertmaster.core.analysis.replay import WhatIf, prepare
from concertmaster.core.analysis.replay.gain import Gain, gain
from concertmaster.core.model import Interval, Outcome, StepSpec, WorkflowGraph, WorkflowKey
from concertmaster.report.runs.served import observed
from concertmaster.report.view import number

SLIDERS = 8  # steps that the form offers, those with the largest critical-path time
MAX_FACTOR = 4.0  # times as long
MAX_PODS = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """The change entered in the form: factors by step, most pods at a time (0: as now), no failed attempts."""

    scales: Mapping[str, float]
    limit: int = 0
    no_retries: bool = False

    @property
    def any(self) -> bool:
        """Whether anything is changed."""
        return bool(self.scales) or self.limit > 0 or self.no_retries

    @property
    def whatif(self) -> WhatIf:
        """The same for the replay."""
        made = WhatIf()
        for step, factor in self.scales.items():
            made &= WhatIf.scale_step(step, factor)
        if self.limit:
            made &= WhatIf.set_parallelism(self.limit, None)
        return made & WhatIf.without_failed_attempts() if self.no_retries else made


def change_of(query: Mapping[str, str], steps: Sequence[str]) -> Change:
    """The change a query asks for (``scale.STEP=0.5``, ``pods=4``, ``no-retries=1``); anything else in it is ignored."""
    scales = {}
    for step in steps:
        factor = _number(query.get(f"scale.{step}"), MAX_FACTOR)
        if factor is not None and factor != 1.0:
            scales[step] = factor
    limit = _number(query.get("pods"), MAX_PODS)
    return Change(scales, int(limit or 0), query.get("no-retries") == "1")


def graph_by_edges(steps: Sequence[Mapping[str, Any]]) -> WorkflowGraph:
    """The graph where the operator serves no whole one: dependencies only."""
    return WorkflowGraph(tuple(StepSpec(str(s["name"]), depends_on=tuple(s["dependsOn"])) for s in steps))


def replayed(key: WorkflowKey, graph: WorkflowGraph, runs: Sequence[RunView], change: WhatIf) -> WhatIfView:
    """The gain of a change over the served runs of which all pods are known."""
    whole = [r for r in runs if r.outcome is Outcome.SUCCEEDED and not r.more_pods]
    known = prepare([observed(key, r).record for r in whole], graph)
    predicted = gain(known, change)
    usable = [run.replayed for run in known if run.usable]
    return WhatIfView(
        runs_used=predicted.runs_used,
        mean_seconds=number(fmean(usable)) if usable else None,
        saved_seconds=_amount(predicted.seconds, "seconds"),
        saved_share=_amount(predicted.share, "share of the duration"),
        text=sentence(predicted, _newest(predicted.runs_used)),
        reason=predicted.reason,
    )


def sentence(predicted: Gain, over: str) -> str:
    """The outcome in words; ``over``: which runs were replayed."""
    if predicted.seconds is None or predicted.share is None:
        return f"Not known: {predicted.reason}."
    low, likely, high = predicted.seconds.low, predicted.seconds.likely, predicted.seconds.high
    if likely == 0 and low == high == 0:
        return f"No difference over {over}."
    way = "shorter" if likely >= 0 else "longer"
    ends = sorted((low, high), key=abs)
    span = " to ".join(f"{'-' if (e < 0) != (likely < 0) and e != 0 else ''}{text.duration(abs(e))}" for e in ends)
    shorter = f"{text.duration(abs(likely))} ({text.percent(abs(predicted.share.likely))}) {way} per run"
    if predicted.reason:  # why there is no interval
        return f"{shorter}, over {over} ({predicted.reason})."
    return f"{shorter}, 90% interval {span}, over {over}."


def _newest(count: int) -> str:
    """Which runs are replayed: recommendations rest on more."""
    return f"the newest {count} runs" if count > 1 else "the newest run"


def _amount(interval: Interval | None, unit: str) -> Amount | None:
    if interval is None:
        return None
    return Amount(low=interval.low, likely=interval.likely, high=interval.high, unit=unit)


def _number(value: str | None, most: float) -> float | None:
    try:
        parsed = float(value or "")
    except ValueError:
        return None
    return min(most, max(0.0, parsed)) if parsed == parsed else None
