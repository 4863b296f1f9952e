"""``timeout``: a time limit no healthy execution reaches, where executions hang or a limit is too tight.

The limit is an upper tolerance bound of the observed run times, never below the longest, plus headroom. Steps that never
hung share one minor recommendation: a limit costs nothing, while the first hang may be expensive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cache

from concertmaster.core import text
from concertmaster.core.analysis.failures import FailureClass
from concertmaster.core.analysis.steps.step import StepAnalysis
from concertmaster.core.model import Category, Edit, Finding, Interval, Level, StepSpec
from concertmaster.core.model.daily import RUN
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Rule
from concertmaster.core.rules.earlier_peaks import EarlierPeak, earlier_peak
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.intervals import failed_share, share_interval
from concertmaster.core.rules.reliability import run_limit
from concertmaster.core.rules.reliability.fields.time_limit import from_creation, time_limit_edits
from concertmaster.core.rules.reliability.hangs import LONG_FACTOR, DeadlineSpan, hung, spans, spans_on_node
from concertmaster.core.rules.reliability.tolerance_bound import RecommendedTimeout, recommended_timeout, round_up

_MIN_MARGIN = 60.0  # seconds: a slow image pull must not time out a two-second step
_MIN_PER_ITEM = 3  # executions of an item
_REACHED_SHARE = 0.9  # of the limit: times are known to some seconds only
_MAX_HUNG_SHARE = 0.2  # share of executions: anything more frequent is normal for the step


@dataclass(frozen=True, slots=True)
class _Times:
    """One step: its executions that ended, ascending by time; and run times (s) of the succeeded ones, and of all by item of
    a fan-out."""

    step: StepAnalysis
    spec: StepSpec
    ended: list[DeadlineSpan]
    good: list[float]
    items: tuple[list[float], ...]
    limit: RecommendedTimeout  # that no succeeded execution reaches
    earlier: EarlierPeak | None  # of longer ones that succeeded and are not among these

    def usual(self, seconds: float) -> bool:
        """Whether an item takes that long in most runs: it is larger than the others and does not hang."""
        return any(len(own) >= _MIN_PER_ITEM and sum(v >= seconds for v in own) > len(own) / 2 for own in self.items)


def _times(evidence: Evidence) -> Iterator[_Times]:
    """A Job's deadline applies to the whole Job including retries; every other limit to one pod. Whether a step has a limit
    is unknown where only its pods are known."""
    analysis = evidence.analysis
    of_run = analysis.definition.engine.deadline_of_run
    grouped = cache(lambda made: analysis.figures.grouped(made, analysis.runs))
    for step in analysis.steps:
        spec = step.spec
        if spec is None or spec.waits or spec.daemon:
            continue
        whole = of_run and spec.has_timeout is not None
        if whole:
            rows = [
                DeadlineSpan(step.step, None, r.run_time, 0.0, r.outcome.value == "Succeeded", r.steps, r.unseen)
                for r in analysis.runs
                if r.run_time is not None
            ]
        else:
            limited = spans if from_creation(evidence, spec) else spans_on_node
            rows = list(grouped(limited).get(step.step, ()))
        items: dict[str, list[float]] = {}
        for row in rows:
            if row.item is not None:
                items.setdefault(row.item, []).append(row.seconds)
        good = [row.seconds for row in rows if row.good]
        rows.sort(key=lambda row: row.seconds)
        earlier = earlier_peak(evidence, (RUN if whole else step.step,), "seconds", max(good, default=0.0))
        limit = _limit(evidence, good, earlier.amount if earlier is not None else 0.0)
        yield _Times(step, spec, rows, good, tuple(items.values()), limit, earlier)


def _limit(evidence: Evidence, values: list[float], earlier: float) -> RecommendedTimeout:
    headroom = evidence.settings.number("headroomPercent", 50.0) / 100
    limit = recommended_timeout(values, headroom=headroom, earlier=earlier)
    return limit if limit.seconds is None else replace(limit, seconds=max(_MIN_MARGIN, limit.seconds))


def _apart(evidence: Evidence, row: _Times) -> tuple[RecommendedTimeout, list[DeadlineSpan], int] | None:
    """The limit derived from the normal executions; the hung ones, the largest group of executions far beyond it; and of how
    many of these it is known. Considering groups prevents several hangs from masking each other."""
    ended, again = row.ended, row.earlier.again if row.earlier is not None else 0.0  # a single one may have hung
    most = max(1, round(_MAX_HUNG_SHARE * len(ended)))
    for begin in range(max(1, len(ended) - most), len(ended)):
        least = ended[begin].seconds
        # No limit is lower than the margin: what passes is twice all before it, which few in a long list are.
        if least < LONG_FACTOR * max(_MIN_MARGIN, ended[begin - 1].seconds) or row.usual(least):
            continue
        others, longest = ended[:begin], ended[begin:]
        limit = _limit(evidence, [span.seconds for span in others if span.good], again)
        if limit.seconds is None or least < LONG_FACTOR * limit.seconds:
            continue
        known = hung(longest, others, row.spec)
        if known:
            return limit, longest, known
    return None


def _hang(evidence: Evidence, row: _Times) -> Finding | None:
    """An execution far beyond the others, on a step without a limit, or with one too high to stop it (known or not)."""
    apart = _apart(evidence, row)
    if apart is None:
        return None
    limit, beyond_it, known = apart
    if limit.seconds is None or (row.spec.timeout_seconds is not None and row.spec.timeout_seconds <= limit.seconds):
        return None
    count, longest = len(beyond_it), beyond_it[-1].seconds
    late = sum(span.good for span in beyond_it) if row.spec.retry_limit == 0 else 0
    fails = f"; {late} of {count} succeeded in the end, and would fail at this limit without retries" if late else ""
    name = evidence.title(row.step.step)
    edits = time_limit_edits(evidence, row.spec, limit.seconds)
    now = row.spec.timeout_seconds
    runs, makespan = len(evidence.analysis.runs), evidence.analysis.makespan.mean
    share, least = share_interval(min(count, runs), runs), share_interval(min(known, runs), runs)
    beyond = sum(span.seconds - limit.seconds for span in beyond_it) / count
    gain = replace(share, low=least.low).scaled(beyond) if share is not None and least is not None else None
    unclear = f" (of {count - known} it is not known whether they were idle)" if known < count else ""
    return Finding(
        step=row.step.step,
        action=f"Set time limit of {name}: {f'{text.duration(now)} -> ' if now else ''}{text.duration(limit.seconds)}",
        because=(
            f"{count} of {text.count(len(row.ended), 'execution')} hung{unclear}, the longest for {text.duration(longest)},"
            " while no"
            f" other took more than {text.duration(limit.longest)} {evidence.runs(row.step.runs)}"
        ),
        otherwise=(
            f"the next hang holds the run and its nodes until somebody intervenes, as one did for {text.duration(longest)}"
        ),
        risk=Level.LOW if limit.runs >= 20 and known == count and not late else Level.MEDIUM,
        current=_limit_now(row.spec, longest),
        proposed=text.duration(limit.seconds),
        expected=f"a hang like that ends {text.duration(longest - limit.seconds)} earlier{fails}",
        confidence=min(0.9, limit.runs / (limit.runs + 10.0)),
        gain_seconds=gain,
        gain_share=Interval(*(v / makespan for v in (gain.low, gain.likely, gain.high))) if gain and makespan else None,
        edits=edits,
        evidence=(f"the limit {limit.reason}, from {limit.runs} executions",),
    )


def _limit_now(spec: StepSpec, hung: float) -> str:
    """The limit that did not end a hang of ``hung`` seconds."""
    if spec.timeout_seconds is not None:
        return text.duration(spec.timeout_seconds)
    return "no limit" if spec.has_timeout is False else f"none below {text.duration(hung)}"


def _tight(evidence: Evidence, row: _Times) -> Finding | None:
    """A limit that kills healthy executions, or soon will."""
    now, limit = row.spec.timeout_seconds, row.limit
    killed = dict(row.step.failures.by_class).get(FailureClass.DEADLINE, 0)
    reached = [span for span in row.ended if not span.good and span.seconds >= _REACHED_SHARE * (now or 0.0)]
    killed = min(killed, len(reached))  # others were stopped by the limit of the whole run
    gone = 0
    if evidence.analysis.definition.engine.deadline_of_run:  # a Job deletes the pods that it stops
        gone = sum([not span.unseen and any(e.unseen for e in span.executions) for span in reached])
    killed += gone
    if now is None or limit.seconds is None or limit.bound is None or limit.longest is None:
        return None
    if not killed and now >= limit.bound:
        return None
    # Killed executions would have exceeded the limit by an unknown amount.
    seconds = max(limit.seconds, round_up(1.5 * now) if killed else 0.0)
    if seconds <= now:
        return None
    name = evidence.title(row.step.step)
    edits = time_limit_edits(evidence, row.spec, seconds)
    executions = row.step.executions if not gone else len(row.ended)
    share = killed / max(1, executions)
    runs = len(evidence.analysis.runs)
    failed = min(row.step.failures.lasting(min(killed - gone, row.step.runs)) + gone, evidence.analysis.failed)
    cause = (
        f"{killed} of {text.count(executions, 'execution')} {'was' if killed == 1 else 'were'} stopped by it"
        if killed
        else f"the longest execution took {text.duration(limit.longest)} {row.earlier.when}, and"
        f" {text.duration(row.earlier.recent)}"
        if row.earlier is not None
        else f"the longest of {text.count(len(row.good), 'execution')} took {text.duration(limit.longest)}"
    )
    return Finding(
        step=row.step.step,
        action=f"Raise time limit of {name}: {text.duration(now)} -> {text.duration(seconds)}",
        because=(
            f"{cause} {evidence.runs(row.step.runs)}; 99% of healthy executions stay below {text.duration(limit.bound)}"
        ),
        otherwise="healthy executions keep being killed"
        if killed
        else "a slightly slower day kills healthy executions",
        current=text.duration(now),
        proposed=text.duration(seconds),
        expected=(
            f"up to {text.percent(share)} of its executions no longer stopped"
            if killed
            else "fewer than 1% of executions reach the limit"
        ),
        confidence=min(0.9, limit.runs / (limit.runs + 10.0)),
        failures_avoided=failed_share(failed, runs, evidence.rows.unseen(row.step.step), evidence.rows.failures_alike),
        edits=edits,
        evidence=(f"the limit {limit.reason}, from {limit.runs} executions",),
    )


def _missing(evidence: Evidence, rows: list[_Times], spoken: set[str | None]) -> Finding | None:
    """One recommendation for all steps without a limit, except templates (``spoken``) covered by another recommendation."""
    limits: dict[str, float] = {}
    edits: dict[str, Edit] = {}
    lines: list[str] = []
    for row in rows:
        limit = row.limit
        if row.spec.has_timeout is not False or limit.seconds is None or row.spec.pointer in spoken - {None}:
            continue
        limits[row.step.step] = limit.seconds
        lines.append(f"{row.step.step}: {text.duration(limit.seconds)}, longest seen {text.duration(limit.longest)}")
        for edit in time_limit_edits(evidence, row.spec, limit.seconds, alone=False):
            if edit.pointer not in edits or float(edits[edit.pointer].proposed or 0) < limit.seconds:
                edits[edit.pointer] = edit  # several steps can share a template: the longest limit applies
    if not limits:
        return None
    names = [evidence.title(n) for n in limits]
    earlier = [row.earlier.amount for row in rows if row.earlier is not None]
    longest = max([*(r.run_time or 0.0 for r in evidence.analysis.runs), *earlier])
    return Finding(
        action=f"Set a time limit for {text.listing(names)}",
        because=(
            f"{text.count(len(names), 'step')} may run forever; {evidence.runs(len(evidence.analysis.runs))} none"
            f" hung, and {_limits(limits.values())} would have stopped none"
        ),
        otherwise="a hanging step holds its run and its nodes until somebody intervenes",
        category=Category.BEST_PRACTICE,
        current="no limit",
        proposed=text.listing([f"{text.duration(s)} for {evidence.title(n)}" for n, s in limits.items()]),
        expected=f"a hang ends after at most {text.duration(max(limits.values()))}; the longest run so far took"
        f" {text.duration(longest)}",
        confidence=0.5,
        edits=tuple(edits.values()),
        evidence=tuple(lines),
    )


def _limits(seconds: Collection[float]) -> str:
    """``limits of 1m00s to 1h15m``; ``a limit of 3m30s`` when all are the same."""
    low, high = text.duration(min(seconds)), text.duration(max(seconds))
    return f"a limit of {low}" if low == high else f"limits of {low} to {high}"


def evaluate(evidence: Evidence) -> Iterator[Finding | None]:
    """One recommendation per step that hung or has too tight a limit, and one for all other steps without a limit."""
    quiet: list[_Times] = []
    spoken: set[str | None] = set()
    for row in _times(evidence):
        finding = _hang(evidence, row) or _tight(evidence, row)
        if finding is not None:
            spoken.add(row.spec.pointer)
            yield finding
        else:
            quiet.append(row)
    yield run_limit.find(evidence, evidence.settings.number("headroomPercent", 50.0) / 100)
    yield _missing(evidence, quiet, spoken)


RULE = Rule(RuleName.TIMEOUT, evaluate, Category.RELIABILITY, Level.LOW, tie_break=3, settings=("headroomPercent",))
