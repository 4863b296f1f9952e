"""What is recommended for the workflows of a site, followed in the simulation, beside what was promised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from benchmarks.clusters.demand import HOURS, Forecast, forecast
from benchmarks.clusters.kinds import planted
from benchmarks.clusters.kinds.plan import Plan
from benchmarks.clusters.law import HOUR, MONTH, Flow, Site
from benchmarks.clusters.manifests import definition
from benchmarks.clusters.records import records
from benchmarks.clusters.remedies import Followed, followed, makespan, skipped
from benchmarks.clusters.runs import Run
from benchmarks.clusters.services import known_in_quotas, known_services, known_taints
from benchmarks.clusters.simulation import play
from benchmarks.clusters.starts import starts
from concertmaster.core.changes.admission.capacity import Capacity
from concertmaster.core.changes.admission.model import ResourceQuota
from concertmaster.core.model import Recommendation
from concertmaster.core.model.policy import Materiality, Policy
from concertmaster.core.pipeline import AnalysisResult, Environment, analyze_workflow, fleet_of
from concertmaster.core.rules import Fleet

_FRESH = 10**6  # seeds of fresh runs are that much higher
_NO_EFFECT = 0.01  # of the measure before: less is no effect at all
_LONGER = 0.05  # of the makespan, where none is promised to change
_TOLERANCE = 0.02  # the change of the makespan that is called none
_SKIPPED = 0.05  # share of starts that may be skipped where 95% of the runs fit into the interval

Played = Mapping[str, Sequence[Run]]


class Verdict(StrEnum):
    """``SMALLER``, ``LARGER``: the effect, than the interval. ``PLAIN``: there is an effect, and no amount was promised.
    ``WRONG``: runs take longer, or there is no effect at all."""

    INSIDE = "inside"
    SMALLER = "smaller"
    LARGER = "larger"
    PLAIN = "plain"
    WRONG = "wrong"


class Found(StrEnum):
    """``SMALL``: not published, as the effect is below what is material, or (without run time) a minor item does."""

    FOUND = "found"
    SMALL = "small"
    MISSED = "missed"
    NOTHING = "nothing"  # there is nothing to find


@dataclass(frozen=True, slots=True)
class Judged:
    """One recommendation on scheduling that was followed. ``low`` to ``high``: promised, ``true``: the effect, in the
    measure of which ``now`` is the mean; ``costly``: other workflows lose more time by it than this one gains."""

    flow: str
    id: str
    rule: str
    verdict: Verdict
    at_most: bool
    low: float
    likely: float
    high: float
    true: float
    now: float
    costly: bool
    action: str

    def __str__(self) -> str:
        promised = f"{self.low:.4g} {self.likely:.4g} {self.high:.4g}, true {self.true:.4g} of {self.now:.4g}"
        return f"{self.flow}: {self.id} ({self.action}) {promised}: {self.verdict}{', costly' if self.costly else ''}"


@dataclass(frozen=True, slots=True)
class History:
    """One site, analysed. ``others``: rules of published items that are not followed here."""

    kind: str
    seed: int
    found: Found
    judged: tuple[Judged, ...]
    others: tuple[str, ...]
    demand: Forecast

    def __str__(self) -> str:
        rows = [f"  {j}" for j in self.judged] + ([f"  others: {' '.join(self.others)}"] if self.others else [])
        return "\n".join([f"{self.kind} {self.seed}: {self.found}", *rows])


def environment(site: Site, flow: Flow, fleet: Fleet, now: float) -> Environment:
    """What the product knows of the cluster: quotas, and the nodes unless their number changes, with what services request
    on each."""
    pools = site.cluster.pools
    quota = site.cluster.quotas.get(flow.namespace)
    nodes = replace(known_taints(site.cluster), largest={"cpu": max(p.cores for p in pools)})
    if all(p.most is None for p in pools):
        every = {"cpu": sum(p.nodes * p.cores for p in pools)}
        nodes = replace(nodes, all=every, services=known_services(site.cluster, now))
    quotas = (ResourceQuota("compute", {"cpu": quota}),) if quota is not None else ()
    taken = known_in_quotas(site.cluster, now).get(flow.namespace)
    return Environment(fleet=fleet, capacity=Capacity(quotas=quotas, nodes=nodes, in_quotas=taken))


def analyse(plan: Plan, seed: int) -> tuple[dict[str, AnalysisResult], Forecast]:
    """The product's answers by workflow, and its forecast of demand beside what came."""
    site, now, policy = plan.site, plan.now, Policy()
    first = (now // HOUR + 1) * HOUR
    played = play(site, seed, now - plan.window, first + HOURS * HOUR)
    known = {flow.name: definition(flow, site.cluster) for flow in site.flows}
    newest = policy.analysis.max_runs
    read = {name: records(played[name], known[name], now)[-newest:] for name in known}
    fleet = fleet_of([(known[name], read[name]) for name in known], known_taints(site.cluster))
    answers = {
        flow.name: analyze_workflow(
            known[flow.name],
            read[flow.name],
            policy,
            profile=flow.name,
            now=now,
            environment=environment(site, flow, fleet, now),
        )
        for flow in site.flows
    }
    return answers, forecast(fleet, (run for runs in played.values() for run in runs), now)


def history(kind: str, seed: int) -> History:
    """Plant, analyse, follow what is published, and compare."""
    plan = planted(kind, seed)
    answers, demand = analyse(plan, seed)
    fresh = Fresh(plan, seed)
    judged, others = [], []
    for name, answer in answers.items():
        for item in answer.recommendations:
            made = followed(plan.site, plan.site.flow(name), item)
            if made is None:
                others.append(item.rule)
            else:
                judged.append(judge(fresh, plan.site.flow(name), item, made))
    return History(kind, seed, _found(plan, answers, fresh), tuple(judged), tuple(others), demand)


class Fresh:
    """Runs after those that were read: as they are, and after a change, with the same work."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self._plan, self._seed = plan, seed + _FRESH
        self._now: Played | None = None

    @property
    def site(self) -> Site:
        """The site as it is."""
        return self._plan.site

    @property
    def now(self) -> Played:
        """Of the site as it is."""
        if self._now is None:
            self._now = self.of(self._plan.site)
        return self._now

    def of(self, site: Site) -> Played:
        """Of another site."""
        return play(site, self._seed, self._plan.now, self._plan.now + self._plan.fresh)

    def due(self, site: Site, name: str) -> int:
        """Starts that the schedule of a workflow makes."""
        begin = self._plan.now
        return sum(s.scheduled for s in starts(site.flow(name), self._seed, begin, begin + self._plan.fresh))

    @property
    def per_month(self) -> float:
        """Fresh periods in 30 days."""
        return MONTH / self._plan.fresh


def judge(fresh: Fresh, flow: Flow, item: Recommendation, made: Followed) -> Judged:
    """A recommendation for ``flow`` that was ``made``."""
    name, before, after = flow.name, fresh.now, fresh.of(made.site)
    now = made.measure(before[name], fresh.due(fresh.site, name))
    then = made.measure(after[name], fresh.due(made.site, name))
    true = now - then
    longer = makespan(after[name], 0) / max(1.0, makespan(before[name], 0)) - 1.0
    promised = made.promised
    if true <= _NO_EFFECT * now or (made.harmless and longer > _LONGER):
        verdict = Verdict.WRONG
    elif made.harmless:
        verdict = Verdict.INSIDE if longer <= _TOLERANCE else Verdict.SMALLER
    elif made.measure is skipped:
        verdict = Verdict.INSIDE if then <= _SKIPPED else Verdict.SMALLER
    elif promised is None:
        verdict = Verdict.PLAIN
    elif true < promised.low:
        verdict = Verdict.SMALLER
    else:
        verdict = Verdict.INSIDE if true <= promised.high else Verdict.LARGER
    low, likely, high = (promised.low, promised.likely, promised.high) if promised is not None else (0.0, 0.0, 0.0)
    return Judged(
        name, item.id, item.rule, verdict, made.at_most, low, likely, high, true, now,
        _lost(before, after, name) > max(0.0, _gained(before, after, name)), item.action,
    )  # fmt: skip


def _gained(before: Played, after: Played, name: str) -> float:
    """Seconds that all runs of the workflow take less."""
    return (makespan(before[name], 0) - makespan(after[name], 0)) * len(before[name])


def _lost(before: Played, after: Played, name: str) -> float:
    """Seconds that all runs of the other workflows take longer."""
    return -sum(_gained(before, after, other) for other in before if other != name)


def answers_to(plan: Plan, item: Recommendation) -> bool:
    """Whether the recommendation names the problem: by its id, or by its rule if that has no other parts."""
    return item.id in plan.rules or (item.rule in plan.rules and item.rule != "queue-time")


def _found(plan: Plan, answers: Mapping[str, AnalysisResult], fresh: Fresh) -> Found:
    if not plan.rules:
        return Found.NOTHING
    own = [answers[plan.flow]] if plan.flow is not None else list(answers.values())
    if any(answers_to(plan, item) for a in own for item in a.recommendations):
        return Found.FOUND
    minor = any(answers_to(plan, item) for a in own for item in a.minor)
    return Found.SMALL if (minor if plan.absent is None else _immaterial(plan, fresh)) else Found.MISSED


def _immaterial(plan: Plan, fresh: Fresh) -> bool:
    """Whether the time that the problem costs each of its workflows is less than what is published."""
    assert plan.absent is not None
    without, least = fresh.of(plan.absent), Materiality()
    names = [plan.flow] if plan.flow is not None else [f.name for f in plan.site.flows]
    for name in names:
        runs = fresh.now[name]
        lost = makespan(runs, 0) - makespan(without[name], 0)
        month = lost * len(runs) * fresh.per_month
        if lost >= least.run_share * makespan(runs, 0) and month >= 60.0 * least.run_minutes:
            return False
    return True
