"""``failing-step``: runs fail at one step, and neither retries nor sizes will fix it: every recent run, more runs since
a certain day, or many runs despite retries. Or attempts fail, and the retries that help make runs longer
(``retried_failures``).

Reports what is needed for debugging: which step, with which reason and exit code, since when, what changed at that time, and
what each failed run wastes. Occasional failures belong to ``retry-policy``, OOM kills to ``memory-request``, deadlines to
``timeout``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from concertmaster.core import text
from concertmaster.core.analysis.failures import FailureClass, classify, killed_first, unexplained
from concertmaster.core.analysis.runs.changes import cause_between
from concertmaster.core.analysis.runs.injected import EXECUTOR
from concertmaster.core.attempts import last_attempts
from concertmaster.core.known import median
from concertmaster.core.model import (
    RUN_TIMEOUT,
    Category,
    Finding,
    Level,
    Outcome,
    RunRecord,
    Severity,
    StepExecution,
)
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Damping, Rule, share_range
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.intervals import mean_interval
from concertmaster.core.rules.reliability import retried_failures, retry_policy
from concertmaster.core.rules.reliability.fields.retry_limit import at_once
from concertmaster.core.rules.reliability.repeated_failures import RepeatedFailures, repeated
from concertmaster.core.rules.reliability.retry.attempts import (
    ELSEWHERE,
    collect,
    episodes,
    known_reasons,
    usual_reason,
)
from concertmaster.core.rules.reliability.streaks import (
    by_chance,
    chance,
    earlier_row,
    failures_avoided,
    is_few,
    lost_to_rows,
    maybe_over,
    over_note,
    streak_of,
)
from concertmaster.core.rules.upper_bound import HALF
from concertmaster.core.times import to_minute

_FAILURES_PER_SUCCESS = 4  # from which the workflow counts as one that does not succeed
_PAUSE = (
    "most failures were over by the next run: if they pass within minutes, as a rate limit does, retries help only after a"
    " pause, such as backoff: {duration: 1m, factor: 2, maxDuration: 15m}"
)
_OTHERS = (FailureClass.OOM, FailureClass.DEADLINE)  # covered by rules of their own


def _culprits(run: RunRecord) -> dict[str, StepExecution]:
    """By step, the failure that ended the run: the last attempt of an item without a later success."""
    if not any(e.outcome is Outcome.FAILED for e in run.steps):
        return {}
    failed = [e for e in last_attempts(run.steps) if e.outcome is Outcome.FAILED]
    failed.sort(key=lambda e: e.finished or 0.0)
    executions: dict[str, StepExecution] = {}
    for e in failed:
        executions.setdefault(e.step, e)
    return executions


def _tolerated(runs: Sequence[RunRecord]) -> set[str]:
    """Steps that also failed in succeeded runs."""
    return {name for r in runs if r.outcome is Outcome.SUCCEEDED for name in _culprits(r)}


def _when(time: float | None) -> str:
    return to_minute(time) if time is not None else "an unknown time"


def evaluate(evidence: Evidence) -> Iterator[Finding | None]:
    """One recommendation when all recent runs failed at the same step, else one for each step at which many do; and one for
    each other step whose failed attempts make runs longer, although retries help."""
    if not evidence.rows.failing:
        return
    findings = list(_always(evidence)) or list(_often(evidence))
    yield from findings
    others = evidence.rows.failing - {finding.step for finding in findings}
    yield from retried_failures.find(evidence, others, evidence.settings.number("minGainPercent", 5.0))


def _always(evidence: Evidence) -> Iterator[Finding]:
    streak, before = streak_of(evidence.rows.undisturbed)
    if len(streak) < evidence.settings.number("minFailures", 3):
        return
    if by_chance(streak, before):
        return
    each = [_culprits(r) for r in streak]
    tolerated = _tolerated(before)
    common = [name for name in each[-1] if name not in tolerated and all(name in failed for failed in each)]
    if not common:
        return
    step = common[0]
    failures = [failed[step] for failed in each]
    if sum(_covered(e, _OTHERS) for e in failures) > len(failures) / 2:
        return
    yield _finding(evidence, step, streak, before, failures)


def _often(evidence: Evidence) -> Iterator[Finding]:
    runs = evidence.rows.undisturbed
    culprits = {r.run: _culprits(r) for r in runs if r.outcome is Outcome.FAILED}
    tolerated = _tolerated(runs)
    published, retried = evidence.published_about(RULE.name), _retried_more(evidence)
    for repeat in repeated(runs, culprits, collect(runs, evidence.rows.failing), published):
        if repeat.step in tolerated or (repeat.since is None and repeat.step in retried):
            continue
        own = sum(not _covered(e, ELSEWHERE) for e in repeat.failures)
        if own > len(repeat.failures) / 2:
            yield _frequent(evidence, repeat)


def _retried_more(evidence: Evidence) -> set[str | None]:
    """Steps of whose failures a higher limit of retries leaves few enough, as ``retry-policy`` says."""
    own = replace(evidence, settings=evidence.analysis.policy.rule(retry_policy.RULE.name))
    more = retry_policy.evaluate(own) if own.settings.enabled else ()
    return {finding.step for finding in more if finding.failures_avoided is not None}


def _covered(e: StepExecution, classes: Collection[FailureClass]) -> bool:
    """Whether another rule is about a failure of these classes. None is about a time limit that only the run itself has, nor
    about the memory of an init container whose limit is unknown, or which the engine adds and sizes."""
    first = killed_first(e)
    sized = first is None or (first.memory_limit is not None and first.name not in EXECUTOR)
    return sized and classify(e) in classes and e.reason != RUN_TIMEOUT


def _no_success(repeat: RepeatedFailures) -> bool:
    """Whether every run failed there but a few of which it is unknown: what would be a streak, had their ends been seen."""
    return 0 < _FAILURES_PER_SUCCESS * repeat.unseen <= repeat.failed == repeat.of - repeat.unseen


def _remedy(name: str, failures: Sequence[StepExecution]) -> str:
    """What to do: without a reason of most failures, find that first."""
    if _mostly_unexplained(failures):
        return f"Find out why {name} fails"
    killed = [c.name for e in failures if (c := killed_first(e)) is not None]
    if 2 * len(killed) > len(failures):
        return f"Raise the memory limit of init container {text.plain(killed[-1])} of {name}"
    return f"Fix {name}"


def _mostly_unexplained(failures: Sequence[StepExecution]) -> bool:
    return 2 * sum(map(unexplained, failures)) > len(failures)


def _frequent(evidence: Evidence, repeat: RepeatedFailures) -> Finding:
    name, reason = evidence.title(repeat.step), usual_reason(repeat.failures)
    rose, runs = repeat.since is not None and repeat.begin > 0, text.count(repeat.of, "run")
    usual = repeat.earlier / repeat.begin if rose else 0.0
    share = repeat.failed / repeat.of
    rate = f"{repeat.failed} of {'the newest ' if repeat.begin and not rose else ''}{runs}"
    quiet = maybe_over(repeat.ends[repeat.begin :])
    avoided, uncertain = failures_avoided(repeat, over=quiet > 0), quiet > 0 or is_few(repeat)
    keep = share_range(avoided) if avoided is not None and uncertain else text.percent(share)
    since = f" since {_when(repeat.since)}" if repeat.since is not None else ""
    earlier = f", {repeat.earlier} of the {repeat.begin} before" if rose else ""
    own = repeat.attempts
    tried = f"; {own.tried}" if own.retries else ""
    spec = evidence.analysis.definition.graph.step(repeat.step)
    passing = repeat.since is None and 2 * episodes(repeat.ends[repeat.begin :]) > repeat.failed  # before the next run
    pause = own.retries > 0 and passing and at_once(evidence, spec)
    if pause:
        tried += ", and they start at once: its retryStrategy has no backoff"
    if repeat.hopeless is not None:
        tried = f"; no retries observed yet, and one is likely to succeed as rarely as {repeat.hopeless}"
    unseen = f"; whether {text.count(repeat.unseen, 'run')} failed is unknown" if repeat.unseen else ""
    pods = median([e.duration or 0.0 for e in repeat.failures]) or 0.0
    message = next((e.message for e in reversed(repeat.failures) if e.message), None)
    return Finding(
        step=repeat.step,
        action=f"{_remedy(name, repeat.failures)}: {rate} failed there with {reason}{since}",
        because=f"{rate} failed at {name}{since}{earlier} ({evidence.window()}){tried}{unseen}{over_note(quiet)}",
        otherwise=f"{keep} of the runs keep failing at {name}, each after {text.duration(pods)}",
        severity=Severity.CRITICAL if _no_success(repeat) else Severity.LOW,
        current=f"{text.percent(share)} of the runs fail there",
        proposed=f"{text.percent(usual)} of the runs, as before" if rose else "runs that succeed",
        expected=f"{text.percent(avoided.likely if avoided is not None else share)} of the runs no longer fail"
        + (f", {text.percent(avoided.high)} at most" if avoided is not None and uncertain else ""),
        confidence=(0.4 if _mostly_unexplained(repeat.failures) else 0.8) * (HALF if quiet else 1.0),
        failures_avoided=avoided,
        upper_bound=quiet > 0,
        evidence=(
            *known_reasons(repeat.failures),
            f"newest failure: pod {repeat.failures[-1].pod or 'unknown'}, ended {_when(repeat.failures[-1].finished)}",
            *((f"its message: {message[:200]}",) if message else ()),
            *((_PAUSE,) if pause else ()),
        ),
    )


def _finding(
    evidence: Evidence,
    step: str,
    streak: Sequence[RunRecord],
    before: Sequence[RunRecord],
    failures: Sequence[StepExecution],
) -> Finding:
    analysis, name = evidence.analysis, evidence.title(step)
    reason = usual_reason(failures)
    currency = analysis.pricing.currency
    pods = median([sum(e.duration or 0.0 for e in r.steps) for r in streak]) or 0.0
    costs = [c.total for r in streak if (c := analysis.costs.run(r)) is not None]
    rate = analysis.cost.runs_per_month
    # No saving: a run that succeeds costs as much. What it costs is no longer spent in vain.
    spent = mean_interval(costs, rate) if rate is not None else None
    at = next((i for i in reversed(range(len(before))) if before[i].outcome is Outcome.SUCCEEDED), None)
    good = before[at] if at is not None else None
    since = f"since {_when(streak[0].end)}"
    if at is not None:
        runs, graph = (*before, *streak), analysis.definition.graph
        since += cause_between(runs, at, len(before), step, analysis.figures, graph).clause
    last = f"the last success ended {_when(good.end)}" if good is not None else "no run succeeded"
    unseen = sum(r.unseen for r in before)
    if unseen:
        seen = last if good is not None else "no success was seen"
        last = f"{seen}; whether {text.count(unseen, 'run')} failed is unknown"
    lost = [step in _culprits(r) for r in (*before, *streak)]
    row = earlier_row(lost, evidence.settings.number("minFailures", 3))
    if row is not None:
        last += (
            f"; an earlier row of {text.count(row[0], 'run')} that failed there was over {_when(before[row[1]].end)}"
        )
    wasted = text.duration(pods) + (
        f" of pod time and {text.money(sum(costs) / len(costs), currency)}" if costs else " of pod time"
    )
    monthly = f", {text.money(spent.likely, currency)} a month" if spent is not None else ""
    keeps = f"every run keeps failing at {name} and throws away {wasted}{monthly}"
    if row is not None:
        keeps = f"every run fails at {name} and throws away {wasted} until that ends, and again the next time"
    message = next((e.message for e in reversed(failures) if e.message), None)
    return Finding(
        step=step,
        action=f"{_remedy(name, failures)}: the last {len(streak)} runs in a row failed there with {reason}",
        because=(
            f"{len(streak)} of {len(streak) + len(before)} runs ({evidence.window()}) failed at {name}, one after the other"
            f" {since}; {last}"
        ),
        otherwise=f"{keeps}; a retry only repeats it",
        severity=Severity.CRITICAL,
        current=f"{text.count(len(streak), 'run')} in a row failed",
        proposed="a run that succeeds",
        expected=f"runs succeed again, and {wasted} are not thrown away in each of them",
        confidence=0.95,
        failures_avoided=lost_to_rows(lost),
        evidence=(
            *known_reasons(failures),
            f"newest failure: run {streak[-1].run}, pod {failures[-1].pod or 'unknown'}, ended {_when(streak[-1].end)}",
            *((f"its message: {message[:200]}",) if message else ()),
            f"chance of such a row at the earlier rate: {text.percent(chance(len(streak), before), 1)}"
            if before
            else "no earlier run in the window",
        ),
    )


RULE = Rule(
    RuleName.FAILING_STEP,
    evaluate,
    Category.RELIABILITY,
    Level.MEDIUM,
    tie_break=10,
    settings=("minFailures", "minGainPercent"),
    damping=Damping.NONE,
)
