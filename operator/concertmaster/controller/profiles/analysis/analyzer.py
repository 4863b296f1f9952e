"""The analysis of one profile: one request in, the status document and two of its conditions out."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from concertmaster.api.conditions import ConditionType, ConditionUpdate, Reason
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.controller.changes.cycle import Candidate
from concertmaster.controller.profiles.analysis.long_term import long_term_figures
from concertmaster.controller.profiles.fleet_index import compares_workflows
from concertmaster.controller.profiles.request import AnalysisRequest, ProfileAnalysis
from concertmaster.core import text
from concertmaster.core.analysis.objectives import ObjectiveResult
from concertmaster.core.changes.verification.one_image import edited_often
from concertmaster.core.changes.verification.verify import scheduled
from concertmaster.core.lifecycle.history import RecommendationHistory
from concertmaster.core.lifecycle.measured_gain import measure
from concertmaster.core.lifecycle.sizing_history import sizing_history
from concertmaster.core.lifecycle.states import Observation, advance, step_of
from concertmaster.core.model import Recommendation
from concertmaster.core.model.daily import LongTermFigures
from concertmaster.core.model.engines import QUEUE_LABEL
from concertmaster.core.model.enums import RecommendationState, RuleName
from concertmaster.core.model.recommendations import rule_of
from concertmaster.core.pipeline import AnalysisResult, EarlierAnalyses, analyze_workflow
from concertmaster.core.rules import RULES, member, settings_problems
from concertmaster.core.schedules.starts import next_run
from concertmaster.core.times import iso, parse_time, to_minute
from concertmaster.engines import complete
from concertmaster.report import detail, workflow_series
from concertmaster.report import result as results
from concertmaster.report.overview import too_rare
from concertmaster.report.runs.served import recent_runs
from concertmaster.report.status import document as status_document
from concertmaster.report.status.recommendation_log import decision
from concertmaster.report.workflows.list_entries import item_of

_STEPLESS = frozenset(rule.name for rule in RULES if not rule.steps)
_WAITS = 10.0  # seconds for a node, half of the runs: less is no clash


def analyze_profile(request: AnalysisRequest) -> ProfileAnalysis:
    """Analyse one workflow and render the result."""
    name, ledger = f"{request.profile.metadata.namespace}/{request.profile.metadata.name}", request.past.ledger
    definition, runs = complete(request.definition, request.runs)
    result = analyze_workflow(
        definition,
        runs,
        request.policy,
        profile=request.profile.metadata.name,
        now=request.now,
        environment=request.environment,
        earlier=EarlierAnalyses(
            _published(request),
            complete(definition, request.older)[1],
            (lambda rule: ledger.factor(rule, name)) if request.policy.analysis.learning else (lambda rule: 1.0),
            sizing_history(
                dismissed(request.profile, request.now),
                request.past.ledger_entries,
                definition.sized_apart,
                _proposed(request),
            ),
            request.peaks,
            request.days,
            tuple((c.applied, c.finished) for c in request.past.ledger_entries if c.restored and c.applied is not None),
        ),
        figures=request.figures,
    )
    policy = str(request.policy.source) if request.policy.source is not None else None
    memory = remembered(request, result)
    learning = request.policy.analysis.learning
    records = {
        r.name.value: str(known if learning else replace(known, factor=1.0))
        for r in RULES
        if (known := ledger.record(r.name, name)) is not None
    }
    document = status_document.document(result, memory, policy=policy, data_until=request.data_until, records=records)
    away = {r.id for r in result.recommendations} - {
        s.id for s in memory.tracked if s.state is RecommendationState.ACTIVE
    }
    # Where nothing may be changed nobody asks what could be, and ten thousand workflows need not remember it. A policy that
    # allows it later is another input, and makes for another analysis.
    allowed = request.policy.apply.allows_changes
    lasts = min((e - request.now for e in _expirations(request.profile) if e > request.now), default=None)
    return ProfileAnalysis(
        document,
        ready(request, result),
        objectives(request, result),
        candidates(result, away) if allowed and not request.provisional else (),
        detail.encoded(results.view(result), request.profile.metadata.name, memory, _recent(request, result)),
        member(request.definition, request.runs, request.figures, request.environment.capacity.nodes),
        _waits(result),
        LongTermFigures() if request.provisional else long_term_figures(request, result, memory),
        workflow_series.samples(result, memory) if request.policy.metrics.per_workflow else (),
        lasts,
    )


def _recent(request: AnalysisRequest, result: AnalysisResult) -> dict[str, Any] | None:
    """The newest runs as they are served, where only this analysis knows them: answers to a policy's queries are not in the
    history. Others are read from there when somebody asks (see ``reporting.details``)."""
    return recent_runs(result.analysis) if request.policy.extra_metrics else None


def _published(request: AnalysisRequest) -> frozenset[str] | None:
    """What the last analysis published; None where none of all runs has been published yet."""
    tracked = () if request.was_provisional else request.past.memory.tracked
    return frozenset(s.id for s in tracked if s.state is RecommendationState.ACTIVE) if tracked else None


def _proposed(request: AnalysisRequest) -> Iterator[tuple[str, str, str, str]]:
    """The rows of the right-sizings that the last analysis published."""
    for tracked in request.past.memory.tracked:
        if tracked.state is RecommendationState.ACTIVE and rule_of(tracked.id) == RuleName.RIGHT_SIZE:
            for line in tracked.words.get("items") or ():
                row = item_of(str(line))
                if row is not None:
                    yield row["step"] or "", row["container"] or "", row["field"] or "", row["new"] or ""


def remembered(request: AnalysisRequest, result: AnalysisResult) -> RecommendationHistory:
    """The state of each recommendation now, and the measured effect of those that were applied."""
    past, analysis = request.past, result.analysis
    graph = analysis.definition.graph
    steps = [s.name for s in graph.steps]
    # Asked seldom: it looks at the images of all pods.
    measuring = any(o.verdict is None for o in past.memory.outcomes)
    edited = measuring and edited_often(analysis.runs, graph)
    memory = advance(
        past.memory,
        Observation(
            request.now,
            results.current(result, past.target),
            enough=analysis.enough,
            target=past.target,
            written_by=past.written_by,
            written_at=past.written_at,
            # Where every few runs have an edit of their own, one ends no measurement: runs before had theirs as well.
            fingerprint=None if edited else request.definition.fingerprint,
            steps=steps,
            dismissals=dismissed(request.profile, request.now),
            ledger_entries=past.ledger_entries,
            stepless=_STEPLESS,
            spread=result.spread,
        ),
    )
    outcomes = measure(
        memory.outcomes,
        analysis.runs,
        scheduled(request.policy.apply.verify, request.definition, request.now),
        now=request.now,
        policy=request.policy,
        graph=graph,
        others=request.others,
        verifying=past.verifying,
    )
    memory = replace(memory, outcomes=outcomes)
    if not request.was_provisional:
        return memory
    # What only the newest runs said was never recommended by all of them.
    tracked = tuple(s for s in memory.tracked if s.state is not RecommendationState.OBSOLETE)
    return replace(memory, tracked=tracked)


def _waits(result: AnalysisResult) -> bool:
    """Whether other workflows may hold this one up, or a recommendation says that they do."""
    scheduled = result.analysis.definition.schedule is not None
    waiting = (result.analysis.queue.p50 or 0.0) >= _WAITS
    return (scheduled and waiting) or compares_workflows([r.id for r in result.recommendations])


def candidates(result: AnalysisResult, away: Collection[str]) -> tuple[Candidate, ...]:
    """The recommendations that set fields and are not dismissed or done already (``away``), in its order."""
    items = [item for item in result.recommendations if item.edits and item.id not in away]
    spread = result.spread() if items else 0.0
    return tuple(Candidate(item, _coverage(result, item), result.monthly_cost, spread) for item in items)


def _coverage(result: AnalysisResult, item: Recommendation) -> float | None:
    """The least share of sampled executions among the containers that the item is about."""
    steps: set[str | None] = {i.step for i in item.items} or {item.step}
    known = [c.coverage for s in result.analysis.steps if s.step in steps for c in s.containers]
    return min((c for c in known if c is not None), default=None)


def dismissed(profile: WorkflowProfile, now: float) -> dict[str, str]:
    """Ids that its owner dismissed and whose dismissal has not expired, with the decision as worded in a status."""
    return {
        d.recommendation: decision(d.reason, d.expiration_time)
        for d in profile.spec.dismissals
        if d.expiration_time is None or parse_time(d.expiration_time) > now
    }


def _expirations(profile: WorkflowProfile) -> list[float]:
    return [parse_time(d.expiration_time) for d in profile.spec.dismissals if d.expiration_time is not None]


def _due(result: AnalysisResult, now: float) -> str:
    due = next_run(result.analysis.definition, now)
    if due is None:
        return "; it is suspended" if result.analysis.definition.suspended else ""
    return f"; the next run is expected {to_minute(due, weekday=True)}"


def ready(request: AnalysisRequest, result: AnalysisResult) -> ConditionUpdate:
    """Ready: the amount of data behind the recommendations, or what is missing."""
    analysis = result.analysis
    window = text.window(analysis.covered_seconds)
    rules, wrong = (
        settings_problems(request.policy) + list(request.policy.problems),
        _dismissal_problems(request, result),
    )
    rare = f"; {why}" if not analysis.enough and (why := too_rare(analysis)) else ""
    if not analysis.runs:
        message = f"no finished run in {window}{_due(result, request.now)}{rare}{_noted(result)}"
        kind = analysis.definition.engine.object_kind(analysis.definition.key.kind)
        if kind is not None and kind.referred:
            message += "; templates that other workflows refer to (templateRef) are analyzed with those workflows"
        namespace = shlex.quote(analysis.definition.key.namespace)
        if queue := analysis.definition.declared.get(QUEUE_LABEL):
            message += (
                f"; runs that LocalQueue {queue} has not admitted are listed by: kubectl get workloads -n {namespace}"
            )
        message += "; if there were runs, see why with:"
        command = f"kubectl concertmaster doctor -n {namespace} --prometheus URL"
        return ConditionUpdate(ConditionType.READY, False, Reason.NO_RUNS, f"{message} {command}")
    if not analysis.enough:
        known = sum(r.outcome.over for r in analysis.runs)
        message = f"{known} of {analysis.options.min_runs} finished runs in {window}{_due(result, request.now)}{rare}"
        return ConditionUpdate(ConditionType.READY, False, Reason.TOO_FEW_RUNS, message + _noted(result))
    if rules or wrong:
        reason = Reason.UNKNOWN_RULE if rules else Reason.UNKNOWN_DISMISSAL
        return ConditionUpdate(ConditionType.READY, True, reason, "; ".join([*rules[:2], *wrong[:2]]))
    message = f"{text.count(len(analysis.runs), 'run')} in {window} analyzed, the last ended {iso(analysis.last_run)}"
    if request.provisional:
        message += "; older runs are still being read, and what is said here may change with them"
        return ConditionUpdate(ConditionType.READY, True, Reason.BACKFILLING, message + _noted(result))
    return ConditionUpdate(ConditionType.READY, True, Reason.ANALYZED, message + _noted(result))


def _noted(result: AnalysisResult) -> str:
    """What is unusual about the runs, the first of it."""
    more = f" (and {len(result.notes) - 3} more)" if len(result.notes) > 3 else ""
    return f"; note: {'; '.join(result.notes[:3])}{more}" if result.notes else ""


def _dismissal_problems(request: AnalysisRequest, result: AnalysisResult) -> list[str]:
    """Dismissals that can never apply: a misspelt rule or step must not look like a decision in force."""
    rules = {rule.name for rule in RULES}
    steps = [s.name for s in result.analysis.definition.graph.steps] or [s.step for s in result.analysis.steps]
    given = {item.id for item in result.recommendations} | {s.id for s in request.past.memory.tracked}
    problems = []
    for dismissal in request.profile.spec.dismissals:
        rule, _, step = dismissal.recommendation.partition(".")
        head = f"spec.dismissals names {dismissal.recommendation}, "
        if rule not in rules:
            hint = text.meant(rule, rules, f"the rules are {', '.join(sorted(rules))}")
            problems.append(f"{head}and there is no rule {rule}; {hint}")
        elif rule in _STEPLESS and (rule != RuleName.RIGHT_SIZE or step in result.analysis.definition.sized_apart):
            continue
        elif step and dismissal.recommendation not in given and step_of(dismissal.recommendation, steps) is None:
            hint = text.meant(step, steps, f"its steps are {text.listing(steps, 10)}")
            problems.append(f"{head}and the workflow has no step {step}; {hint}")
    return problems


def objectives(request: AnalysisRequest, result: AnalysisResult) -> ConditionUpdate:
    """ObjectivesMet: every missed objective with target and figure."""
    verdicts = result.analysis.objectives
    if contradictions := [p for p in request.policy.problems if p.startswith("objectives.")]:
        return ConditionUpdate(ConditionType.OBJECTIVES_MET, None, Reason.CONTRADICTORY, "; ".join(contradictions))
    missed = [f"{v.name} is {v.actual}, target {v.target}" for v in verdicts if v.verdict is ObjectiveResult.MISSED]
    if missed:
        more = f" and {len(missed) - 4} more" if len(missed) > 4 else ""
        return ConditionUpdate(ConditionType.OBJECTIVES_MET, False, Reason.MISSED, "; ".join(missed[:4]) + more)
    unknown = [v for v in verdicts if v.verdict is ObjectiveResult.UNKNOWN]
    if unknown:
        said = [f"{v.name} is {v.actual} (target {v.target})" for v in unknown if v.known]
        if blank := [v.name for v in unknown if not v.known]:
            said.append(f"no data yet for {text.listing(blank, 5)}")
        return ConditionUpdate(ConditionType.OBJECTIVES_MET, None, Reason.UNDECIDED, "; ".join(said))
    return ConditionUpdate(
        ConditionType.OBJECTIVES_MET, True, Reason.MET, f"{len(verdicts)} of {len(verdicts)} objectives met"
    )
