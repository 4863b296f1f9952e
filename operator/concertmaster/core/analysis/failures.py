"""Why step executions fail, and what failed attempts cost.

Failures are classified by remedy: more memory (OOM), different placement or priority (eviction), a longer deadline, a
valid image reference, or a fix in the program itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from concertmaster.core.fast_init import fast_init
from concertmaster.core.known import success_rate
from concertmaster.core.model import RUN_TIMEOUT, ContainerFact, Outcome, RunRecord, StepExecution
from concertmaster.core.stats.exact import binomial_tail, shift

_LEVEL = 0.05  # significance level of the test for a drop in success
# Of a rate above its target; at 0.05, 23 of 60 daily steps are missed of which 30% of the attempts fail.
_SIGNIFICANCE = 0.2


class FailureClass(StrEnum):
    """What kind of failure ended an execution."""

    OOM = "OutOfMemory"
    EVICTION = "Eviction"
    DEADLINE = "Deadline"
    IMAGE_PULL = "ImagePull"
    APPLICATION = "Application"
    UNKNOWN = "Unknown"


_REASONS = {  # by what takes precedence where an execution has several
    FailureClass.OOM: ("OOMKilled",),
    FailureClass.EVICTION: (
        *("Evicted", "Preempting", "NodeLost", "NodeShutdown", "Terminated", "Shutdown", "UnexpectedAdmissionError"),
        "PodEvicted",  # of a TaskRun
        "pod deleted",  # of a Workflow's node: by a drain, a preemption or the loss of its node
        # Of the condition DisruptionTarget.
        *("PreemptionByScheduler", "EvictionByEvictionAPI", "DeletionByTaintManager", "DeletionByPodGC"),
        "TerminationByKubelet",
        "ContainerStatusUnknown",  # of a container that its node lost, as by a restart
        *("NodeAffinity", "OutOfcpu", "OutOfmemory", "OutOfpods"),  # not admitted
    ),
    FailureClass.DEADLINE: ("DeadlineExceeded", "TaskRunTimeout", RUN_TIMEOUT),
    FailureClass.IMAGE_PULL: ("TaskRunImagePullFailed", "ErrImagePull", "ImagePullBackOff", "InvalidImageName"),
    FailureClass.APPLICATION: ("Error", "ContainerCannotRun", "StartError"),
}
_BY_REASON = {reason: failure for failure, reasons in _REASONS.items() for reason in reasons}


def reasons_of(execution: StepExecution) -> tuple[str, ...]:
    """Pod and container reasons other than a normal exit, pod level first."""
    reasons = [execution.reason] if execution.reason else []
    reasons += [c.reason for c in execution.containers if c.reason and c.reason != "Completed"]
    return tuple(dict.fromkeys(reasons))


def unexplained(execution: StepExecution) -> bool:
    """Whether it failed and nothing is known of why: it may have been its memory, a time limit, its node or its program."""
    return execution.outcome is Outcome.FAILED and execution.exit_code is None and not reasons_of(execution)


def killed_first(execution: StepExecution) -> ContainerFact | None:
    """The init container whose memory was too little, where that of no other container was."""
    killed = [c for c in execution.containers if c.reason == "OOMKilled"]
    return killed[0] if killed and all(c.init for c in killed) else None


def classify(execution: StepExecution) -> FailureClass | None:
    """Failure class of an execution; None when it did not fail. OOM takes precedence over generic reasons."""
    if execution.outcome is not Outcome.FAILED:
        return None
    classes = {_BY_REASON.get(reason, FailureClass.UNKNOWN) for reason in reasons_of(execution)}
    return next((failure for failure in _REASONS if failure in classes), FailureClass.UNKNOWN)


@fast_init
@dataclass(frozen=True, slots=True)
class FailureSummary:
    """Counts of step executions. ``unknown``: neither failed nor succeeded, as far as is known; of the ``unseen`` of them
    each may have. ``unexplained``: failed ones of which nothing
    is known of why. ``failing_runs``: runs with a failed attempt, of which ``lost_runs`` have one without a successful
    retry."""

    executions: int
    failed: int
    unknown: int
    by_class: tuple[tuple[FailureClass, int], ...]
    unseen: int = 0
    unexplained: int = 0
    failing_runs: int = 0
    lost_runs: int = 0

    @property
    def known(self) -> int:
        """Executions that are known to have failed or succeeded."""
        return self.executions - self.unknown

    @property
    def error_rate(self) -> float | None:
        """Failed share (0 to 1) of the executions; None where too few outcomes are known."""
        share = success_rate(self.known - self.failed, self.failed, self.unseen)
        return None if share is None else self.failed / self.known

    def exceeds(self, target: float) -> bool:
        """Whether more failed than chance explains at a rate of ``target`` (0 to 1): of seven attempts of which 4% fail, one
        fails in every fourth workflow."""
        likely = binomial_tail(self.failed, self.known, target)
        return likely <= _SIGNIFICANCE and (self.failed > 1 or target == 0.0)

    def lasting(self, runs: int) -> int:
        """Of ``runs`` with a failed attempt, about how many had no successful retry. Runs count, not attempts: those that
        fail for good have most of them."""
        return round(runs * self.lost_runs / self.failing_runs) if self.failing_runs else 0


def summarize_failures(runs: Sequence[str], executions: Sequence[StepExecution]) -> FailureSummary:
    """Summary of the ``executions`` of one step, each with its run in ``runs``.

    Attempts are grouped by run and item: a failed attempt followed by a successful one is not lost.
    """
    if [e.outcome for e in executions].count(Outcome.SUCCEEDED) == len(executions):
        return FailureSummary(len(executions), 0, 0, ())
    total = failed = unknown = unseen = dark = 0
    classes: Counter[FailureClass] = Counter()
    successes: set[tuple[str, str | None]] = set()
    failures: list[tuple[str, str | None]] = []
    for run, execution in zip(runs, executions, strict=True):
        total += 1
        key = (run, execution.item)
        if execution.outcome is Outcome.SUCCEEDED or execution.outcome is Outcome.CACHED:
            successes.add(key)
        elif execution.outcome is Outcome.FAILED:
            failed += 1
            failures.append(key)
            dark += unexplained(execution)
            kind = classify(execution)
            if kind is not None:
                classes[kind] += 1
        else:
            unknown += 1
            unseen += execution.unseen
    failing, lost = {run for run, _ in failures}, {key[0] for key in failures if key not in successes}
    return FailureSummary(total, failed, unknown, tuple(classes.most_common()), unseen, dark, len(failing), len(lost))


@dataclass(frozen=True, slots=True)
class SuccessDrop:
    """Runs fail more often since a point in time (unix seconds): failed runs and totals before and after, and the step in
    which most of the later ones failed (None: no step did)."""

    time: float
    before: tuple[int, int]
    after: tuple[int, int]
    step: str | None


def success_drop(runs: Sequence[RunRecord]) -> SuccessDrop | None:
    """Since when runs (oldest first) fail significantly more often; None when they do not."""
    known = [r for r in runs if r.outcome in (Outcome.SUCCEEDED, Outcome.FAILED)]
    flags = [r.outcome is Outcome.SUCCEEDED for r in known]
    changed = shift(flags, _LEVEL)
    if changed is None or changed[1]:
        return None
    at = next(i for i in range(changed[0], len(known)) if not flags[i])
    steps = Counter(
        e.step for r in known[at:] if r.outcome is Outcome.FAILED for e in r.steps if e.outcome is Outcome.FAILED
    )
    failed = [not ok for ok in flags]
    return SuccessDrop(
        known[at].end or 0.0,
        (sum(failed[:at]), at),
        (sum(failed[at:]), len(known) - at),
        steps.most_common(1)[0][0] if steps else None,
    )
