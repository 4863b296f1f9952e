"""``retry-policy``: the retry limit a step needs: enough to reach the target success rate, without useless retries.

Attempts are grouped by item, since what counts is whether the item succeeded in the end. OOM-killed executions are handled
separately: a retry with the same memory fails again, so ``memory-request`` (or more memory on each retry) comes first.
Limits are raised only where further attempts are known, or can be expected, to succeed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from concertmaster.core import text
from concertmaster.core.analysis.failures import FailureClass, classify
from concertmaster.core.known import median
from concertmaster.core.lifecycle import commands
from concertmaster.core.model import (
    Category,
    Edit,
    Finding,
    Interval,
    Level,
    Outcome,
    RunRecord,
    StepExecution,
    StepSpec,
)
from concertmaster.core.rules.base import Evidence, Rule, share_interval
from concertmaster.core.rules.reliability.retries import Chain, RetryLimit, retry_limit
from concertmaster.core.rules.resources.places import shared

_PASSING = (FailureClass.EVICTION, FailureClass.IMAGE_PULL)  # transient and not caused by the program
_USELESS_SHARE = 0.1  # success share of retries below which they are useless
_SEEN = 10  # retries required to judge their success


_AT_ONCE = Chain((True,))


@dataclass(slots=True)
class _Attempts:
    """Attempts of one step over all runs, one chain per item. ``out_of_memory`` chains are not among ``chains``."""

    chains: list[Chain] = field(default_factory=list)
    items: list[int] = field(default_factory=list)  # chains per run
    classes: Counter[FailureClass] = field(default_factory=Counter)
    out_of_memory: int = 0
    retries: int = 0
    helped: int = 0
    repeated_seconds: float = 0.0  # of failed attempts after the first retry
    seconds: float = 0.0


def _collect(runs: tuple[RunRecord, ...], steps: Collection[str]) -> dict[str, _Attempts]:
    """Attempts of those of ``steps`` that failed at least once."""
    attempts: dict[str, _Attempts] = {}
    for run in runs:
        groups: dict[tuple[str, str | None], list[StepExecution]] = {}
        for e in run.steps:
            if e.step in steps and e.outcome in (Outcome.SUCCEEDED, Outcome.FAILED):
                groups.setdefault((e.step, e.item), []).append(e)
        counts: dict[str, int] = {}
        for (step, _), rows in groups.items():
            if len(rows) == 1 and rows[0].outcome is Outcome.SUCCEEDED:  # the common case
                own = attempts.setdefault(step, _Attempts())
                counts[step] = counts.get(step, 0) + 1
                own.seconds += rows[0].duration or 0.0
                own.chains.append(_AT_ONCE)
                continue
            rows.sort(key=lambda e: (e.attempt, e.started or 0.0))
            own = attempts.setdefault(step, _Attempts())
            counts[step] = counts.get(step, 0) + 1
            own.seconds += sum(e.duration or 0.0 for e in rows)
            classes = [c for c in (classify(e) for e in rows) if c is not None]
            if FailureClass.OOM in classes:
                own.out_of_memory += 1
                continue
            own.classes.update(classes)
            succeeded = tuple(e.outcome is Outcome.SUCCEEDED for e in rows)
            failed = [e.duration or 0.0 for e in rows if e.outcome is Outcome.FAILED]
            own.chains.append(Chain(succeeded))
            own.retries += len(rows) - 1
            own.helped += len(rows) > 1 and succeeded[-1]
            own.repeated_seconds += sum(failed[2:])
        for step, count in counts.items():
            attempts[step].items.append(count)
    return attempts


def _edits(evidence: Evidence, spec: StepSpec | None, limit: int, classes: Counter[FailureClass]) -> tuple[Edit, ...]:
    """Set the limit in the template's retry strategy, or add a strategy with back-off."""
    if spec is None or spec.pointer is None:
        return ()
    engine = evidence.analysis.definition.engine
    if engine.retry_limit_fields:
        *particular, general = engine.retry_limit_fields
        key = next((field for field in particular if field in spec.declared), general)
        return (commands.field_edit(f"{spec.pointer}/{key}", spec.declared.get(key), limit),)
    field = engine.retry_strategy_field
    if field is None:
        return ()
    strategy = spec.declared.get(field)
    if isinstance(strategy, dict):
        literal = strategy.get("limit")
        proposed: object = limit if isinstance(literal, int) else str(limit)
        return (commands.field_edit(f"{spec.pointer}/{field}/limit", literal, proposed),)
    passing = sum(classes[c] for c in _PASSING)
    new = {
        "limit": str(limit),
        # OnFailure, the default, does not retry pods that were evicted or lost with their node
        "retryPolicy": "Always" if passing else "OnFailure",
        "backoff": {"duration": "30s" if passing else "10s", "factor": "2", "maxDuration": "10m"},
    }
    return (commands.field_edit(f"{spec.pointer}/{field}", None, new),)


