"""What one cycle knows of each policy: counted over the profiles it governs, and added up over several shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from concertmaster.api.resolve import resolve
from concertmaster.controller.discovery.policies import PolicyView
from concertmaster.controller.discovery.profiles import reference
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile
from concertmaster.controller.interfaces import SourceReport
from concertmaster.core.fleet.ranking import Headline, Totals, added, ranked_copies, totals
from concertmaster.core.model.policy import PolicyRef
from concertmaster.engines import PATCHABLE

TOP_RECOMMENDATIONS = 10  # recommendations named in a policy's status
MAX_REVIEWS = 50  # rights asked for a policy and cycle; answers are remembered


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """What a cycle knows about one policy."""

    matched: int = 0
    discovered: int = 0
    pending: int = 0  # profiles that discovery creates in the next cycles
    changes_in_flight: int = 0
    obstacles: tuple[str, ...] = ()
    blocked: Mapping[str, int] = field(default_factory=dict)  # plans by the check that blocks them
    overridden: Mapping[str, int] = field(default_factory=dict)  # profiles it selects, by the other policy that governs
    targets: frozenset[tuple[str, str, str]] = frozenset()  # apiVersion, kind and namespace of what it governs
    problems: tuple[str, ...] = ()
    headlines: Sequence[Headline] = ()  # published recommendations of the profiles it governs
    minor: int = 0
    totals: Totals | None = None  # of more than ``headlines``; None: of these


@dataclass(slots=True)
class PolicyTally:
    """The counts of one policy over the profiles."""

    matched: int = 0
    overridden: Counter[str] = field(default_factory=Counter)
    targets: set[tuple[str, str, str]] = field(default_factory=set)
    problems: dict[str, None] = field(default_factory=dict)
    headlines: list[Headline] = field(default_factory=list)
    minor: int = 0
    unplaced: dict[str, None] = field(default_factory=dict)

    def facts(
        self,
        *,
        notes: Sequence[str],
        discovered: int,
        pending: int,
        in_flight: int,
        blocked: Mapping[str, int],
        obstacles: Sequence[str],
    ) -> PolicyFacts:
        """The facts with those of the other stages of the cycle; ``notes``: further problems of the policy."""
        return PolicyFacts(
            matched=self.matched,
            overridden=self.overridden,
            targets=frozenset(self.targets),
            problems=(*self.problems, *notes),
            headlines=self.headlines,
            minor=self.minor,
            discovered=discovered,
            pending=pending,
            changes_in_flight=in_flight,
            blocked=blocked,
            obstacles=(*obstacles, *self.unplaced),
        )


def tally_by_policy(
    profiles: Iterable[ResolvedProfile], reports: Mapping[str, SourceReport]
) -> dict[PolicyRef, PolicyTally]:
    """For each policy the number of profiles it governs and of those another policy governs, their targets, and what
    ``reports`` have on pods in their namespaces that fit no single workflow."""
    tallies: dict[PolicyRef, PolicyTally] = {}
    for profile in profiles:
        if profile.policy is None:
            continue
        for other in profile.overridden:
            tallies.setdefault(other, PolicyTally()).overridden[str(profile.policy.source)] += 1
        if profile.policy.source is None:
            continue
        tally = tallies.setdefault(profile.policy.source, PolicyTally())
        tally.matched += 1
        tally.headlines += profile.entry.status.headlines
        tally.minor += profile.entry.status.minor
        tally.problems.update(dict.fromkeys(profile.policy.problems))
        report = reports.get(profile.source)
        if report is not None and profile.resolved.definition is not None:
            place = (profile.entry.namespace, profile.resolved.definition.engine)
            tally.unplaced.update(dict.fromkeys(report.namespace_unplaced.get(place, ())))
        if (ref := reference(profile.entry)) is not None:
            tally.targets.add((ref[0], ref[1], profile.entry.namespace))
        tally.targets |= {
            (t.ref.resource.api_version, t.ref.resource.kind, profile.entry.namespace) for t in profile.held
        }
    return tallies


def summarized(view: PolicyView, facts: PolicyFacts) -> PolicyFacts:
    """As much of ``facts`` as a status shows, for another shard to write it."""
    pricing = resolve(None, view.policy).pricing
    return replace(
        facts,
        headlines=tuple(ranked_copies(facts.headlines, pricing)[:TOP_RECOMMENDATIONS]),
        totals=totals(facts.headlines),
        targets=frozenset(sorted(t for t in facts.targets if t[1] in PATCHABLE)[:MAX_REVIEWS]),
        problems=facts.problems[:TOP_RECOMMENDATIONS],
        obstacles=facts.obstacles[:TOP_RECOMMENDATIONS],
    )


def merged(parts: Sequence[PolicyFacts]) -> PolicyFacts:
    """What several shards know of one policy."""
    blocked: Counter[str] = Counter()
    overridden: Counter[str] = Counter()
    for one in parts:
        blocked.update(one.blocked)
        overridden.update(one.overridden)
    return PolicyFacts(
        matched=sum(p.matched for p in parts),
        discovered=sum(p.discovered for p in parts),
        pending=sum(p.pending for p in parts),
        changes_in_flight=sum(p.changes_in_flight for p in parts),
        obstacles=tuple(dict.fromkeys(text for p in parts for text in p.obstacles)),
        blocked=blocked,
        overridden=overridden,
        targets=frozenset().union(*(p.targets for p in parts)),
        problems=tuple(dict.fromkeys(text for p in parts for text in p.problems)),
        headlines=tuple(h for p in parts for h in p.headlines),
        minor=sum(p.minor for p in parts),
        totals=added(p.totals or totals(p.headlines) for p in parts),
    )
