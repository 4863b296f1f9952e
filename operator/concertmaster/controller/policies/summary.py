"""What one cycle knows of each policy: counted over the profiles it governs, and added up over several shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from concertmaster.api.resolve import resolve
from concertmaster.controller.discovery.policies import PolicyView
from concertmaster.controller.discovery.profiles import reference
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile
from concertmaster.controller.source_report import SourceReport
from concertmaster.core.fleet.ranking import Headline, Totals, added, ranked_copies, totals
from concertmaster.core.model.policy import PolicyRef
from concertmaster.core.text import count
from concertmaster.engines import PATCHABLE

TOP_RECOMMENDATIONS = 10  # recommendations named in a policy's status
MAX_REVIEWS = 50  # rights asked for a policy and cycle; answers are remembered


@dataclass(frozen=True, slots=True)
class PolicySummary:
    """What a cycle knows about one policy."""

    matched: int = 0
    analyzed: int = 0  # of these, with an analysis in their status
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


def by_policy(
    profiles: Iterable[ResolvedProfile], reports: Mapping[str, SourceReport]
) -> dict[PolicyRef, PolicySummary]:
    """What the profiles say of each policy that governs or selects some, and what ``reports`` have on pods in their
    namespaces that fit no single workflow."""
    governed: dict[PolicyRef, list[ResolvedProfile]] = {}
    overridden: dict[PolicyRef, Counter[str]] = {}
    for profile in profiles:
        if profile.policy is None:
            continue
        for other in profile.overridden:
            overridden.setdefault(other, Counter())[str(profile.policy.source)] += 1
        if profile.policy.source is not None:
            governed.setdefault(profile.policy.source, []).append(profile)
    return {
        ref: _summary(governed.get(ref, ()), overridden.get(ref, {}), reports) for ref in governed.keys() | overridden
    }


def _summary(
    governed: Sequence[ResolvedProfile], overridden: Mapping[str, int], reports: Mapping[str, SourceReport]
) -> PolicySummary:
    problems = (text for p in governed if p.policy is not None for text in p.policy.problems)
    return PolicySummary(
        matched=len(governed),
        analyzed=sum(p.entry.status.body is not None for p in governed),
        obstacles=tuple(_unplaced(governed, reports)),
        overridden=overridden,
        targets=frozenset(target for p in governed for target in _targets(p)),
        problems=tuple(dict.fromkeys(problems)),
        headlines=[headline for p in governed for headline in p.entry.status.headlines],
        minor=sum(p.entry.status.minor for p in governed),
    )


def _unplaced(governed: Iterable[ResolvedProfile], reports: Mapping[str, SourceReport]) -> Iterator[str]:
    """One sentence for each reason: what an allow-list lacks, the pods of every namespace lack."""
    found: dict[str, dict[str, str]] = {}
    for profile in governed:
        report, definition = reports.get(profile.source), profile.resolved.definition
        namespace = profile.entry.namespace
        if report is not None and definition is not None:
            for why, text in report.namespace_unplaced.get((namespace, definition.engine), {}).items():
                found.setdefault(why, {}).setdefault(namespace, text)
    for first, *others in map(list, map(dict.values, found.values())):
        yield f"{first} (and in {count(len(others), 'more namespace')})" if others else first


def _targets(profile: ResolvedProfile) -> Iterator[tuple[str, str, str]]:
    namespace = profile.entry.namespace
    if (ref := reference(profile.entry)) is not None:
        yield ref[0], ref[1], namespace
    for target in profile.held:
        yield target.ref.resource.api_version, target.ref.resource.kind, namespace


def summarized(view: PolicyView, summary: PolicySummary) -> PolicySummary:
    """As much of ``summary`` as a status shows, for another shard to write it."""
    pricing = resolve(None, view.policy).pricing
    return replace(
        summary,
        headlines=tuple(ranked_copies(summary.headlines, pricing)[:TOP_RECOMMENDATIONS]),
        totals=totals(summary.headlines),
        targets=frozenset(sorted(t for t in summary.targets if t[1] in PATCHABLE)[:MAX_REVIEWS]),
        problems=summary.problems[:TOP_RECOMMENDATIONS],
        obstacles=summary.obstacles[:TOP_RECOMMENDATIONS],
    )


def merged(parts: Sequence[PolicySummary]) -> PolicySummary:
    """What several shards know of one policy."""
    blocked: Counter[str] = Counter()
    overridden: Counter[str] = Counter()
    for one in parts:
        blocked.update(one.blocked)
        overridden.update(one.overridden)
    return PolicySummary(
        matched=sum(p.matched for p in parts),
        analyzed=sum(p.analyzed for p in parts),
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