def _why(classes: Counter[FailureClass]) -> str:
    return text.listing([f"{count} {kind.value}" for kind, count in classes.most_common()])


def _more(evidence: Evidence, step: str, own: _Attempts, recommended: RetryLimit, target: float, now: int) -> Finding:
    analysis = evidence.analysis
    spec = analysis.definition.graph.step(step)
    limit = recommended.limit or 0
    edits = _edits(evidence, spec, limit, own.classes)
    name, chains = evidence.title(step), len(own.chains)
    failed = sum(not c.attempts[-1] for c in own.chains)
    items = median([float(i) for i in own.items]) or 1.0
    runs_now, runs_then = ((p or 0.0) ** items for p in (recommended.success_now, recommended.success))
    seen = (
        f"{own.helped} of {text.count(own.retries, 'retry', 'retries')} helped"
        if own.retries
        else "no retries observed yet, so failures are assumed to be independent"
    )
    return Finding(
        step=step,
        action=f"Set retries of {name}: {f'{now} -> ' if now else ''}{limit}{'' if now else ', with backoff'}",
        because=(
            f"{failed} of its {text.count(chains, 'execution')} failed permanently {evidence.runs(len(analysis.runs))}:"
            f" {_why(own.classes)}; {seen}"
        ),
        otherwise=(
            f"about {text.percent(1 - runs_now)} of the runs keep failing at {name}, each after"
            f" {text.duration(_spent(evidence, step))} of work"
        ),
        risk=Level.LOW if own.helped else Level.MEDIUM,
        current=text.count(now, "retry", "retries"),
        proposed=text.count(limit, "retry", "retries"),
        expected=(
            f"{name} succeeds in about {text.percent(runs_then, 1)} of the runs instead of {text.percent(runs_now, 1)}"
        ),
        confidence=min(0.9, chains / (chains + 20.0)) * (0.7 if recommended.assumed else 1.0),
        failures_avoided=_avoided(
            share_interval(min(failed, analysis.failed), len(analysis.runs)), runs_now, runs_then
        ),
        edits=edits,
        snippet=analysis.definition.engine.retries(step, limit),
        evidence=(
            recommended.reason,
            f"{limit} is the smallest limit with which {text.percent(target, 2)} of executions succeed, as required for"
            f" {text.percent(analysis.policy.objectives.min_success)} of runs to succeed",
            *_memory_note(own),
        ),
    )


def _avoided(failing: Interval | None, now: float, then: float) -> Interval | None:
    """Of the share of runs that fail, the part avoided when success rises from ``now`` to ``then``."""
    if failing is None or then <= now:
        return None
    return failing.scaled(min(1.0, (then - now) / (1.0 - now)))


def _spent(evidence: Evidence, step: str) -> float | None:
    """Median seconds from start to end of a failed run, or of the step if that is unknown."""
    failed = [r.makespan for r in evidence.analysis.runs if r.outcome is Outcome.FAILED and r.makespan is not None]
    step_analysis = evidence.analysis.step(step)
    return median(failed) if failed else step_analysis.duration.p50 if step_analysis else None


def _memory_note(own: _Attempts) -> tuple[str, ...]:
    if not own.out_of_memory:
        return ()
    return (
        f"{text.count(own.out_of_memory, 'execution')} that ran out of memory were left out: the same memory fails"
        " again,"
        " see memory-request",
    )


