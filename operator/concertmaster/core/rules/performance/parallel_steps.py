"""``parallel-steps``: steps that wait for another without receiving data from it.

A declared edge that carries no data (parameter, artifact, shared volume or condition) may be unnecessary. Only steps that
read from some other step are considered: a step that gets its data from a bucket or a table shows nothing by what it does
not reference. Nor does a predecessor whose data no step reads: tests before a deployment are there to be waited for. The
gain is replayed without the edge: the step then starts together with its predecessor, which exposes what really delays the
run.
"""

from __future__ import annotations

from collections.abc import Iterator

from concertmaster.core import text
from concertmaster.core.analysis.replay import WhatIf
from concertmaster.core.lifecycle import commands
from concertmaster.core.model import Category, Edit, Finding, Interval, Level, StepSpec
from concertmaster.core.model.enums import RuleName
from concertmaster.core.rules.base import Rule, gain_sentence
from concertmaster.core.rules.evidence import Evidence


def _edits(after: StepSpec, before: StepSpec) -> tuple[Edit, ...]:
    """Replaces the predecessor in the task's dependencies by those of the predecessor. Only for two tasks of one DAG with
    plain lists: anything else needs a manual change."""
    listed = after.task.get("dependencies")
    own = before.task.get("dependencies", [])
    if (
        after.task_pointer is None
        or before.task_pointer is None
        or not isinstance(listed, list)
        or not isinstance(own, list)
    ):
        return ()
    same = after.task_pointer.rpartition("/")[0] == before.task_pointer.rpartition("/")[0]
    gone = before.name.rpartition(".")[2]
    if not same or gone not in listed or "depends" in after.task:
        return ()
    left = [n for n in listed if n != gone]
    left += [n for n in own if n not in left]
    return (commands.field_edit(f"{after.task_pointer}/dependencies", listed, left),)


def _finding(evidence: Evidence, after: StepSpec, before: StepSpec, share: Interval, seconds: Interval) -> Finding:
    edits = _edits(after, before)
    runs = sum(1 for run in evidence.recent() if run.usable and {after.name, before.name} <= run.pods.keys())
    first, second = (evidence.analysis.step(n) for n in (before.name, after.name))
    times = [text.duration(s.duration.p50) for s in (first, second) if s is not None]
    return Finding(
        step=after.name,
        about=f"{before.name}.{after.name}",
        action=f"Run {before.name} and {after.name} in parallel",
        because=(
            f"no data is passed between them, yet {after.name} waited for {before.name} {evidence.recent_runs(runs)}; they"
            f" take {' and '.join(times)} (medians)"
        ),
        otherwise=f"each run takes {text.duration(seconds.likely)} longer than its dependencies require",
        risk=Level.MEDIUM,
        effort=Level.LOW if edits else Level.MEDIUM,
        current=f"{after.name} after {before.name}",
        proposed="side by side",
        expected=gain_sentence(share, seconds),
        confidence=0.6,
        gain_seconds=seconds,
        gain_share=share,
        edits=edits,
        evidence=(
            "no parameter, artifact, condition or shared volume goes from one to the other; effects outside the"
            " workflow"
            " (a table, a bucket) cannot be seen from here: check them first",
            "replayed without the edge, with the limits and nodes as they were",
        ),
    )


def evaluate(evidence: Evidence) -> Iterator[Finding]:
    """The edges without data whose removal shortens the run most, at most ``maxEdges``."""
    analysis = evidence.analysis
    graph = analysis.definition.graph
    if graph.inferred:
        return
    specs = {s.name: s for s in graph.steps}
    read = {name for s in graph.steps if not s.on_exit for name in s.reads}
    findings: list[Finding] = []
    for after in graph.steps:
        path = analysis.step(after.name)
        if after.on_exit or path is None or path.path is None or path.path.drag <= 0:
            continue  # a step with no impact on run duration gains nothing by starting earlier
        if not after.reads:
            continue  # it reads from no other step: its data are external, possibly also those behind this edge
        for name in after.ordering_only:
            before = specs.get(name)
            if before is None or before.daemon or name not in read:
                continue  # a step whose data nobody reads may be a check, such as the tests before a deployment
            gains = evidence.worth(WhatIf.drop_edge(name, after.name), evidence.settings.number("minGainPercent", 5.0))
            if gains is not None:
                findings.append(_finding(evidence, after, before, *gains))
    findings.sort(key=lambda f: (-(f.gain_share.likely if f.gain_share else 0.0), f.about or ""))
    yield from findings[: int(evidence.settings.number("maxEdges", 3))]


RULE = Rule(
    RuleName.PARALLEL_STEPS,
    evaluate,
    Category.PERFORMANCE,
    Level.LOW,
    tie_break=9,
    settings=("maxEdges", "minGainPercent"),
)
