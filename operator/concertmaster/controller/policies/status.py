"""The status of one policy, given what the cycle knows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from concertmaster.api import conditions
from concertmaster.api.conditions import ConditionType, ConditionUpdate, Reason
from concertmaster.api.policy import AnyPolicy
from concertmaster.api.resolve import resolve
from concertmaster.controller.discovery.policies import PolicyView, unknown_source
from concertmaster.controller.policies.summary import TOP_RECOMMENDATIONS, PolicySummary
from concertmaster.controller.policies.write_access import write_access
from concertmaster.controller.source_report import SourceReport
from concertmaster.core.changes.checks import REMEDIES
from concertmaster.core.fleet.ranking import ranked_copies, totals
from concertmaster.core.model.policy import Policy, PolicyRef
from concertmaster.core.rules import settings_problems
from concertmaster.core.schedules.windows import WindowUnusable, next_opening
from concertmaster.core.text import count
from concertmaster.kube.access import AccessChecker
from concertmaster.report.status.recommendation_log import clip
from concertmaster.report.workflows.top import top_line, totals_document


def policy_status(
    view: PolicyView,
    summary: PolicySummary,
    *,
    sources: Sequence[str],
    reports: Mapping[str, SourceReport],
    access: AccessChecker,
    now: float,
) -> dict[str, Any]:
    """The whole status of one policy. ``access`` answers whether the operator has the rights that its mode needs."""
    policy, resolved = view.policy, resolve(None, view.policy)
    if policy is None:
        findings = [
            ConditionUpdate(
                ConditionType.READY, False, Reason.INVALID_SPEC, f"{view.problem}; the policy is not in force"
            ),
        ]
    else:
        findings = [
            _ready(view.ref, policy, resolved, summary, now),
            _metrics(policy, sources, reports),
            write_access(access, policy, summary),
        ]
    added = totals_document(summary.totals or totals(summary.headlines), summary.minor)
    return {
        "changesInFlight": summary.changes_in_flight,
        "conditions": conditions.update(
            view.entry.status.conditions, findings, generation=view.entry.generation, now=now
        ),
        "discoveredProfiles": summary.discovered,
        "matchedProfiles": summary.matched,
        "observedGeneration": view.entry.generation,
        "top": [
            clip(top_line(h), 400) for h in ranked_copies(summary.headlines, resolved.pricing)[:TOP_RECOMMENDATIONS]
        ],
        **({"totals": added} if summary.analyzed else {}),  # sums of nothing analyzed yet would read as worth nothing
    }


def _ready(name: PolicyRef, policy: AnyPolicy, resolved: Policy, summary: PolicySummary, now: float) -> ConditionUpdate:
    profiles = count(summary.matched, "profile")
    if policy.spec.suspend:
        return _is(
            False, Reason.SUSPENDED, f"suspended: {profiles} analyzed, nothing is discovered or changed; "
            "set spec.suspend to false to go on"
        )  # fmt: skip
    if rules := settings_problems(resolved):
        more = f" (and {len(rules) - 3} more)" if len(rules) > 3 else ""
        return _is(False, Reason.UNKNOWN_RULE, f"{'; '.join(rules[:3])}{more}; everything else is in force")
    if windows := _windows(resolved, now):
        return _is(False, Reason.INVALID_SPEC, f"{windows}; everything else is in force")
    if summary.problems:
        return _is(False, Reason.INVALID_SPEC, f"{'; '.join(summary.problems[:3])}; everything else is in force")
    if summary.matched == 0 and summary.pending:
        return _is(
            None, Reason.PENDING, f"the next cycles create {count(summary.pending, 'profile')} for the targets found"
        )
    if summary.matched == 0 and (summary.overridden or not summary.obstacles):
        return _is(False, Reason.NO_MATCHES, _no_match(name, policy, summary))
    if summary.blocked or summary.obstacles or summary.pending:
        held = [_blocked_plans(summary.blocked)] if summary.blocked else []
        held += [f"the next cycles create {summary.pending} more"] if summary.pending else []
        more = f" (and {len(summary.obstacles) - 2} more)" if len(summary.obstacles) > 2 else ""
        text = f"in force for {profiles}; {'; '.join([*held, *summary.obstacles[:2]])}{more}"
        return _is(summary.matched > 0, Reason.ACTIVE if summary.matched else Reason.NO_MATCHES, text)
    return _is(True, Reason.ACTIVE, f"in force for {profiles}")


def _blocked_plans(blocked: Mapping[str, int]) -> str:
    """How many plans which checks hold back, most first, each with what to do."""
    most = sorted(blocked.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{n} by {check}{f' ({REMEDIES[check]})' if check in REMEDIES else ''}" for check, n in most[:4]]
    return f"{count(sum(blocked.values()), 'planned change')} blocked: {'; '.join(parts)}"


def _windows(policy: Policy, now: float) -> str:
    """Which windows of apply can never open, as a sentence; empty when all can."""
    problems = []
    for place, window in enumerate(policy.apply.windows):
        try:
            next_opening(window, now)
        except WindowUnusable as error:
            problems.append(f"apply.windows[{place}] never opens: {error}")
    return "; ".join(problems)


def _no_match(name: PolicyRef, policy: AnyPolicy, summary: PolicySummary) -> str:
    if summary.overridden:
        winners = [winner for winner, _ in sorted(summary.overridden.items(), key=lambda item: (-item[1], item[0]))]
        who = f"{winners[0]} wins" if len(winners) == 1 else f"{winners[0]} and {len(winners) - 1} more win"
        selected = count(sum(summary.overridden.values()), "profile")
        return f"{name} selects {selected}, but {who} there; raise spec.priority to change that"
    space = name.namespace
    where, scope = (f"in namespace {space}", f"-n {space}") if space else ("in the namespaces it reaches", "-A")
    against = f"check spec.selector against: kubectl get wfp {scope} --show-labels"
    if summary.discovered:
        return f"discovery found {count(summary.discovered, 'target')}, but no profile {where} is selected; {against}"
    if policy.spec.discover:
        return f"no profile {where} is selected and discovery found no target; check the selectors and target labels"
    return f"no profile {where} is selected; {against}"


def _metrics(policy: AnyPolicy, sources: Sequence[str], reports: Mapping[str, SourceReport]) -> ConditionUpdate:
    name = policy.spec.metrics_source
    kind = ConditionType.METRICS_AVAILABLE
    if name not in sources:
        return ConditionUpdate(kind, False, Reason.SOURCE_UNKNOWN, unknown_source(name, sources))
    report = reports.get(name)
    if report is None:
        return ConditionUpdate(
            kind, None, Reason.PENDING, f"source {name} is configured; no workflow that can be read uses it at present"
        )
    return ConditionUpdate(kind, report.ok, report.reason, report.message)


def _is(status: bool | None, reason: Reason, message: str) -> ConditionUpdate:
    return ConditionUpdate(ConditionType.READY, status, reason, message)
