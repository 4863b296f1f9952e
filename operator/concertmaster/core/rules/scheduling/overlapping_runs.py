"""``overlapping-runs``: scheduled runs that take longer than the interval, and the effect of ``concurrencyPolicy``: skipped
starts (Forbid), runs stopped early (Replace) or runs that slow each other down (Allow).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from concertmaster.core import text
from concertmaster.core.analysis.runs.starts import Starts, may_meet, starts_of
from concertmaster.core.lifecycle import commands
from concertmaster.core.model import Category, Edit, Finding, Level, Scheduler
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Rule, gain_sentence, share_range
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.intervals import mean_interval, share_interval
from concertmaster.core.rules.scheduling.overlap_slowdown import Slowdown, slowdown
from concertmaster.core.rules.scheduling.schedule_edit import schedule_line, with_edit
from concertmaster.core.schedules.scheduler import scheduler_of
from concertmaster.core.schedules.starts import widened
from concertmaster.core.stats.dependence import dependence

_MIN_RUNS = 3  # starts or runs
_HEADROOM = 1.1  # times the duration that 95% of the runs do not exceed
_MAX_OVERLAPPING_SHARE = 0.5  # share of starts; above it, Forbid would skip every other one


def _upper(lengths: Sequence[float]) -> float:
    """The 95th percentile of the durations (s)."""
    rows = sorted(lengths)
    return rows[min(len(rows) - 1, math.ceil(0.95 * len(rows)) - 1)]


def _forbid(by: Scheduler) -> Edit:
    return commands.field_edit("/spec/concurrencyPolicy", by.declared.get("concurrencyPolicy"), "Forbid")


def _facts(by: Scheduler, starts: Starts, needed: float) -> tuple[str, ...]:
    """Lines of evidence common to all policies."""
    deadline = by.declared.get("startingDeadlineSeconds")
    interval = starts.interval
    at_once = max(2, math.ceil(needed / interval))
    late = starts.behind.values()
    return (
        f"95% of the runs take at most {text.duration(needed)}; the schedule starts one every {text.duration(interval)}",
        *([f"{text.count(len(late), 'start')} had to wait for the run before, {text.duration(sum(late) / len(late))} on"
           " average"] if late else []),
        *([f"startingDeadlineSeconds is {deadline}: a start that has to wait longer is skipped"] if deadline else []),
        f"with concurrencyPolicy Allow every start takes place, and up to {at_once} runs are in progress at once",
    )  # fmt: skip


def _skipped(evidence: Evidence, by: Scheduler, starts: Starts) -> Finding | None:
    """Forbid: starts that were skipped."""
    count = len(starts.skipped)
    if count < _MIN_RUNS or count < evidence.settings.number("minSharePercent", 10.0) / 100 * len(starts.due):
        return None
    lengths = [s.length for s in starts.spans if s.run.outcome.over]
    if len(lengths) < evidence.analysis.options.min_runs:
        return None  # how long runs take is not known: those whose end was not seen may hang
    needed, interval = _upper(lengths), starts.interval
    line = schedule_line(by)
    new = widened(line[1], needed * _HEADROOM) if line is not None else None
    name = evidence.analysis.definition.key.name
    due = len(starts.due)
    skipped = frozenset(starts.skipped)
    share = share_interval(count, due, dependence([moment in skipped for moment in starts.due]))
    part = text.percent(count / due)
    if new is not None and line is not None:
        action = f"Start {name} less often: {line[1]} -> {new} ({part} of its starts are skipped)"
    else:
        action = f"Start {name} at most every {text.duration(needed * _HEADROOM)} ({part} of its starts are skipped)"
    finding = Finding(
        about="",
        action=action,
        because=(
            f"{count} of {due} scheduled starts were skipped {evidence.recent_runs(len(starts.spans))}: concurrencyPolicy is"
            f" Forbid and a run was still in progress; 95% of the runs take at most {text.duration(needed)}, and one is due"
            f" every {text.duration(interval)}"
        ),
        otherwise=f"{part} of the scheduled starts keep being skipped",
        risk=Level.MEDIUM,
        current=line[1] if line is not None else f"every {text.duration(interval)}",
        proposed=new or f"at least {text.duration(needed * _HEADROOM)} between starts",
        expected=f"no start skipped in 95% of cases, instead of {share_range(share) if share else part}",
        confidence=0.6,
        urgent=True,
        evidence=(
            *_facts(by, starts, needed),
            "runs that fit into the interval are a remedy too",
            "what else hangs on the hour (data that arrive, people who read the result) cannot be seen from here",
        ),
    )
    if line is None or new is None:
        return finding
    return with_edit(finding, evidence, by, commands.field_edit(line[0], line[1], new))


def _replaced(evidence: Evidence, by: Scheduler, starts: Starts) -> Finding | None:
    """Replace: runs that were stopped early."""
    count, runs = len(starts.replaced), len(starts.spans)
    few = count < evidence.settings.number("minSharePercent", 10.0) / 100 * runs
    if count < _MIN_RUNS or (few and not evidence.misses_success):
        return None
    analysis = evidence.analysis
    stopped = {id(starts.spans[i].run) for i in starts.replaced}
    alike = dependence([id(s.run) in stopped for s in starts.spans])
    share = share_interval(count, runs, alike)
    lost = [starts.spans[i].length for i in starts.replaced]
    lengths = [s.length for s in starts.spans if s.run.outcome.over and id(s.run) not in stopped]
    needed = _upper(lengths) if lengths else None
    costs = [(s.run, analysis.costs.run(s.run)) for s in starts.spans]
    wasted = [c.total if id(r) in stopped else 0.0 for r, c in costs if c is not None]
    rate = analysis.cost.runs_per_month
    part, interval = text.percent(count / runs), starts.interval
    finding = Finding(
        about="",
        action=f"Let runs of {analysis.definition.key.name} end: concurrencyPolicy Replace -> Forbid ({part} are stopped)",
        because=(
            f"{count} of {text.count(runs, 'run')} ({evidence.recent_window()}) were stopped after"
            f" {text.duration(sum(lost) / count)} on average because the next one was due: concurrencyPolicy is Replace and"
            f" one is due every {text.duration(interval)}"
        ),
        otherwise=f"{part} of the runs keep being stopped without a result, and their work is wasted",
        risk=Level.MEDIUM,
        current="Replace",
        proposed="Forbid",
        expected=(
            f"no run stopped by the next, instead of {share_range(share) if share else part}; starts that come too early"
            " are skipped"
        ),
        confidence=0.6,
        failures_avoided=share,
        saving_per_month=mean_interval(wasted, rate) if wasted and rate is not None else None,
        evidence=(
            *(
                _facts(by, starts, needed)
                if needed is not None
                else (f"no run ended by itself {evidence.recent_runs(runs)}",)
            ),
            "for the impact, a stopped run counts as a failed one",
        ),
    )
    return with_edit(finding, evidence, by, _forbid(by))


def _growth(met: Sequence[int]) -> tuple[int, int] | None:
    """The most that runs of the first fifth met as they began, and the least that those of the last fifth did, where ever
    more are in progress; else None."""
    part = len(met) // 5
    first, middle, last = (met[k * part : (k + 1) * part] for k in (0, 2, 4))
    more = part >= _MIN_RUNS and max(first) < min(middle) and max(middle) < min(last)
    return (max(first), min(last)) if more else None


def _concurrent(evidence: Evidence, by: Scheduler, starts: Starts) -> Finding | None:
    """Allow: concurrent runs, and how much they slow each other down."""
    runs, met = len(starts.scheduled), [o.met for o in starts.overlaps]
    count, most = sum(m > 0 for m in met), 1 + max(met, default=0)
    if count < _MIN_RUNS or count < evidence.settings.number("minSharePercent", 10.0) / 100 * runs:
        return None
    timed = [(starts.spans[i], o) for i, o in zip(starts.scheduled, starts.overlaps, strict=True)]
    concurrent, alone = (
        [s for s, o in timed if s.run.outcome.timed and bool(o.earlier or o.later) is together]
        for together in (True, False)
    )
    part, interval = text.percent(count / runs), starts.interval
    needed = _upper([s.length for s in (alone if len(alone) >= _MIN_RUNS else concurrent or starts.spans)])
    name, line = evidence.analysis.definition.key.name, schedule_line(by)
    growth = _growth(met)
    # Runs that pile up take ever longer, so they do not tell which interval would be long enough.
    rare = growth is None and count > _MAX_OVERLAPPING_SHARE * runs
    new = widened(line[1], needed * _HEADROOM) if line is not None and rare else None
    if line is not None and new is not None:
        edit = commands.field_edit(line[0], line[1], new)
        action, current = f"Start {name} less often: {line[1]} -> {new} ({part} of its runs overlap)", line[1]
    else:
        edit = _forbid(by)
        action = f"Keep runs of {name} apart: concurrencyPolicy Allow -> Forbid ({part} of them overlap)"
        current = "Allow"
    effect = slowdown(starts, evidence.analysis.node_delays) if growth is None else None
    seconds = effect.seconds if effect is not None else None
    lengths = [s.run.makespan or 0.0 for s in (*concurrent, *alone)]
    gain = seconds.scaled(1.0 / (sum(lengths) / len(lengths))) if seconds is not None else None
    slower = _slower(effect)
    if growth is not None:
        slower = f"; concurrent runs keep increasing: at most {growth[0]} at first, at least {growth[1]} now"
    finding = Finding(
        about="",
        action=action,
        because=(
            f"{count} of {text.count(runs, 'run')} ({evidence.window()}) began while another was in progress, up to"
            f" {most} at once: concurrencyPolicy is Allow and one is due every {text.duration(interval)}{slower}"
        ),
        otherwise=(
            "a run that takes longer than usual keeps adding to the load of those after it"
            if growth is None
            else "runs keep piling up, and each takes longer than the one before"
        ),
        risk=Level.MEDIUM,
        current=current,
        proposed=new or "Forbid",
        expected=(
            gain_sentence(gain, seconds)
            if gain is not None and seconds is not None
            else f"one run at a time instead of up to {most}; no gain in time was measured"
        ),
        confidence=0.5,
        urgent=growth is not None,
        gain_seconds=seconds,
        gain_share=gain,
        evidence=(
            f"95% of the runs take at most {text.duration(needed)}; the schedule starts one every {text.duration(interval)}",
            f"{len(alone)} runs had no other beside them, {len(concurrent)} had",
            "with Forbid, a start that comes while a run is in progress is skipped",
        ),
    )
    return with_edit(finding, evidence, by, edit)


def _slower(effect: Slowdown | None) -> str:
    """How much longer runs take beside another, as a clause."""
    if effect is None:
        return ""
    longer = effect.longer
    return (
        f"; runs that begin beside another take {text.percent(longer.likely)} longer (90% CI"
        f" {text.percent(longer.low)} to {text.percent(longer.high)})"
    )


_BY_POLICY = {"Forbid": _skipped, "Replace": _replaced, "Allow": _concurrent}


def evaluate(evidence: Evidence) -> Iterator[Finding | None]:
    """One recommendation for a schedule with overlapping runs."""
    analysis = evidence.analysis
    by = scheduler_of(analysis.definition)
    if by is None or analysis.definition.suspended or len(analysis.runs) < analysis.options.min_runs:
        return
    if not may_meet(analysis.definition, analysis.runs, analysis.figures):
        return
    policy = str(by.declared.get("concurrencyPolicy") or "Allow")
    judge = _BY_POLICY.get(policy)
    # What runs that overlap cost is measured beside the level of the runs around, which takes all of them.
    runs = analysis.runs if policy == "Allow" else analysis.present
    starts = starts_of(analysis.definition, runs) if judge is not None else None
    yield judge(evidence, by, starts) if judge is not None and starts is not None else None


RULE = Rule(
    RuleName.OVERLAPPING_RUNS,
    evaluate,
    Category.RELIABILITY,
    Level.LOW,
    tie_break=6,
    settings=("minSharePercent",),
    young=True,  # where each run replaces the one before, none may complete
)
