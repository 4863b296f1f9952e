"""A profile with everything the cycle knows of it before the metrics are read, and how much of its past is read and kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from concertmaster.api.conditions import ConditionUpdate
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.controller.discovery.definitions import ResolvedDefinition
from concertmaster.controller.discovery.policies import as_document
from concertmaster.controller.discovery.profiles import changing, reference
from concertmaster.controller.discovery.targets import Target
from concertmaster.controller.object_cache import CachedObject
from concertmaster.controller.source_report import CollectionRequest
from concertmaster.core.changes.verification.kept_changes import MAX_RUNS, watched_until
from concertmaster.core.changes.verification.verify import scheduled
from concertmaster.core.fleet.materiality import value
from concertmaster.core.model import WorkflowDefinition, WorkflowKey
from concertmaster.core.model.policy import Policy, PolicyRef, Pricing
from concertmaster.core.units import DAY
from concertmaster.kube.objects import PROFILES

_KEPT_UNREAD = (200, 14 * DAY)  # runs and seconds of a profile whose policy is not known: the defaults


@dataclass(frozen=True, slots=True)
class ResolvedProfile:
    """One profile with everything that is known before the metrics are read. ``policy`` is None for one that cannot be
    read; ``policy_edition`` is a fingerprint of it. ``led``: another profile of the same workflow is used for changes, so
    that ``policy`` only recommends, whatever its source says. ``fewest_runs``: the least that any of the profiles of the
    workflow analyses, None where it has one."""

    entry: CachedObject
    policy: Policy | None
    policy_edition: str
    overridden: tuple[PolicyRef, ...]
    resolved: ResolvedDefinition
    source: str
    refusal: ConditionUpdate | None = None  # why its source may not be queried
    target: Target | None = None  # the object that defines it
    held: tuple[Target, ...] = ()  # Tasks it refers to, which hold further fields of it
    led: bool = False
    fewest_runs: int | None = None

    def parse(self) -> WorkflowProfile:
        """The profile's object, parsed anew: ten thousand parsed ones would be thirty megabytes."""
        return WorkflowProfile.parse(as_document(self.entry))

    @property
    def key(self) -> WorkflowKey:
        """The workflow's identity in the history, also while its definition cannot be had."""
        if self.resolved.definition is not None:
            return self.resolved.definition.key
        ref = reference(self.entry)
        kind, name = (ref[1], ref[2]) if ref is not None else (PROFILES.kind, self.entry.name)
        return WorkflowKey(self.entry.namespace, kind, name)


def requests(profiles: Sequence[ResolvedProfile], now: float) -> list[CollectionRequest]:
    """The request to each source, in a fixed order. A namespace is only read when the definitions of all its workflows
    are known: what is read counts as read for all of them."""
    unread = unread_namespaces(profiles)
    requested: dict[str, dict[WorkflowKey, WorkflowDefinition]] = {}
    windows: dict[str, float] = {}
    runs: dict[str, int] = {}
    for p in profiles:
        if p.refusal is not None or p.policy is None or p.resolved.definition is None:
            continue
        if p.entry.namespace in unread:
            continue
        requested.setdefault(p.source, {})[p.resolved.definition.key] = p.resolved.definition
        windows[p.source] = max(windows.get(p.source, 0.0), p.policy.analysis.window_seconds)
        runs[p.source] = max(runs.get(p.source, 0), p.policy.analysis.min_runs)
    return [
        CollectionRequest(name, tuple(requested[name].values()), windows[name], now, min_runs=runs[name])
        for name in sorted(requested)
    ]


def unread_namespaces(profiles: Iterable[ResolvedProfile]) -> set[str]:
    """Namespaces with definitions that wait for the next cycle."""
    return {p.entry.namespace for p in profiles if p.resolved.waits}


def most_valuable_first(profiles: Iterable[ResolvedProfile]) -> list[ResolvedProfile]:
    """In which order workflows are analysed and written: those without a status first, then by the worth of their
    recommendations; equals keep their order."""
    return sorted(profiles, key=lambda p: (p.entry.status.data_until is not None, -_worth(p)))


def _worth(profile: ResolvedProfile) -> float:
    pricing = profile.policy.pricing if profile.policy is not None else Pricing()
    return sum([value(h.impact, pricing) for h in profile.entry.status.headlines])


def reach(profiles: Sequence[ResolvedProfile]) -> dict[WorkflowKey, tuple[int, float]]:
    """How much of each workflow's past is analysed: the newest runs (number) of the last seconds."""
    reaches: dict[WorkflowKey, tuple[int, float]] = {}
    for p in profiles:
        runs, window = reaches.get(p.key, _KEPT_UNREAD)
        if p.policy is not None:
            analysis = p.policy.analysis
            runs, window = max(runs, analysis.max_runs), max(window, analysis.window_seconds)
        reaches[p.key] = (runs, window)
    return reaches


def retained(
    profiles: Sequence[ResolvedProfile], changes: Sequence[CachedObject], now: float
) -> dict[WorkflowKey, tuple[int, float]]:
    """How much of each workflow's past is kept: what is analysed; where a change is verified or monitored, runs before it
    beside those after it, which would otherwise take their place one by one."""
    reaches = reach(profiles)
    verified, kept = set(changing(changes)), dict[str, float]()
    for line in [c.line for c in changes if c.line is not None and not c.line.restored]:
        kept[line.workflow] = max(line.applied or 0.0, kept.get(line.workflow, 0.0))
    for p in profiles:
        place = p.entry.namespace, p.entry.name
        since = now if place in verified else kept.get("/".join(place))
        if p.policy is None or since is None:
            continue  # of ten thousand workflows: when their runs are due takes seconds to work out
        settings = scheduled(p.policy.apply.verify, p.resolved.definition, now)
        seconds = watched_until(settings)
        if now - since < seconds:
            runs, window = reaches[p.key]
            reaches[p.key] = (runs + max(settings.max_runs, MAX_RUNS), window + seconds)
    return reaches
