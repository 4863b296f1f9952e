"""``sidecar-overhead``: sidecar containers that cost too much, or keep their pod alive.

Sidecars are declared by the template or injected into the pod (service mesh proxy, log shipper). Their requests count for
as long as each pod is on its node, and a pod ends only when they do. What a declared one requests is a row of
``right-size``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from concertmaster.core import arrays as np
from concertmaster.core import text
from concertmaster.core.analysis.replay.gain import paired_interval
from concertmaster.core.analysis.runs.injected import EXECUTOR, PROXIES
from concertmaster.core.model import Category, ContainerFact, Finding, Interval, Level, RunRecord, StepExecution
from concertmaster.core.model.enums import RuleName
from concertmaster.core.model.policy import Pricing
from concertmaster.core.rules.base import Rule
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.intervals import in_share, mean_interval
from concertmaster.core.stats.exact import is_over
from concertmaster.core.stats.means import combined
from concertmaster.core.units import GIB, HOUR

_Pod = tuple[str, str, str | None, int]
"""A pod: its run, step, item and attempt."""

_MIN_FREED_SHARE = 0.5  # share of what it does not use that a smaller request frees at least


@dataclass(slots=True)
class _Sidecar:
    """One sidecar over all pods: cost reserved and used per run (currency), and seconds it outlived the step per pod.
    ``injected``: into pods of some step, whose template does not declare it."""

    reserved: dict[str, float] = field(default_factory=dict)
    used: dict[str, float] = field(default_factory=dict)
    late: dict[_Pod, float] = field(default_factory=dict)
    steps: set[str] = field(default_factory=set)
    pods: int = 0
    injected: bool = False

    def add(self, run: str, e: StepExecution, c: ContainerFact, main_end: float | None, pricing: Pricing) -> None:
        """Count it in one pod, whose main containers ended at ``main_end`` (unix seconds; None: unknown)."""
        self.pods += 1
        self.steps.add(e.step)
        seconds = c.finished - c.started if c.finished is not None and c.started is not None else e.held
        hours = max(seconds or 0.0, _life(e, c)) / HOUR
        reserved = _price(c.cpu_request or 0.0, c.memory_request or 0.0, hours, pricing)
        self.reserved[run] = self.reserved.get(run, 0.0) + reserved
        if c.cpu_seconds is not None and seconds:
            used = _price(c.cpu_seconds / seconds, c.memory_peak or 0.0, hours, pricing)
            self.used[run] = self.used.get(run, 0.0) + min(used, reserved)
        if c.finished is not None and main_end is not None:
            self.late[run, e.step, e.item, e.attempt] = max(0.0, c.finished - main_end)


def _others(facts: tuple[ContainerFact, ...], own: frozenset[str]) -> set[str]:
    """Sidecars of a pod: containers that are neither the template's ``own`` nor the engine's."""
    return {f.name for f in facts if not f.init and f.name not in own and f.name not in EXECUTOR}


def _containers(run: RunRecord) -> frozenset[tuple[str, str]]:
    """Step and name of the main containers of a run."""
    return frozenset({(e.step, f.name) for e in run.steps for f in e.containers if not f.init})


def _price(cores: float, size: float, hours: float, pricing: Pricing) -> float:
    return hours * (cores * pricing.cpu_core_hour + size / GIB * pricing.memory_gib_hour)


def _collect(evidence: Evidence) -> dict[str, _Sidecar]:
    """The sidecars of the present runs."""
    analysis = evidence.analysis
    present = {run.run for run in analysis.present}
    sidecars: dict[str, _Sidecar] = {}
    seen = set[tuple[str, str]]().union(*analysis.figures.of_each(_containers, analysis.runs))
    for step, by_run in evidence.rows.all.items():
        spec = analysis.definition.graph.step(step)
        if spec is None or not spec.containers:
            continue
        declared = frozenset(c.name for c in spec.containers)
        own_names = spec.own.difference(PROXIES) or spec.own  # a proxy written as any other container does no work
        if all(name in own_names or name in EXECUTOR for of, name in seen if of == step):
            continue  # no sidecar, as in most pods
        for run, e in ((run, e) for run, rows in by_run.items() if run in present for e in rows):
            names = _others(e.containers, own_names)
            if not names:
                continue
            pricing = analysis.pricing.at(e)
            main = [c for c in e.containers if not c.init and c.name not in names]
            main_end = max((c.finished for c in main if c.finished is not None), default=None)
            for c in (c for c in e.containers if c.name in names):
                own = sidecars.setdefault(c.name, _Sidecar())
                own.injected |= c.name not in declared
                own.add(run, e, c, main_end, pricing)
    return {name: own for name, own in sidecars.items() if not _gone(evidence, own)}


def _gone(evidence: Evidence, own: _Sidecar) -> bool:
    """Whether the newest runs of its steps no longer have it: it was removed, or has another name."""
    ran = set[str]().union(*(evidence.rows.all[step] for step in own.steps))
    runs = [run.run for run in evidence.analysis.present if run.run in ran]
    return is_over([run in own.reserved for run in runs])


def _since(evidence: Evidence, own: _Sidecar) -> Sequence[RunRecord]:
    """The present runs since pods have it."""
    runs = evidence.analysis.present
    added = evidence.analysis.since_added([r.end for r in runs if r.run in own.reserved and r.end is not None])
    return runs if len(added) >= len(runs) else added


def _life(e: StepExecution, c: ContainerFact) -> float:
    """Seconds from the scheduling of a pod (else its creation) to its end, for which its requests are charged; 0 when
    unknown."""
    ends = [t for t in (e.finished, c.finished) if t is not None]
    begin = e.scheduled if e.scheduled is not None else e.created
    return max(0.0, max(ends) - begin) if ends and begin is not None else 0.0


def _unused(evidence: Evidence, own: _Sidecar, rate: float) -> Interval | None:
    """Money per month, at ``rate`` runs, for what it reserves and does not use; at the least, the request left is its use at
    the target utilization."""
    since = _since(evidence, own)
    of, ordered = len(since), [r.run for r in since if r.run in own.reserved]
    runs = [(own.reserved[run], own.used.get(run, 0.0)) for run in ordered]
    seen = mean_interval([reserved - used for reserved, used in runs], rate * len(runs) / of)
    if seen is None or seen.likely <= 0:
        return None
    target = min(evidence.objectives.efficient_utilization)
    left = sum(max(0.0, reserved - used / target) for reserved, used in runs) / sum(a - b for a, b in runs)
    least = Interval(max(left, _MIN_FREED_SHARE) * seen.likely, seen.likely, seen.likely)
    return in_share(combined(seen.likely, [seen, least]), len(runs), of)


def _lingering(evidence: Evidence, sidecars: Mapping[str, _Sidecar]) -> list[str]:
    """The sidecars that clearly outlive their step by the least time on average, the last to end first."""
    least = evidence.settings.number("minLateSeconds", 10.0)
    late = {name: mean_interval(list(own.late.values())) for name, own in sidecars.items() if own.late}
    clear = {name: found.likely for name, found in late.items() if found is not None and found.low >= least}
    return sorted(clear, key=lambda name: (-clear[name], name))


def _kept_alive(sidecars: Mapping[str, _Sidecar], lingering: Sequence[str]) -> dict[_Pod, float]:
    """Seconds for which ``lingering`` sidecars together keep each of their pods alive after all else in it has ended."""
    last: dict[_Pod, float] = {}
    for name in lingering:
        for pod, late in sidecars[name].late.items():
            last[pod] = max(late, last.get(pod, 0.0))
    others = [own.late for name, own in sidecars.items() if name not in lingering]
    return {pod: max(0.0, late - max((of.get(pod, 0.0) for of in others), default=0.0)) for pod, late in last.items()}


def _slower(evidence: Evidence, alive: Mapping[_Pod, float]) -> tuple[Interval, Interval] | None:
    """Seconds per run, and share of it, for which pods on the critical path are kept ``alive`` after their step."""
    runs = [run for run in evidence.recent() if run.usable]
    if not runs:
        return None
    late = [math.fsum(alive.get((run.run, a.step, a.item, a.attempt), 0.0) for a in run.critical) for run in runs]
    return paired_interval(np.array(late), np.array([run.makespan for run in runs]))


def _finding(
    evidence: Evidence, name: str, own: _Sidecar, lingering: Sequence[str], alive: Mapping[_Pod, float]
) -> Finding | None:
    """``lingering``: the sidecars that outlive their step, of which this one is the last to end; empty for every other one.
    ``alive``: seconds for which they keep pods so."""
    analysis = evidence.analysis
    rate, since = analysis.cost.runs_per_month, _since(evidence, own)
    costs = [c.total for c in analysis.costs.whole(since)]
    total = sum(costs) / len(costs) if costs else 0.0
    reserved = sum(own.reserved.values()) / max(1, len(since))
    share = reserved / total if total > 0 else 0.0
    late = math.fsum(alive.values()) / max(1, len(alive))
    steps = own.steps | {step for _, step, *_ in alive}
    costly = own.injected and share >= evidence.settings.number("minCostPercent", 15.0) / 100
    if not costly and not lingering:
        return None
    currency = analysis.pricing.currency
    saving = _unused(evidence, own, rate) if rate and own.used and costly else None
    parts = []
    if costly:
        spent = (
            f", of which it uses {text.percent(sum(own.used.values()) / sum(own.reserved.values()))}"
            if own.used
            else ""
        )
        parts.append(f"its requests are {text.percent(share)} of what a run costs{spent}")
    if lingering:
        parts.append(f"{_they(lingering)} pods alive {text.duration(late)} after the step has ended (mean)")
    gains = []
    if saving is not None:
        gains.append(f"{text.money(saving.likely, currency)} less a month (what it reserves and does not use)")
    elif costly:
        gains.append(f"up to {text.money(reserved, currency)} less per run")
    if lingering:
        gains.append(f"{text.duration(late)} shorter life of each of {len(alive)} pods")
    slower, seen = _slower(evidence, alive) if lingering else None, evidence.recent_runs(len(analysis.present))
    todo = f"let {_it(lingering)} end with the step" if lingering else "request less for it"
    return Finding(
        step=next(iter(steps)) if len(steps) == 1 else None,
        about=name,
        action=f"Reduce the cost of sidecar {name}; {todo}, or leave it out of this workflow's pods",
        because=f"{', and '.join(parts)}, in {text.count(own.pods, 'pod')} {seen}",
        otherwise=(
            f"each run keeps paying {text.money(reserved, currency)} for it"
            if costly
            else f"steps behind it start {text.duration(late)} later than they could"
        ),
        category=Category.COST if costly else Category.PERFORMANCE,
        risk=Level.MEDIUM,
        current=f"{text.money(reserved, currency)} per run",
        proposed="what it uses" if costly else "ends with the step",
        expected=" and ".join(gains),
        confidence=0.7,
        saving_per_month=saving,
        gain_seconds=slower[0] if slower else None,
        gain_share=slower[1] if slower else None,
        evidence=(f"steps: {text.listing(sorted(steps), 5)}",),
    )


def _it(lingering: Sequence[str]) -> str:
    """The sidecar that the finding is about, with the others that must end as well."""
    return "it" if len(lingering) == 1 else text.listing(list(lingering))


def _they(lingering: Sequence[str]) -> str:
    return "it keeps" if len(lingering) == 1 else f"{text.listing(list(lingering))} keep"


def evaluate(evidence: Evidence) -> Iterator[Finding | None]:
    """One recommendation per sidecar with a significant share of the run's cost, or that keeps pods alive."""
    sidecars = _collect(evidence)
    lingering = _lingering(evidence, sidecars)
    alive = _kept_alive(sidecars, lingering)
    for name, own in sorted(sidecars.items()):
        last = name in lingering[:1]
        yield _finding(evidence, name, own, lingering if last else (), alive if last else {})


RULE = Rule(
    RuleName.SIDECAR_OVERHEAD,
    evaluate,
    Category.PERFORMANCE,
    Level.MEDIUM,
    tie_break=3,
    settings=("minCostPercent", "minLateSeconds"),
    steps=False,
)
