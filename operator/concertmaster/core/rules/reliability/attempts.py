"""Attempts of the steps that failed: the evidence of ``retry-policy``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from concertmaster.core.analysis.failures import FailureClass, classify, reasons_of
from concertmaster.core.model import Outcome, RunRecord, StepExecution
from concertmaster.core.rules.reliability.retries import AttemptChain

_AT_ONCE = AttemptChain((True,))


@dataclass(slots=True)
class Attempts:
    """Attempts of one step over all runs, one chain per item. ``out_of_memory`` chains are not among ``chains``.
    ``failed``: for each run with the step, oldest first, whether an item failed for good."""

    chains: list[AttemptChain] = field(default_factory=list)
    items: list[int] = field(default_factory=list)  # chains per run
    classes: Counter[FailureClass] = field(default_factory=Counter)
    out_of_memory: int = 0
    retries: int = 0
    helped: int = 0
    repeated_seconds: float = 0.0  # of failed attempts after the first retry
    seconds: float = 0.0
    failed: list[bool] = field(default_factory=list)


def episodes(failed: Iterable[bool]) -> int:
    """Number of rows of consecutive failures: an outage of an hour is one, however many runs it hit."""
    return sum(value for value, _ in groupby(failed))


def usual_reason(failures: Sequence[StepExecution]) -> str:
    """The most frequent failure, with exit code and message if known from live objects."""
    reported: Counter[str] = Counter()
    for e in failures:
        kind = classify(e) or FailureClass.UNKNOWN
        words = next(iter(reasons_of(e)), kind.value)
        reported[f"{words}, exit code {e.exit_code}" if e.exit_code is not None else words] += 1
    return reported.most_common(1)[0][0]


def collect(runs: tuple[RunRecord, ...], steps: Collection[str]) -> dict[str, Attempts]:
    """Attempts of those of ``steps`` that failed at least once."""
    attempts: dict[str, Attempts] = {}
    for run in runs:
        groups: dict[tuple[str, str | None], list[StepExecution]] = {}
        for e in run.steps:
            if e.step in steps and e.outcome in (Outcome.SUCCEEDED, Outcome.FAILED):
                groups.setdefault((e.step, e.item), []).append(e)
        counts: dict[str, int] = {}
        ended: dict[str, bool] = {}  # by step that ran, whether an item failed for good
        for (step, _), rows in groups.items():
            if len(rows) == 1 and rows[0].outcome is Outcome.SUCCEEDED:  # the common case
                own = attempts.setdefault(step, Attempts())
                counts[step] = counts.get(step, 0) + 1
                own.seconds += rows[0].duration or 0.0
                own.chains.append(_AT_ONCE)
                ended.setdefault(step, False)
                continue
            rows.sort(key=lambda e: (e.attempt, e.started or 0.0))
            own = attempts.setdefault(step, Attempts())
            counts[step] = counts.get(step, 0) + 1
            own.seconds += sum(e.duration or 0.0 for e in rows)
            classes = [c for c in (classify(e) for e in rows) if c is not None]
            if FailureClass.OOM in classes:
                own.out_of_memory += 1
                continue
            own.classes.update(classes)
            succeeded = tuple(e.outcome is Outcome.SUCCEEDED for e in rows)
            failed = [e.duration or 0.0 for e in rows if e.outcome is Outcome.FAILED]
            own.chains.append(AttemptChain(succeeded))
            own.retries += len(rows) - 1
            own.helped += len(rows) > 1 and succeeded[-1]
            ended[step] = ended.get(step, False) or not succeeded[-1]
            own.repeated_seconds += sum(failed[2:])
        for step, count in counts.items():
            attempts[step].items.append(count)
        for step, bad in ended.items():
            attempts[step].failed.append(bad)
    return attempts
