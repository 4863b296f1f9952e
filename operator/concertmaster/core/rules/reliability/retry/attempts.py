"""Attempts of the steps that failed: the evidence of ``retry-policy`` and ``failing-step``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from concertmaster.core import text
from concertmaster.core.analysis.failures import FailureClass, classify, killed_first, reasons_of, unexplained
from concertmaster.core.attempts import last_attempts
from concertmaster.core.known import median
from concertmaster.core.model import Outcome, RunRecord, StepExecution
from concertmaster.core.rules.reliability.retry.limit import AttemptChain, RunItems, never_enough, retries, share_after

MIN_ATTEMPTS = 4
"""Runs with failures before these are called frequent."""
ELSEWHERE = (FailureClass.OOM, FailureClass.DEADLINE, FailureClass.EVICTION, FailureClass.IMAGE_PULL)
"""What the step did not cause, or rules of its own report."""
PASSING = (FailureClass.EVICTION, FailureClass.IMAGE_PULL)
"""What is transient and not caused by the program."""
EPISODES = 3
"""From these on, failures are not one outage or two."""
_MIN_TRIES = 3  # retries required before they can count as useless
_AT_ONCE = AttemptChain((True,))
_UNSEEN = AttemptChain((), unseen=True)
_CHAINED = (Outcome.SUCCEEDED, Outcome.FAILED)


@dataclass(slots=True)
class Attempts:
    """Attempts of one step over all runs, one chain per item. ``out_of_memory`` chains are not among ``chains``.
    ``failed``: for each run with the step, oldest first, whether an item failed for good (None: that was not seen).
    ``retries`` are those whose end was seen, of which some ``helped``; ``unseen_retries`` the others. ``spared``: runs that
    were left out by ``lost_by``."""

    chains: list[AttemptChain] = field(default_factory=list)
    runs: list[RunItems] = field(default_factory=list)  # with the step, oldest first
    classes: Counter[FailureClass] = field(default_factory=Counter)
    out_of_memory: int = 0
    retries: int = 0
    unseen_retries: int = 0
    helped: int = 0
    repeated: dict[str, float] = field(default_factory=dict)  # seconds of failed attempts after the first retry, by run
    seconds: float = 0.0
    failed: list[bool | None] = field(default_factory=list)
    first: Counter[FailureClass | None] = field(default_factory=Counter)  # see ``lost_to``
    spared: int = 0

    @property
    def repeated_seconds(self) -> float:
        """All that is ``repeated``."""
        return sum(self.repeated.values())

    @property
    def width(self) -> float:
        """Median number of items in a run."""
        return median([float(run.many) for run in self.runs]) or 1.0

    def lost_to(self, causes: Collection[FailureClass | None]) -> int:
        """Of the ``lost`` runs, those with such a cause: why the ``first`` item failed, since what fails after it may have
        been ended with the run. None: nothing is known of why."""
        return sum([self.first[cause] for cause in causes])

    @property
    def lost(self) -> int:
        """Runs with an item that failed for good."""
        return self.first.total()

    @property
    def tried(self) -> str:
        """How many retries helped, and how many of those that followed a failed one."""
        _, repeated = retries(self.chains)
        after = f", {sum(repeated)} of {len(repeated)} after a failed one" if repeated else ""
        return f"{self.helped} of {text.count(self.retries, 'retry', 'retries')} helped{after}"

    @property
    def useless(self) -> bool:
        """Whether retries help, or more of them would, so rarely that no limit is enough, whatever came of those that were
        not seen."""
        again, (_, repeated) = share_after(self.chains), retries(self.chains)
        more = again is not None and self._rare(again.likely * len(repeated), len(repeated))
        return more or self._rare(self.helped, self.retries)

    def _rare(self, helped: float, of: int) -> bool:
        return of >= _MIN_TRIES and never_enough((helped + self.unseen_retries) / (of + self.unseen_retries))

    @property
    def lasting(self) -> int:
        """Chains that failed for good."""
        return sum([chain.failed for chain in self.chains])

    @property
    def unseen(self) -> int:
        """Chains whose end was not seen."""
        return sum([chain.unseen for chain in self.chains])


def episodes(failed: Iterable[bool | None]) -> int:
    """Number of rows of consecutive failures: an outage of an hour is one, however many runs it hit. One run between two
    failures of which it is unknown (None) belongs to their row."""
    ends = list(failed)
    if None in ends:
        around = zip([False, *ends[:-1]], ends, [*ends[1:], False], strict=True)
        ends = [(before and after) if own is None else own for before, own, after in around]
    return sum(bool(value) for value, _ in groupby(ends, key=bool))


def goes_on(failed: Sequence[bool | None]) -> bool:
    """Whether failures are not one outage or two, which are over: three separate episodes, or most runs."""
    return episodes(failed) >= EPISODES or 2 * sum(own is True for own in failed) > len(failed)


def usual_reason(failures: Sequence[StepExecution]) -> str:
    """The most frequent reason, with the exit code if known from live objects."""
    reported: Counter[str] = Counter()
    for e in failures:
        words = [
            *(reason + _first(e, reason) for reason in reasons_of(e)[:1]),
            *([f"exit code {e.exit_code}"] if e.exit_code is not None else []),
        ]
        reported[", ".join(words) or "an unknown reason"] += 1
    return reported.most_common(1)[0][0]


def _first(e: StepExecution, reason: str) -> str:
    """`` in init container fetch`` where only that ended so."""
    ended = [c for c in e.containers if c.reason == reason]
    return f" in init container {text.plain(ended[0].name)}" if ended and all(c.init for c in ended) else ""


def known_reasons(failures: Sequence[StepExecution]) -> Iterator[str]:
    """How many have no known reason, and the limit at which an init container was OOM-killed last."""
    dark = sum(map(unexplained, failures))
    if dark:
        causes = "memory, a time limit, a node or the step itself"
        yield f"the reasons of {dark} of {text.count(len(failures), 'failure')} are unknown: {causes}"
    killed = [c for e in failures if (c := killed_first(e)) is not None and c.memory_limit]
    if killed:
        name, limit = text.plain(killed[-1].name), text.memory_quantity(killed[-1].memory_limit or 0.0)
        yield f"init container {name} was OOM-killed at its limit of {limit}"


def collect(runs: tuple[RunRecord, ...], steps: Collection[str]) -> dict[str, Attempts]:
    """Attempts of those of ``steps`` that failed at least once."""
    attempts: dict[str, Attempts] = {}
    for run in runs:
        groups: dict[tuple[str, str | None], list[StepExecution]] = {}
        for e in run.steps:
            if e.step in steps and (e.outcome in _CHAINED or e.unseen):
                groups.setdefault((e.step, e.item), []).append(e)
        counts: dict[str, int] = {}
        lost: Counter[str] = Counter()
        first: dict[str, tuple[float, bool, FailureClass | None]] = {}  # by step: when, whether not of PASSING, and why
        ended: dict[str, bool | None] = {}  # by step that ran, whether an item failed for good
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
            succeeded = tuple(e.outcome is Outcome.SUCCEEDED for e in rows if not e.unseen)
            failed = [e.duration or 0.0 for e in rows if e.outcome is Outcome.FAILED]
            *earlier, tries = _rounds(succeeded)
            chain = AttemptChain(tries, unseen=rows[-1].unseen) if succeeded else _UNSEEN
            own.chains += [*map(AttemptChain, earlier), chain]
            if chain.failed:
                lost[step] += 1
                cause = None if unexplained(rows[-1]) else classify(rows[-1])
                failure = rows[-1].finished or math.inf, cause not in PASSING, cause
                first[step] = min(failure, first.get(step, failure), key=lambda known: known[:2])
            own.retries += sum([len(one) - 1 for one in earlier], max(0, len(tries) - 1))
            own.unseen_retries += sum([e.unseen for e in rows[1:]])
            own.helped += sum(
                [len(one) > 1 for one in earlier], len(tries) > 1 and rows[-1].outcome is Outcome.SUCCEEDED
            )
            before = ended.get(step, False)
            ended[step] = True if chain.failed or before else None if chain.unseen else before
            own.repeated[run.run] = own.repeated.get(run.run, 0.0) + sum(failed[2:])
        for step, count in counts.items():
            passes = step in first and first[step][2] in PASSING
            attempts[step].runs.append(RunItems(run.start, lost[step], count, passes))
        for step, bad in ended.items():
            attempts[step].failed.append(bad)
        for step, (*_, cause) in first.items():
            attempts[step].first[cause] += 1
    return attempts


def _rounds(succeeded: Sequence[bool]) -> list[tuple[bool, ...]]:
    """Attempts (True for success) without those that repeat a success, as the template around the step is retried for the
    failure of another: each such repetition is a chain of its own."""
    rounds: list[tuple[bool, ...]] = [()]
    for place, ok in enumerate(succeeded):
        rounds[-1] = (*rounds[-1], ok)
        if ok and place + 1 < len(succeeded):
            rounds.append(())
    return rounds


def lost_by(runs: tuple[RunRecord, ...], attempts: Mapping[str, Attempts]) -> dict[str, Attempts]:
    """``attempts`` without the runs that succeeded although an item of the step failed for good: another step takes over
    from it (``depends`` in Argo), or a success policy asks for others."""
    spared: dict[str, set[str]] = {}
    for run in runs:
        if run.outcome is Outcome.SUCCEEDED and any(e.outcome is Outcome.FAILED for e in run.steps):
            for e in last_attempts(run.steps):
                if e.outcome is Outcome.FAILED and e.step in attempts:
                    spared.setdefault(e.step, set()).add(run.run)
    found = dict(attempts)
    for step, names in spared.items():
        found[step] = collect(tuple(r for r in runs if r.run not in names), (step,)).get(step, Attempts())
        found[step].spared = len(names)
    return found
