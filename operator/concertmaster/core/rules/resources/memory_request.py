"""``memory-request``: the memory needed by a step that was OOM-killed, or soon will be.

A killed run needed more than its limit; how much more is unknown. Request and limit are raised together, as far as the
failure bound of sizes asks for, also where too few executions have samples for a size: that more than the limit is needed
is known all the same. A request that is merely far from usage belongs to ``right-size``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from statistics import fmean

from concertmaster.core import text
from concertmaster.core.analysis.steps.earlier_kills import NO_KILLS, EarlierKills, earlier_kills
from concertmaster.core.analysis.steps.kills import alike_runs, has_ended, is_raised
from concertmaster.core.analysis.steps.releases import Release, followed_limit, memory_release
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.analysis.usage import ContainerUsage
from concertmaster.core.known import known
from concertmaster.core.model import Category, Finding, Interval, Level, RuleName, SizeItem
from concertmaster.core.model.daily import KILLED
from concertmaster.core.rules.base import Damping, Rule, container_id, container_title, resource_edits
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.intervals import failed_share
from concertmaster.core.rules.resources.killed_attempts import time_lost
from concertmaster.core.rules.resources.memory_growth import growing
from concertmaster.core.rules.resources.memory_need import MemoryNeed, chance_of_kill, memory_need
from concertmaster.core.rules.resources.node_kills import enough, far_below_limit, reason
from concertmaster.core.rules.resources.rows.sizes import UNMEASURED, memory_outlook, size_guard
from concertmaster.core.rules.resources.rows.sizing_units import SizingUnit, by_unit
from concertmaster.core.rules.set_elsewhere import change_there, set_elsewhere
from concertmaster.core.sizing import at_most, plain_memory
from concertmaster.core.sizing.oom_kills import ended, exceeding
from concertmaster.core.stats.means import product
from concertmaster.core.units import MIB

_NEARLY_ALL_SHARE = 0.95  # share of killed runs that a size is enough for, above which the others need no mention
# Least kills before a limit was raised and since, and how often runs are killed since (times as before), from which on the
# larger limit is taken not to have helped.
_MIN_KILLS, _AS_OFTEN = 2, 0.75
_MIN_RAISE = 1.1  # times a request that was raised after kills, below which a larger one is not recommended


def _earlier(evidence: Evidence, unit: SizingUnit, release: Release | None) -> EarlierKills:
    """Kills of runs that are no longer analysed; of what needs more than a leaner release, none does."""
    analysis, ends = evidence.analysis, [run.end for run in evidence.analysis.runs if run.end is not None]
    if not ends or (release is not None and release.less):
        return NO_KILLS
    begin = analysis.now - analysis.options.window_seconds
    return earlier_kills(unit.container, unit.steps, evidence.peaks, since=begin, first=min(ends), now=analysis.now)


def _finding(evidence: Evidence, unit: SizingUnit) -> Finding | None:
    step, container, options = unit.step, _as_killed(unit.container), evidence.analysis.options
    before = evidence.peaks.of(unit.steps, f"{KILLED}/{container.name}")
    if not container.runs:
        return None
    if not before and True not in container.columns["oom_killed"]:
        return growing(evidence, unit)
    release = memory_release(container, options.min_runs)
    alike, which = alike_runs(container, release, options)
    killed, earlier = sum(r.oom_killed for r in alike), _earlier(evidence, unit, release)
    if not killed + earlier.runs or (killed and has_ended(container, alike)):
        return None
    need = memory_need(container, alike, release, earlier, options)
    if need is None:
        return None
    raised, follows = is_raised(container, need.killed_at), _follows_limit(container)
    beneath = far_below_limit(container, alike) if need.measured else None
    sections = ("requests", "limits") if beneath is None else ("requests",)
    if beneath is not None:
        size = beneath * (1 + options.memory_headroom)
        need = replace(need, peak=beneath, least=size, size=size)
    size = need.least if raised or follows is not None else need.size
    request, current = _request(evidence, size, need.least), container.memory_request
    if request is None or (current is not None and request <= current):
        return None  # killed below a limit other than the request: a larger request does not help
    if raised and request < _MIN_RAISE * (current or request):
        return None  # what was recommended, but for its rounding
    proposed, runs = text.memory_quantity(request), len(alike)
    edits = resource_edits(step, container, {(section, "memory"): proposed for section in sections})
    both = "memory request" if beneath is not None else "memory request and limit"
    old = text.memory_quantity(current) if current is not None else "not set"
    share = (killed + earlier.runs) / (runs + earlier.of)
    enough_for = Interval(0.0, 1.0, 1.0) if beneath is not None else ended(share, need.usual, need.died, request)
    if follows is not None:
        enough_for = replace(enough_for, low=0.0)
    admitted = (
        evidence.above_capacity("memory", request, request)
        or evidence.above_bounds("memory", request)
        or _beside_services(evidence, request)
    )
    first = [what for what in (follows, admitted) if what is not None]
    if first:
        edits = ()
    known = f"the largest peak seen is {text.memory(need.peak)}"
    if not need.measured:
        known = size_guard(container, options) or ""
    lost = time_lost(evidence, unit, alike, enough_for)
    return Finding(
        step=step.step,
        about=container_id(step, container),
        action=f"Raise {both} of {container_title(evidence, step, container)}: {old} -> {proposed}",
        because=(
            f"{killed} of {text.count(runs, 'run')}{which} {'was' if killed == 1 else 'were'} OOM-killed"
            f" ({evidence.window()}){_said(earlier)}; {known}"
        ),
        risk=Level.LOW if need.measured and follows is None and beneath is None else Level.MEDIUM,
        otherwise=f"about {text.percent(share)} of the runs keep being OOM-killed{lost.otherwise}",
        current=old,
        proposed=proposed,
        expected=lost.expected
        + (_expected(need, proposed, enough_for) if beneath is None else enough(beneath, proposed))
        + "".join(f"; {what}" for what in first)
        + change_there(evidence, step, container, "memory", *sections),
        confidence=need.confidence or UNMEASURED,
        gain_seconds=lost.seconds,
        gain_share=lost.share,
        failures_avoided=_avoided(
            evidence, step, killed, earlier, (runs + earlier.of) / len(container.runs), enough_for
        ),
        items=_items(step.step, container, need, request)[: len(sections)],
        edits=edits,
        upper_bound=follows is not None or beneath is not None,
        evidence=(
            *([reason(beneath)] if beneath is not None else []),
            *_evidence(container, need),
            *lost.evidence,
            *(_rarer(need, chance_of_kill(alike, earlier), request) if beneath is None else ()),
            *(memory_outlook(evidence, unit, request, release) if need.measured and beneath is None else ()),
            *set_elsewhere(evidence, step, container, "memory"),
        ),
    )


def _as_killed(container: ContainerUsage) -> ContainerUsage:
    """The container with the memory of its killed pods where those of one run differ, as with a ``podSpecPatch`` that gives
    each retry more: the largest is that of a retry."""
    varied = container.overrides.get(("limits", "memory"))
    killed = [r.memory_floor for r in container.runs if r.oom_killed and r.memory_floor]
    if varied is None or not varied.varies or not killed:
        return container
    return replace(container, memory_request=killed[-1], memory_limit=killed[-1])


def _follows_limit(container: ContainerUsage) -> str | None:
    """What comes before a larger limit where an earlier one did not help: peaks rose with it, and about as many runs are
    killed as before. None where nothing shows that."""
    followed = followed_limit(container)
    if followed is None or followed.new < followed.old:
        return None
    before, since = (part.columns["oom_killed"] for part in (followed.before, followed.since))
    if min(sum(before), sum(since)) < _MIN_KILLS or fmean(since) < _AS_OFTEN * fmean(before):
        return None
    old, new = text.memory(followed.old), text.memory(followed.new)
    return (
        "first lower the share of the limit that the program takes, such as the heap of a JVM (MaxRAMPercentage): after the"
        f" limit went from {old} to {new}, peaks rose with it, and {sum(since)} of {text.count(len(since), 'run')} were"
        f" still OOM-killed ({sum(before)} of {len(before)} before)"
    )


def _said(earlier: EarlierKills) -> str:
    """``, and 13 earlier ones on 13 of 14 days``; empty without any."""
    days = f"{earlier.days} of {text.count(earlier.known, 'day')}"
    return f", and {earlier.runs} earlier {'one' if earlier.runs == 1 else 'ones'} on {days}" if earlier.runs else ""


def _expected(need: MemoryNeed, proposed: str, enough_for: Interval) -> str:
    """What the ``proposed`` size is sufficient for; ``enough_for``: share of the killed runs."""
    sentence = f"sufficient for runs that need up to {proposed}; the killed runs needed an unknown amount"
    if need.killed_at:
        sentence += f" above {text.memory(need.killed_at)}"
    if need.usual and enough_for.likely < _NEARLY_ALL_SHARE:
        sentence += f", {text.percent(1.0 - enough_for.likely)} of them probably more than {proposed}"
    return sentence


def _items(step: str, container: ContainerUsage, need: MemoryNeed, request: float) -> tuple[SizeItem, ...]:
    """Request and limit of the container as they are and as they would be, with the peak behind them."""
    peak, room = "unknown", "unknown"
    if need.peak is not None:
        peak, room = text.memory(need.peak), text.percent(request / need.peak - 1)
    return tuple(
        SizeItem(
            step,
            container.name,
            f"{section}.memory",
            text.memory_quantity(old) if old is not None else None,
            text.memory_quantity(request),
            peak,
            room,
        )
        for section, old in (("requests", container.memory_request), ("limits", container.memory_limit))
    )


def _request(evidence: Evidence, size: float, least: float) -> float | None:
    """The ``size`` (bytes), rounded, or the most that is allowed if that is at least the ``least``, else that."""
    allowed = (
        evidence.analysis.policy.apply.bounds.memory.max,
        evidence.capacity.request("memory", size).most,
        evidence.capacity.limit("memory").most,
        evidence.capacity.memory_beside_services().most,
    )
    most = min(known(allowed))
    return plain_memory(least) if least > most else at_most(plain_memory(min(size, most)) or size, most, MIB)


def _beside_services(evidence: Evidence, request: float) -> str | None:
    """What must be raised before a pod of this ``request`` (bytes) is admitted beside services; None: nothing."""
    bound = evidence.capacity.memory_beside_services()
    if bound.most is None or request <= bound.most:
        return None
    return f"raise {bound.most_by} from {text.memory(max(0.0, bound.most))} to at least {text.memory(request)} first"


def _avoided(
    evidence: Evidence, step: StepAnalysis, killed: int, earlier: EarlierKills, part: float, enough_for: Interval
) -> Interval | None:
    """Share of the runs whose failure the size avoids: those of the ``killed`` that failed for good, times the share of
    killed runs that it is enough for. ``part``: of how many runs these are, as a share of those analysed; above 1 with
    ``earlier`` ones."""
    failed = min(step.failures.lasting(killed), evidence.analysis.failed) + earlier.lost
    runs, unseen = len(evidence.analysis.runs), evidence.rows.unseen(step.step)
    alike = evidence.rows.failures_alike
    share = failed_share(failed, max(failed, round(part * runs)), round(part * unseen), alike)
    if share is None:
        return None
    found = product(share, enough_for)
    return Interval(max(0.0, found.low), found.likely, min(1.0, found.high))


def _sure(confidence: float) -> str:
    """Confidence as text: never 100%, what would round to it is above 99.9%."""
    return "more than 99.9%" if confidence > 0.999 else text.percent(confidence, 1 if confidence > 0.99 else 0)


def _evidence(container: ContainerUsage, need: MemoryNeed) -> Iterator[str]:
    peaks = sorted(container.known("memory_peak"))
    if peaks:
        yield (
            f"per-run peaks: smallest {text.memory(peaks[0])}, median {text.memory(peaks[len(peaks) // 2])}, largest"
            f" {text.memory(peaks[-1])} over {len(peaks)} runs"
        )
    if need.measured and need.confidence:
        yield f"the largest of {len(peaks)} peaks covers 95% of future runs with {_sure(need.confidence)} confidence"
    elif need.measured:
        yield "how many later runs these peaks cover is not known: their level is changing"
    else:
        yield f"the size follows from the limit at which runs were killed, {text.memory(need.died)}, or the largest peak"
    yield f"{text.percent(container.coverage)} of the executions have memory samples"


def _rarer(need: MemoryNeed, chance: float, request: float) -> Iterator[str]:
    """Why the request is larger than what is needed at the least, where the next run is killed with this ``chance``."""
    if chance < 1.0 and request > (plain_memory(need.least) or request):
        few, many = (exceeding(chance, need.usual, need.died, size) for size in (request, need.least))
        least, most = text.memory(need.least), text.memory_quantity(request)
        yield f"about {text.percent(many, 1)} of the runs need more than {least}, {text.percent(few, 1)} more than {most}"


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """One recommendation per container that was OOM-killed, or whose peaks will soon reach its limit."""
    yield from by_unit(evidence, "memory", _finding, inits=True)


RULE = Rule(RuleName.MEMORY_REQUEST, evaluate, Category.RELIABILITY, Level.LOW, tie_break=7, damping=Damping.DAY)
