"""Failed attempts that a retry makes good (part of ``failing-step``): runs succeed, but take longer than without them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from concertmaster.core import text
from concertmaster.core.analysis.failures import FailureClass, classify
from concertmaster.core.analysis.replay import WhatIf
from concertmaster.core.model import Category, Finding, Outcome, StepExecution
from concertmaster.core.rules.base import gain_sentence
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.reliability.repeated_failures import rise
from concertmaster.core.rules.reliability.retry.attempts import (
    ELSEWHERE,
    MIN_ATTEMPTS,
    Attempts,
    collect,
    goes_on,
    usual_reason,
)
from concertmaster.core.rules.resources.rows.storage_rows import evicted_at
from concertmaster.core.stats.comparison import compare
from concertmaster.core.times import to_minute

# Share of those that failed at first; where fewer succeed, there is more to say than that runs take longer.
_MIN_HELPED_SHARE = 0.5
_CHECKPOINT_SHARE = 0.9  # of the time of an attempt that succeeds at once: what is left to do after a checkpoint


def find(evidence: Evidence, steps: Collection[str], least_percent: float) -> Iterator[Finding | None]:
    """One recommendation for each of ``steps`` whose failed attempts cost at least that much of the run time."""
    runs = evidence.since_change({run.run: run for run in evidence.rows.undisturbed})
    attempts = collect(tuple(runs.values()), steps)
    for step, own in sorted(attempts.items()):
        failed = {
            run: [e for e in rows if e.outcome is Outcome.FAILED] for run, rows in evidence.rows.all[step].items()
        }
        flags = [bool(failed[run]) for run in failed if run in runs]
        failures = [e for run, rows in failed.items() if run in runs for e in rows]
        good, of = _recovered(own)
        if sum(flags) < MIN_ATTEMPTS or not goes_on(flags) or good < _MIN_HELPED_SHARE * of:
            continue
        # Evictions have a rule of their own only where retries do not help.
        elsewhere = sum(classify(e) in ELSEWHERE and not _lost_with_pod(e) for e in failures)
        if 2 * elsewhere < len(failures) and not _resumed(evidence.rows.all[step].values()):
            at = rise([_failed(rows, evidence.rows.all[step][run]) for run, rows in failed.items()])
            first = list(failed)[at] if at is not None else None
            yield _finding(evidence, step, own, failures, first, least_percent)


def _lost_with_pod(e: StepExecution) -> bool:
    """Whether it was evicted, preempted or lost with its node; what it wrote to its own disk is for ``right-size``."""
    return classify(e) is FailureClass.EVICTION and evicted_at(e) is None


def _failed(failures: Sequence[StepExecution], rows: Sequence[StepExecution]) -> bool | None:
    """Whether an attempt failed; None where the end of one was not seen."""
    return bool(failures) or (None if any(e.unseen for e in rows) else False)


def _resumed(runs: Iterable[Sequence[StepExecution]]) -> bool:
    """Whether retries continue where the failed attempts ended, from a checkpoint: the attempts that succeed in the end
    clearly take less time than those that succeed at once. Then hardly any of the failed attempts' time is lost."""
    once: list[float | None] = []
    last: list[float | None] = []
    for rows in runs:
        items: dict[str | None, list[StepExecution]] = {}
        for e in rows:
            items.setdefault(e.item, []).append(e)
        for attempts in items.values():
            newest = max(attempts, key=lambda e: (e.attempt, e.started or 0.0))
            if newest.outcome.timed:
                (last if len(attempts) > 1 else once).append(newest.duration)
    return compare(once, last).high < _CHECKPOINT_SHARE


def _recovered(own: Attempts) -> tuple[int, int]:
    """Executions that succeeded after a failed attempt, and all with one."""
    tried = [chain.attempts for chain in own.chains if not all(chain.attempts)]
    return sum(attempts[-1] for attempts in tried), len(tried)


def _finding(
    evidence: Evidence,
    step: str,
    own: Attempts,
    failures: Sequence[StepExecution],
    first: str | None,
    least_percent: float,
) -> Finding | None:
    """``first``: the run since which attempts fail more often."""
    gains = evidence.worth(WhatIf.without_failed_attempts(step), least_percent)
    if gains is None:
        return None
    share, seconds = gains
    name, reason = evidence.title(step), usual_reason(failures)
    good, of = _recovered(own)
    tried = sum(len(chain.attempts) for chain in own.chains)
    failed = sum(not good for chain in own.chains for good in chain.attempts)
    start = evidence.rows.runs[first].start if first is not None else None
    since = f", more often since {to_minute(start)}" if start is not None else ""
    often = f"{text.percent(failed / tried)} of its attempts"
    lost = [e for e in failures if _lost_with_pod(e)]
    action, proposed = f"Fix {name}: {often} fail with {reason}, and runs wait for retries", "attempts that succeed"
    if 2 * len(lost) > len(failures):
        action = (
            f"Protect {name} from eviction and loss of its node: {often} end with {reason}, and runs wait for retries"
        )
        proposed = "nodes that are not reclaimed, a higher priority, checkpoints, or shorter attempts"
    on_spot = sum(e.spot is True for e in lost)
    return Finding(
        step=step,
        action=action,
        because=(
            f"{failed} of {text.count(tried, 'attempt')} failed {evidence.recent_runs(len(own.runs))}{since};"
            f" {good} of {text.count(of, 'execution')} with failed attempts succeeded in the end, but later"
        ),
        otherwise=f"runs keep waiting {text.duration(seconds.likely)} on average for attempts that fail",
        category=Category.PERFORMANCE,
        current=f"{text.percent(failed / tried)} of the attempts fail",
        proposed=proposed,
        expected=gain_sentence(share, seconds),
        confidence=0.8,
        gain_seconds=seconds,
        gain_share=share,
        evidence=(
            *([f"{on_spot} of {len(lost)} lost pods ran on spot nodes"] if on_spot else []),
            "replayed with each retried pod succeeding at its first attempt, without the pauses between attempts",
            f"newest failed attempt: pod {failures[-1].pod or 'unknown'}",
        ),
    )