def _fewer(evidence: Evidence, step: str, own: _Attempts, now: int | None) -> Finding | None:
    """Reduces useless retries to one."""
    analysis = evidence.analysis
    if own.retries < _SEEN or own.helped / own.retries > _USELESS_SHARE or (now is not None and now < 2):
        return None
    if not own.seconds or own.repeated_seconds / own.seconds < evidence.settings.number("minWastedPercent", 2.0) / 100:
        return None
    spec = analysis.definition.graph.step(step)
    alone = spec is not None and not shared(analysis, spec)  # retries may help another step of the template
    wanted = _edits(evidence, spec, 1, own.classes) if alone else ()
    failed = sum(not c.attempts[-1] for c in own.chains)
    each = own.repeated_seconds / max(1, failed)
    share = text.percent(own.repeated_seconds / own.seconds)
    name = evidence.title(step)
    return Finding(
        step=step,
        action=f"Reduce retries of {name}: {'unlimited' if now is None else now} -> 1; fix the cause",
        because=(
            f"{own.helped} of {text.count(own.retries, 'retry', 'retries')} helped"
            f" {evidence.runs(len(analysis.runs))}; what"
            f" failed ({_why(own.classes)}) fails again"
        ),
        otherwise=f"each failing execution keeps burning {text.duration(each)} of pod time before it is reported",
        category=Category.COST,
        current=text.count(now, "retry", "retries") if now is not None else "no limit",
        proposed="1 retry",
        expected=f"{text.duration(each)} less pod time for each failing execution, {share} of all the step takes",
        confidence=min(0.9, own.retries / (own.retries + 5.0)),
        saving_per_month=_saving(evidence, step, own, failed),
        edits=wanted,
        snippet=analysis.definition.engine.retries(step, 1),
        evidence=(f"failed attempts after the first retry took {text.duration(own.repeated_seconds)} in all",),
    )


def _saving(evidence: Evidence, step: str, own: _Attempts, failed: int) -> Interval | None:
    """Money per month spent on repeated attempts, by the requests of the step. The uncertain part is the number of failing
    executions, whose relative error is that of a count."""
    analysis = evidence.analysis
    rate, step_analysis = analysis.cost.runs_per_month, analysis.step(step)
    if rate is None or step_analysis is None or not failed:
        return None
    hourly = sum(
        step_analysis.pricing.hour(c.cpu_request, c.memory_request, c.gpu_request) for c in step_analysis.containers
    )
    money = own.repeated_seconds / 3600.0 * hourly / len(analysis.runs) * rate
    error = 1.645 / failed**0.5
    return Interval(money * max(0.0, 1 - error), money, money * (1 + error)) if money > 0 else None


def _target(success: float, attempts: dict[str, _Attempts], own: _Attempts) -> float:
    """Success each execution must reach, so that all failing steps together reach ``success`` per run."""
    failing = sum(any(not c.attempts[-1] for c in a.chains) for a in attempts.values())
    items = median([float(i) for i in own.items]) or 1.0
    return float(success ** (1.0 / max(1.0, items * failing)))


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """At most one recommendation per step that fails."""
    analysis = evidence.analysis
    if not analysis.enough or not evidence.rows.failing:
        return
    wanted = evidence.settings.number("targetPercent", 100 * analysis.policy.objectives.min_success) / 100
    attempts = _collect(evidence.rows.undisturbed, evidence.rows.failing)
    for name, own in attempts.items():
        failed = sum(not c.attempts[-1] for c in own.chains)
        spec = analysis.definition.graph.step(name)
        if not own.classes or spec is None:
            continue
        fewer = _fewer(evidence, name, own, spec.retry_limit)
        if fewer is not None:
            yield fewer
            continue
        target = _target(wanted, attempts, own)
        recommended = retry_limit(own.chains, target)
        now = spec.retry_limit
        if now is None:  # a limit known only at run time: use the retries made before giving up
            now = max((len(c.attempts) - 1 for c in own.chains if not c.attempts[-1]), default=None)
        if (
            failed < evidence.settings.number("minFailures", 2)
            or now is None
            or recommended.limit is None
            or recommended.success_now is None
            or recommended.limit <= now
            or recommended.success_now >= target
        ):
            continue
        yield _more(evidence, name, own, recommended, target, now)


RULE = Rule(
    "retry-policy",
    evaluate,
    Category.RELIABILITY,
    Level.LOW,
    tie_break=8,
    settings=("minFailures", "minWastedPercent", "targetPercent"),
)
