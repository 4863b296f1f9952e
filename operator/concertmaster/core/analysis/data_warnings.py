"""Implausible run data that would distort the analysis: clock skew between nodes, steps missing from the definition, runs
that never end. Pure; each warning is one sentence with its fix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from concertmaster.core import text
from concertmaster.core.analysis.replay.run import ExecutedRun
from concertmaster.core.analysis.runs import clocks
from concertmaster.core.analysis.runs.coverage import Span, missed_seconds
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.runs.missing_starts import starts_without_run
from concertmaster.core.analysis.runs.requests import declared_requests, requests_seen, same_template
from concertmaster.core.model import Outcome, RunRecord, WorkflowDefinition
from concertmaster.core.model.engines import QUEUE_LABEL
from concertmaster.core.model.enums import StepQuery
from concertmaster.core.units import DAY, HOUR

LONG_SECONDS = DAY
_OUTAGE = 6 * HOUR  # seconds without data of which nobody would expect that the runs are missing
_MIN_RUNS = 3  # runs without a request that are no coincidence
_TEMPLATE = "template:"  # prefix of the step name of a pod for which only the template is known


def data_warnings(
    definition: WorkflowDefinition,
    runs: Sequence[RunRecord],
    now: float,
    figures: RunFigures,
    executed: Sequence[ExecutedRun] = (),
    blind: Sequence[Span] = (),
) -> tuple[str, ...]:
    """Warnings about ``runs`` at ``now`` (unix seconds), one sentence each; empty when the data are plausible.
    ``executed``: the graphs of those that were analysed; ``blind``: spans (unix seconds) in which nothing was seen."""
    groups = (
        clocks.behind(runs, figures),
        clocks.ahead(definition.graph, runs, executed, figures),
        _strange_steps(definition, runs, figures),
        _endless(runs, now),
        _unjudged(definition, runs),
        _unrequested(definition, runs, figures),
        _missed(definition, runs, blind),
        _unstarted(definition, runs, blind),
    )
    return tuple(sentence for sentence in groups if sentence)


def _pods(run: RunRecord) -> tuple[str, ...]:
    """Steps of the run that had a pod."""
    return tuple([e.step for e in run.steps if e.pod is not None])


def _strange_steps(definition: WorkflowDefinition, runs: Sequence[RunRecord], figures: RunFigures) -> str:
    """Steps that ran but are not in the definition: renamed, removed, or created by hand."""
    if definition.graph.inferred or not definition.graph.steps:
        return ""
    # History knows some pods by template only; that is no anomaly while a step uses the template.
    known = {s.name for s in definition.graph.steps} | {f"{_TEMPLATE}{s.template}" for s in definition.graph.steps}
    ran: Counter[str] = Counter()
    for pods in figures.of_each(_pods, runs):
        if not known.issuperset(pods):
            ran.update([step for step in pods if step not in known])
    # Later rounds of a recursion have longer names.
    strange = {name: pods for name, pods in ran.items() if definition.graph.declaring(name) is None}
    if not strange:
        return ""
    names = text.listing([name.removeprefix(_TEMPLATE) for name in sorted(strange)], 3)
    kind = definition.engine.object_kind(definition.key.kind)
    begun = ", or of runs that began at another entrypoint" if kind is not None and kind.referred else ""
    return (
        f"{text.count(sum(strange.values()), 'pod')} ran {names}, which {definition.key.kind} {definition.key.name} "
        f"does not have: renamed or removed since{begun}; they leave the window with their runs"
    )


def _unjudged(definition: WorkflowDefinition, runs: Sequence[RunRecord]) -> str:
    """Runs whose outcome is unknown."""
    unjudged = sum(r.outcome is Outcome.ENDED for r in runs)
    silent = [s.name for s in definition.graph.steps if s.queries and StepQuery.OUTCOME not in s.queries]
    if not unjudged or not silent:
        return ""
    return (
        f"the outcome of {text.count(unjudged, 'run')} is unknown and no part of success figures: add outcomeQuery to"
        f" {text.listing(silent)}"
    )


def _unrequested(definition: WorkflowDefinition, runs: Sequence[RunRecord], figures: RunFigures) -> str:
    """Newest runs without a request of any container, although the definition has some and is theirs, as far as is known."""
    seen = figures.of_each(requests_seen, runs)
    without = 0
    for run, has in sorted(zip(runs, seen, strict=True), key=lambda row: -(row[0].end or row[0].start or 0.0)):
        if has or (has is False and not same_template(run.fingerprint, definition.fingerprint)):
            break
        without += has is False
    if without < _MIN_RUNS:
        return ""
    declared = declared_requests(definition.graph)
    if not any((e.step, c.name) in declared for run in runs for e in run.steps for c in e.containers):
        return ""
    return (
        f"kube_pod_container_resource_requests: requests are unknown in the newest {without} runs, and those of the"
        f" definition are used; keep it in the metric allow-list or relabelling of the kube-state-metrics scrape"
    )


def _missed(definition: WorkflowDefinition, runs: Sequence[RunRecord], blind: Sequence[Span]) -> str:
    """Time of which nothing was read, and in which runs are missing."""
    seconds = missed_seconds(runs, definition, blind)
    if seconds < _OUTAGE:
        return ""
    return (
        f"the metrics source or the operator was down, or there were no pods, for {text.window(seconds)}: runs of that"
        " time are missing, and monthly figures leave it out; keep Prometheus, kube-state-metrics and the operator up"
    )


def _unstarted(definition: WorkflowDefinition, runs: Sequence[RunRecord], blind: Sequence[Span]) -> str:
    """Scheduled starts of which no run was seen, all along. Whether there was one, nobody knows who has metrics only."""
    lacking, due = starts_without_run(definition, runs, blind)
    if not lacking:
        return ""
    queue = definition.declared.get(QUEUE_LABEL)
    admitted = f", and that LocalQueue {queue} admits them" if queue else ""
    return (
        f"{lacking} of {due} scheduled starts have no run, although none was in progress then: monthly figures and gains"
        f" count only runs that were seen; check that kube-state-metrics exposes the pods of every run{admitted}"
    )


def _endless(runs: Sequence[RunRecord], now: float) -> str:
    """Runs in progress for more than a day."""
    long = [r for r in runs if r.outcome is Outcome.RUNNING and r.start is not None and now - r.start > LONG_SECONDS]
    if not long:
        return ""
    oldest = min(long, key=lambda r: r.start or 0.0)
    more = f" and {text.count(len(long) - 1, 'other run')}" if len(long) > 1 else ""
    days = int((now - (oldest.start or 0.0)) // LONG_SECONDS)
    return f"run {oldest.run}{more} has been going on for {days} d or more: it counts when it has ended"
