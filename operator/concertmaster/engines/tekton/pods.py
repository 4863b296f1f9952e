"""Tekton runs, tasks, matrix items and attempts derived from pods.

With the tekton.dev labels in the allow-list of kube-state-metrics this is exact. Without them only the TaskRun's name
is known, "<run>-<task>" or "<run>-<task>-<n>", which is matched against the known pipelines; names that Tekton had to
shorten cannot be parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from concertmaster.core.model import PodFact, StepExecution, StepSpec, WorkflowDefinition
from concertmaster.engines.common.executions import execution
from concertmaster.engines.common.names import belongs_to, generated_base
from concertmaster.engines.common.placing import AssignedPod, Candidates, Context, Placement, UnassignedPod
from concertmaster.engines.common.runs import possible, selected
from concertmaster.engines.common.selectors import label_value
from concertmaster.engines.tekton.traits import TEKTON

LABELS = _PIPELINE, _RUN, _TASK = "tekton.dev/pipeline", "tekton.dev/pipelineRun", "tekton.dev/pipelineTask"
_NO_LABELS = "no tekton.dev labels (allow-list them), and its TaskRun's name fits no observed Pipeline"
_RETRY = re.compile(r"-retry(\d{1,4})$")
_NUMBER = re.compile(r"-(\d+)$")


@dataclass(frozen=True, slots=True)
class _Read:
    definition: WorkflowDefinition
    run: str
    step: str
    item: str | None


def place(facts: Sequence[PodFact], candidates: Candidates, context: Context) -> Iterator[Placement]:
    """Assign pods owned by TaskRuns."""
    for fact in facts:
        run = label_value(fact.labels, _RUN)
        read = _labelled(fact, run, candidates, context) if run is not None else _named(fact, candidates)
        if read is None:
            if run is not None:
                near = possible("PipelineRun", run, fact, candidates)
                yield UnassignedPod(fact, "its PipelineRun belongs to no observed Pipeline", near=near)
            else:
                yield UnassignedPod(fact, _NO_LABELS, TEKTON)
            continue
        yield AssignedPod(read.definition.key, read.run, _execution(fact, read))


def _labelled(fact: PodFact, run: str, known: Candidates, context: Context) -> _Read | None:
    pipeline = label_value(fact.labels, _PIPELINE)
    definition = known.named("Pipeline", pipeline)
    if definition is None:
        definition = selected("PipelineRun", run, fact, known, context)
    task = label_value(fact.labels, _TASK)
    if definition is None or task is None:
        return None
    spec = definition.graph.step(task)
    tail = (fact.owner_name or "")[len(run) :]
    number = _NUMBER.search(tail)
    fans_out = spec.fan_out if spec is not None else tail != f"-{task}"
    item = number.group(1) if number and fans_out and tail != f"-{task}" else None
    return _Read(definition, run, task, item)


def _named(fact: PodFact, known: Candidates) -> _Read | None:
    """The longest task name that the TaskRun's name ends in, if the rest is the name of a run of that pipeline."""
    name = fact.owner_name or ""
    number = _NUMBER.search(name)
    indexed = (name[: number.start()], number.group(1)) if number is not None else ("", None)
    best: _Read | None = None
    for definition in known.fitting(name):
        for spec in definition.graph.steps:
            # Compared as text: patterns of hundreds of tasks would be compiled for each pod.
            (head, item), tail = indexed if spec.fan_out else (name, None), f"-{spec.name}"
            if len(head) <= len(tail) or not head.endswith(tail) or not _is_run(head[: -len(tail)], definition):
                continue
            if best is None or len(spec.name) > len(best.step):
                best = _Read(definition, head[: -len(tail)], spec.name, item)
    return best


def _is_run(run: str, definition: WorkflowDefinition) -> bool:
    prefix = belongs_to(run, definition.run_prefixes)
    if prefix is None:
        return False
    return run == prefix or generated_base(run) == prefix.rstrip("-") or run[len(prefix) + 1 :].isdigit()


def _execution(fact: PodFact, read: _Read) -> StepExecution:
    spec = read.definition.graph.step(read.step) or StepSpec(read.step)
    sidecars = spec.sidecars | {c.name for c in fact.containers if c.name.startswith("sidecar-")}
    retry = _RETRY.search(fact.pod)
    return execution(fact, read.step, read.item, int(retry.group(1)) if retry else 0, beside=sidecars)
