"""``schedule-clash``: a scheduled workflow that waits for nodes because others run at the same time.

Requires both: waiting on the critical path, and reservations of other workflows at the hours of the runs. Proposes the start
time with the least overlap, no further away than necessary. Of workflows that clash, each gets another one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from concertmaster.core import arrays as np
from concertmaster.core import text
from concertmaster.core.analysis.replay import ExecutedRun, Limit
from concertmaster.core.analysis.replay.regular import FULL_CLUSTER_SECONDS
from concertmaster.core.arrays import Floats
from concertmaster.core.fleet.workflows import Fleet
from concertmaster.core.known import median
from concertmaster.core.lifecycle import commands
from concertmaster.core.model import Category, Finding, Level, RunRecord
from concertmaster.core.model.amounts import digits
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Rule, gain_sentence
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.scheduling.free_capacity import begins
from concertmaster.core.rules.scheduling.queue_time import without
from concertmaster.core.rules.scheduling.schedule_edit import schedule_line, with_edit
from concertmaster.core.rules.scheduling.waits import PENDING, lasting, measured, most_on_nodes, window_of
from concertmaster.core.rules.upper_bound import assumption, attainable
from concertmaster.core.schedules.scheduler import scheduler_of
from concertmaster.core.stats.means import clearly_positive

_MINUTE = 60.0
_HOURS = re.compile(r"[0-9*/,-]+")  # of a cron line, such as */2 or 8-18
_HOURLY = (10, 20, 30, 40, 50)
_SOME_HOURS = (-10, 10, -20, 20, -30, 30, -40, 40, -50, 50)
_SIGNIFICANCE = 0.05  # of the best of all starts, each of which meets less than now by chance
_DAILY = (-30, 30, -60, 60, -120, 120, -180, 180, -240, 240)


class _Start(NamedTuple):
    """Another start: the mean cores it would meet, how many minutes later it is, and its cron line."""

    load: float
    minutes: int
    line: str


def _moved(schedule: str, minutes: int) -> str | None:
    """A cron schedule of one minute shifted by ``minutes``: a plain daily one within its day, one of several hours within
    these, and an hourly one to any minute. None for any other schedule."""
    parts = schedule.split()
    minute = digits(parts[0]) if len(parts) == 5 else None
    if minute is None:
        return None
    if parts[1] == "*":
        return " ".join([str((minute + minutes) % 60), *parts[1:]])
    hour = digits(parts[1])
    if hour is None and _HOURS.fullmatch(parts[1]):
        return " ".join([str(minute + minutes), *parts[1:]]) if 0 <= minute + minutes < 60 else None
    at = hour * 60 + minute + minutes if hour is not None else -1
    if not 0 <= at < 1440:
        return None  # crosses midnight: dependencies on the day are unknown
    return " ".join([str(at % 60), str(at // 60), *parts[2:]])


def _others(evidence: Evidence) -> Fleet | None:
    """The workflows whose runs are to come, on nodes that its own pods may run on."""
    fleet, nodes = evidence.fleet, evidence.capacity.nodes
    return fleet.active.among(nodes.tolerated) if fleet is not None else None


def _waits(runs: Sequence[ExecutedRun]) -> list[float]:
    return [sum(a.pending for a in run.critical) for run in runs]


def _free(evidence: Evidence, spans: Floats, most: float, seconds: float) -> list[_Start]:
    """The starts nearby that would clearly meet less, at most ``most`` cores, and lie ``seconds`` apart: the one that meets
    least first, of equal ones the nearest."""
    definition, fleet = evidence.analysis.definition, _others(evidence)
    hours = "".join((definition.schedule or "").split()[1:2])
    hourly = hours == "*"
    shifts = _HOURLY if hourly else _SOME_HOURS if digits(hours) is None else _DAILY
    lines = [(minutes, line) for minutes in shifts if (line := _moved(definition.schedule or "", minutes)) is not None]
    if fleet is None or not lines:
        return []
    met = fleet.loads(definition.key, spans)
    starts = []
    for minutes, line in lines:
        loads = fleet.loads(definition.key, spans + minutes * _MINUTE)
        if loads.mean() <= most and clearly_positive(met - loads, _SIGNIFICANCE / len(lines)):
            starts.append(_Start(round(float(loads.mean()), 3), minutes, line))
    apart: list[_Start] = []
    for start in sorted(starts, key=lambda s: (s.load, abs(s.minutes))):
        gaps = [abs(start.minutes - other.minutes) for other in apart]
        if all((min(gap, 60 - gap) if hourly else gap) * _MINUTE >= seconds for gap in gaps):
            apart.append(start)
    return apart


def _on_new_nodes(runs: Sequence[RunRecord], fewest: int) -> bool:
    """Whether pods waited for at least so many nodes, none of which another run has seen: an autoscaler adds them."""
    waited = [
        {e.node for e in run.steps if e.created is not None and (e.scheduled or 0.0) - e.created > FULL_CLUSTER_SECONDS}
        for run in runs
    ]
    nodes = [node for found in waited for node in found if node is not None]
    seen = Counter(node for run in runs for node in {e.node for e in run.steps})
    return len(nodes) >= fewest and all(seen[node] == 1 for node in nodes)


def _alone(evidence: Evidence, runs: Sequence[ExecutedRun]) -> list[ExecutedRun]:
    """The runs as if nobody else used the nodes: more pods at a time than these hold, or than were ever seen on them, would
    wait for each other at any hour."""
    fits = evidence.capacity.pods(evidence.analysis.definition.graph.steps, begins(evidence, runs))
    most = max([most_on_nodes(run) for run in runs] + ([fits[0]] if fits is not None else []))
    return [replace(run, limits=(*run.limits, Limit(most, None, "capacity"))) for run in runs]


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation for a schedule that overlaps others, if a start without overlap is near."""
    analysis, fleet = evidence.analysis, _others(evidence)
    schedule = analysis.definition.schedule
    if fleet is None or not schedule or analysis.definition.suspended:
        return
    known = measured(evidence, [run for run in analysis.executed if run.usable], PENDING)
    least = evidence.settings.number("minWaitSeconds", 30.0)
    runs = lasting(evidence, known, [wait >= least for wait in _waits(known)])
    wait = median(_waits(runs)) or 0.0
    if not runs or wait < least:
        return
    key = analysis.definition.key
    before = {run.run for run in known} - {run.run for run in runs}
    kept = [r for r in analysis.runs if r.run not in before]
    spans = np.array([(r.start, r.end) for r in kept if r.start is not None and r.end is not None])
    now = fleet.meets(key, spans)
    total = sum(cores for _, cores in now)
    if total <= 0:
        return
    if _on_new_nodes(analysis.runs, analysis.options.min_runs):
        return
    ahead, longest = fleet.turn(key, spans, analysis.now)
    free = _free(evidence, spans, (1 - evidence.settings.number("minLessPercent", 50.0) / 100) * total, longest)
    if ahead >= len(free):
        return
    bound = evidence.worth(
        without(runs, PENDING), evidence.settings.number("minGainPercent", 5.0), _alone(evidence, runs)
    )
    if bound is None:
        return
    (load, minutes, line), (share, seconds) = free[ahead], attainable(bound)
    by = scheduler_of(analysis.definition)
    place = schedule_line(by) if by is not None else None
    names = [name for name, _ in now]
    direction = "later" if minutes > 0 else "earlier"
    finding = Finding(
        action=f"Start {analysis.definition.key.name} {text.duration(abs(minutes) * _MINUTE)} {direction}",
        because=(
            f"its runs wait {text.duration(wait)} for nodes (median {window_of(evidence, runs)}) while {text.listing(names)}"
            f" {'reserves' if len(names) == 1 else 'reserve'} {text.cores(total)} on average; {direction} it would meet"
            f" {text.cores(round(load, 2))}"
        ),
        otherwise=f"these workflows keep competing for the same nodes, which costs {text.duration(wait)} of each run",
        risk=Level.MEDIUM,
        current=schedule,
        proposed=line,
        expected=f"{gain_sentence(share, seconds)}, {assumption('wait')}",
        confidence=0.5,
        gain_seconds=seconds,
        gain_share=share,
        upper_bound=True,
        evidence=(
            *(f"{name}: {text.cores(cores)} on average while this workflow ran" for name, cores in now[:5]),
            "what else hangs on the hour (data that arrive, people who read the result) cannot be seen from here",
        ),
    )
    if by is not None and place is not None and place[1] == schedule:
        finding = with_edit(finding, evidence, by, commands.field_edit(*place, line))
    yield finding


RULE = Rule(
    RuleName.SCHEDULE_CLASH,
    evaluate,
    Category.PERFORMANCE,
    Level.LOW,
    tie_break=5,
    settings=("minGainPercent", "minLessPercent", "minWaitSeconds"),
    compares=True,
)
