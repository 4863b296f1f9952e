"""``demand-forecast``: the busiest hour of the next days, reported for the workflow that contributes most.

The forecast itself is computed in ``core.fleet.demand``; here it becomes one recommendation for the workflow with the
largest share of the peak, so that a fleet gets it once.
"""

from __future__ import annotations

from collections.abc import Iterator

from concertmaster.core import text
from concertmaster.core.fleet.demand import HourDemand
from concertmaster.core.fleet.members import name_of
from concertmaster.core.model import Category, Finding, Level
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Rule
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.sizing import MILLI
from concertmaster.core.times import utc
from concertmaster.core.units import HOUR

_MAX_PEAK_LEFT = 0.9  # of the peak: what is left of it when this workflow runs at another hour


def _line(hour: HourDemand) -> str:
    return f"{_when(hour.start)}: {text.cores(hour.cores)}, {hour.gib:.1f}Gi, {hour.runs:.1f} runs"


def _when(time: float) -> str:
    return f"{utc(time):%a %Y-%m-%d %H:00 UTC}"


def _services(evidence: Evidence, peak: HourDemand) -> str:
    """What services request at that time of the day, as a phrase; nothing where they are not known."""
    services = evidence.capacity.nodes.services
    (held,) = services.held("cpu", [peak.start]) if services is not None else (0.0,)
    return f" beside the {text.cores(held)} that pods outside workflows request" if held >= MILLI else ""


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation if this workflow has the largest share of a significant peak."""
    analysis = evidence.analysis
    if evidence.fleet is None:
        return
    hours = int(evidence.settings.number("hours", 72.0))
    demand = evidence.fleet.demand(analysis.now, max(1, min(hours, 336)))
    me = name_of(analysis.definition.key)
    busy = [h for h in demand.hours if h.cores > 0]
    if len(busy) < 2:
        return
    peak = max(busy, key=lambda h: (h.cores, -h.start))
    mean = sum(h.cores for h in demand.hours) / len(demand.hours)
    own = dict(peak.by_workflow).get(me, 0.0)
    factor = evidence.settings.number("minPeakPercent", 150.0) / 100
    least = max(factor * mean, evidence.settings.number("minPeakCores", 1.0))
    if peak.by_workflow[0][0] != me or peak.cores < least:
        return
    rest = max(
        (h.cores - dict(h.by_workflow).get(me, 0.0) for h in demand.hours if h.cores >= peak.cores - own),
        default=0.0,
    )
    moved = max(rest, mean, own + min(h.cores for h in demand.hours))  # at the quietest hour it takes as much
    movable = moved <= _MAX_PEAK_LEFT * peak.cores
    among = "" if movable or len(peak.by_workflow) == 1 else f", the largest of {len(peak.by_workflow)},"
    note = f"; {text.count(len(demand.unknown), 'workflow')} too new to count" if demand.unknown else ""
    held = f"; {text.count(len(demand.suspended), 'suspended workflow')} not counted" if demand.suspended else ""
    likely = (
        f"; {text.count(len(demand.estimated), 'new workflow')} taken from similar ones" if demand.estimated else ""
    )
    yield Finding(
        action=f"Plan for {text.cores(peak.cores)} at {_when(peak.start)}"
        + (", or move this workflow away from that hour" if movable else ""),
        because=(
            f"schedules and history ({evidence.window()}) make it the busiest hour of the next"
            f" {text.window(hours * HOUR)}:"
            f" {text.cores(peak.cores)} and {peak.gib:.1f}Gi reserved against {text.cores(mean)} on average, of"
            f" which this workflow{among} takes {text.percent(own / peak.cores)}{likely}{note}{held}"
        ),
        otherwise=(
            f"with less than {text.cores(peak.cores_high)} allocatable{_services(evidence, peak)}, pods of that hour stay"
            " pending"
        ),
        current=f"peak of {text.cores(peak.cores)}",
        proposed=f"peak of {text.cores(moved)}" if movable else "room for it",
        expected=(
            f"the peak falls from {text.cores(peak.cores)} to {text.cores(moved)} when this workflow runs at a quiet hour"
            if movable
            else "no pod of that hour stays pending"
        ),
        confidence=0.5,
        evidence=tuple(_line(h) for h in sorted(sorted(busy, key=lambda h: -h.cores)[:12], key=lambda h: h.start)),
    )


RULE = Rule(
    RuleName.DEMAND_FORECAST,
    evaluate,
    Category.SCALABILITY,
    Level.MEDIUM,
    tie_break=2,
    settings=("hours", "minPeakPercent", "minPeakCores"),
    compares=True,
)
