"""``retry-policy``: the retry limit a step needs: enough that few runs fail, without useless retries.

Attempts are grouped by item, since what counts is whether the item succeeded in the end. OOM-killed executions are handled
separately: a retry with the same memory fails again, so ``memory-request`` (or more memory on each retry) comes first.
Limits are raised only where further attempts are known, or can be expected, to succeed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from concertmaster.core import text
from concertmaster.core.analysis.failures import FailureClass
from concertmaster.core.known import median
from concertmaster.core.model import (
    Category,
    Finding,
    Interval,
    Level,
    Outcome,
)
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Rule
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.intervals import failed_share, mean_interval
from concertmaster.core.rules.reliability.fields.retry_limit import covers, leaves_lost_pods, retry_edits
from concertmaster.core.rules.reliability.retry.attempts import PASSING, Attempts, collect, episodes, lost_by
from concertmaster.core.rules.reliability.retry.goals import Goal, goals, limit_for
from concertmaster.core.rules.reliability.retry.limit import RetryLimit, rescued_runs
from concertmaster.core.rules.reliability.run_limit import ends_runs
from concertmaster.core.rules.reliability.streaks import maybe_over, over_note
from concertmaster.core.rules.resources.rows.sizing_units import shared
from concertmaster.core.rules.upper_bound import HALF
from concertmaster.core.stats.exact import is_over
from concertmaster.core.stats.means import combined
from concertmaster.core.units import HOUR

_USELESS_SHARE = 0.1  # success share of retries below which they are useless
_SEEN = 10  # retries required to judge their success


def _passing(own: Attempts) -> bool:
    """Whether any attempt failed of what passes by itself."""
    return any(own.classes[cause] for cause in PASSING)


def _why(classes: Counter[FailureClass]) -> str:
    return text.listing([f"{count} {kind.value}" for kind, count in classes.most_common()])


def _more(evidence: Evidence, step: str, own: Attempts, recommended: RetryLimit, goal: Goal, now: int) -> Finding:
    analysis = evidence.analysis
    spec = analysis.definition.graph.step(step)
    around = spec.outer_retries or 0 if spec is not None else 0
    least = ((recommended.limit or 0) + 1 + around) // (around + 1) - 1  # each repeated by the templates around it
    limit, enough = max(least, now), least <= now
    edits = retry_edits(evidence, spec, limit, _passing(own))
    name, chains = evidence.title(step), len(own.chains)
    failed, unseen, quiet = own.lasting, own.unseen, maybe_over(own.failed)
    failed_runs, runs = sum([bad is True for bad in own.failed]), len(analysis.runs)
    passes, may = own.lost, 0  # runs lost to what passes by itself, or may
    if not recommended.shown:
        passes = own.lost_to(PASSING)
        may = own.lost - passes - (own.lost_to(_results(evidence)) if recommended.like is not None else 0)
    made = 0 if recommended.like is not None else (now + 1) * (around + 1) - 1
    rescued = rescued_runs(own.runs, recommended.again, (limit + 1) * (around + 1) - 1 - made)
    runs_now = 1.0 - failed_runs / len(own.runs)
    success, most = (runs_now + rescued.likely * (passes + part * may) / len(own.runs) for part in (HALF, 1.0))
    some = " that have it" if len(own.runs) + own.spared < len(evidence.rows.undisturbed) else ""
    seen = (
        own.tried
        if recommended.like is None
        else f"no retries observed yet, so one is assumed to succeed as often as {recommended.like}"
    )
    return Finding(
        step=step,
        action=(
            f"Retry evicted pods of {name}: retryPolicy OnFailure -> Always"
            if enough
            else f"Set retries of {name}: {f'{now} -> ' if now else ''}{limit}{'' if now else ', with backoff'}"
        ),
        because=(
            f"{failed} of its {text.count(chains, 'execution')} failed permanently {evidence.runs(len(analysis.runs))}:"
            f" {_why(own.classes)}; {seen}{f'; the ends of {unseen} were not seen' if unseen else ''}"
            f"{over_note(quiet)}"
        ),
        otherwise=(
            f"about {text.percent(failed_runs / runs)} of the runs keep failing at {name}, each after"
            f" {text.duration(_spent(evidence, step))} of work"
        ),
        risk=Level.LOW if own.helped else Level.MEDIUM,
        current=text.count(now, "retry", "retries") + (f", and {around} of the template around it" if around else ""),
        proposed=text.count(limit, "retry", "retries") + (", also of evicted pods" if enough else ""),
        expected=(
            f"{name} succeeds in about {text.percent(success, 1)} of the runs{some} instead of {text.percent(runs_now, 1)}"
            + (f" if half of {_those(own)} are transient, and in {text.percent(most, 1)} at most" if may else "")
        ),
        confidence=min(0.9, chains / (chains + 20.0))
        * (1.0 if recommended.like is None else 0.7)
        * (1 - unseen / chains)
        * (HALF if quiet else 1.0),
        failures_avoided=_avoided(evidence, step, (passes, may), rescued),
        upper_bound=not passes,
        edits=edits,
        snippet=analysis.definition.engine.retries(step, limit),
        evidence=(
            recommended.reason,
            f"{least} is the smallest limit with which {text.percent(goal.executions, 2)} of executions succeed, as required"
            f" for {goal.why}",
            *(["failures of the program are results of the tests and not counted"] if passes + may < own.lost else []),
            *([f"left out: {text.count(own.spared, 'run')} that succeeded although it failed"] if own.spared else []),
            *_memory_note(own),
        ),
    )


def _avoided(evidence: Evidence, step: str, lost: tuple[int, int], rescued: Interval) -> Interval | None:
    """Share (0 to 1) of runs that would no longer fail, if the part ``rescued`` (0 to 1) of those ``lost`` to what passes by
    itself succeeds, and at most of those lost to what may. A program that fails may fail again, and no such retry has shown
    otherwise."""
    analysis, (passes, may) = evidence.analysis, lost

    def failing(failed: int) -> Interval | None:
        count, rows = min(failed, analysis.failed), evidence.rows
        return failed_share(count, len(analysis.runs), rows.unseen(step), rows.failures_alike)

    sure, most = failing(passes), failing(passes + may)
    if most is None or rescued.likely <= 0.0:
        return None
    likely = most.likely * (passes + HALF * may) / (passes + may)
    lost_runs = Interval(min(sure.low, likely) if sure is not None else 0.0, likely, most.high)
    avoided = combined(likely * rescued.likely, [lost_runs.scaled(rescued.likely), rescued.scaled(likely)])
    return replace(avoided, low=max(0.0, avoided.low))


def _those(own: Attempts) -> str:
    """The failures that may pass by themselves, or may not."""
    seen = [cause.value for cause in PASSING if own.first[cause]]
    return f"the failures other than {text.listing(seen)}" if seen else "these failures"


def _results(evidence: Evidence) -> tuple[FailureClass, ...]:
    """The causes of failures that are the result of a run: where runs test changes, what fails by itself."""
    return (FailureClass.APPLICATION,) if evidence.analysis.definition.engine.tests_changes else ()


def _spent(evidence: Evidence, step: str) -> float | None:
    """Median seconds from start to end of the runs that failed where the step did, or of the step if that is unknown."""
    failed = [
        r.makespan
        for r in evidence.analysis.runs
        if r.outcome is Outcome.FAILED
        and r.makespan is not None
        and any(e.step == step and e.outcome is Outcome.FAILED for e in r.steps)
    ]
    step_analysis = evidence.analysis.step(step)
    return median(failed) if failed else step_analysis.duration.p50 if step_analysis else None


def _memory_note(own: Attempts) -> tuple[str, ...]:
    if not own.out_of_memory:
        return ()
    return (
        f"{text.count(own.out_of_memory, 'execution')} that ran out of memory were left out: the same memory fails"
        " again,"
        " see memory-request",
    )


def _fewer(evidence: Evidence, step: str, own: Attempts, now: int | None) -> Finding | None:
    """Reduces useless retries to one."""
    analysis = evidence.analysis
    most = own.helped + own.unseen_retries
    if (
        own.retries < _SEEN
        or most > _USELESS_SHARE * (own.retries + own.unseen_retries)
        or (now is not None and now < 2)
    ):
        return None
    if not own.seconds or own.repeated_seconds / own.seconds < evidence.settings.number("minWastedPercent", 2.0) / 100:
        return None
    spec = analysis.definition.graph.step(step)
    alone = spec is not None and not shared(analysis, spec)  # retries may help another step of the template
    edits = retry_edits(evidence, spec, 1, _passing(own)) if alone else ()
    failed = own.lasting
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
        saving_per_month=_saving(evidence, step, own),
        edits=edits,
        snippet=analysis.definition.engine.retries(step, 1),
        evidence=(f"failed attempts after the first retry took {text.duration(own.repeated_seconds)} in all",),
    )


def _saving(evidence: Evidence, step: str, own: Attempts) -> Interval | None:
    """Money per month spent on repeated attempts, by the requests of the step. What is uncertain is what a run spends on
    them: the items of a run often fail together."""
    analysis = evidence.analysis
    rate, step_analysis = analysis.cost.runs_per_month, analysis.step(step)
    if rate is None or step_analysis is None:
        return None
    hourly = sum(
        step_analysis.pricing.hour(c.cpu_request, c.memory_request, c.gpu_request) for c in step_analysis.containers
    )
    money = mean_interval([own.repeated.get(run.run, 0.0) for run in analysis.runs], hourly / HOUR * rate)
    return replace(money, low=max(0.0, money.low)) if money is not None and money.likely > 0.0 else None


def _may_help(evidence: Evidence, step: str, own: Attempts) -> bool:
    """Whether a retry can be expected to help, if none was seen to: not where most runs are lost to what is likely to fail
    again. Failures of unknown reason may be ones of memory or of a time limit; such a limit may be too tight for all
    executions where the times of most others are unknown, and that of a whole run leaves no time for retries."""
    lasting = [None, *_results(evidence)]
    if 2 * own.unseen > len(own.chains) or ends_runs(evidence, step):
        lasting.append(FailureClass.DEADLINE)
    return own.helped > 0 or 2 * own.lost_to(lasting) <= own.lost


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """At most one recommendation per step that fails."""
    analysis = evidence.analysis
    if not evidence.rows.failing:
        return
    attempts = collect(evidence.rows.undisturbed, evidence.rows.failing)
    target = evidence.settings.number("targetPercent", 0.0) / 100
    lost = lost_by(evidence.rows.undisturbed, attempts)
    for name, own in attempts.items():
        spec = analysis.definition.graph.step(name)
        if not own.classes or spec is None or is_over([bad is not False for bad in own.failed]):
            continue
        fewer = _fewer(evidence, name, own, spec.retry_limit)
        if fewer is not None:
            yield fewer
            continue
        own, now = lost[name], spec.retry_limit
        if now is None:  # a limit known only at run time: use the retries made before giving up
            now = max((len(c.attempts) - 1 for c in own.chains if c.failed), default=None)
        if (
            episodes(own.failed) < evidence.settings.number("minFailures", 2)
            or now is None
            or spec.tolerated is not None
        ):
            continue  # also if no run fails with the step
        if spec.outer_retries is None or (not own.retries and not covers(evidence, spec)):
            continue  # more of them would never come
        most = (now + 1) * (spec.outer_retries + 1) - 1
        if (
            not own.retries
            and 2 * own.lost_to((FailureClass.EVICTION,)) > own.lost
            and leaves_lost_pods(evidence, spec)
        ):
            most = 0  # the limit is not for what failed
        enough = limit_for(goals(evidence, lost.values(), own, target), own)
        if enough is not None and (enough[1].limit or 0) > most and _may_help(evidence, name, own):
            goal, recommended = enough
            yield _more(evidence, name, own, recommended, goal, now)


RULE = Rule(
    RuleName.RETRY_POLICY,
    evaluate,
    Category.RELIABILITY,
    Level.LOW,
    tie_break=8,
    settings=("minFailures", "minWastedPercent", "targetPercent"),
)
