"""Argo runs, steps, items and attempts derived from pods alone.

A pod carries the run (its owner's name) and, in its own name, the template and a hash of the node name. The hash is
matched against the node names that the definition can produce; without a match only the template identifies the step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from concertmaster.core.model import UNKNOWN_STEP, PodFact, RunRecord, StepExecution, WorkflowDefinition, WorkflowKey
from concertmaster.engines.argo.nodes import NodeMatch, NodeNames
from concertmaster.engines.argo.traits import ARGO
from concertmaster.engines.common.executions import execution
from concertmaster.engines.common.names import (
    ArgoPodName,
    argo_pod_name,
    belongs_to,
    fnv32a,
    generated_base,
    scheduled_base,
)
from concertmaster.engines.common.placing import AssignedPod, Candidates, Context, Placement, UnassignedPod
from concertmaster.engines.common.runs import nearest, possible, selects_run
from concertmaster.engines.common.selectors import label_value

_NO_POD_FITS = (
    "the run's name fits a known Argo template, but none of its pods does (it was another when it ran, it began at another"
    " entrypoint, or workflowDefaults of the controller add retries and are not read)"
)
_NO_TEMPLATE = "no known Argo template's name starts the run's name, and no label names one"
_EXECUTOR = frozenset({"wait", "init", "supervisor"})
TEMPLATE_LABELS = (
    ("workflows.argoproj.io/workflow-template", "WorkflowTemplate"),
    ("workflows.argoproj.io/cluster-workflow-template", "ClusterWorkflowTemplate"),
    ("workflows.argoproj.io/cron-workflow", "CronWorkflow"),
)
"""Pod labels that name the object a run was created from, with the kind of that object."""


def place(facts: Sequence[PodFact], candidates: Candidates, context: Context) -> Iterator[Placement]:
    """Assign pods owned by Workflows. All pods of a run are assigned to one definition, or rejected together."""
    runs: dict[str, list[PodFact]] = {}
    for fact in facts:
        if fact.owner_name:
            runs.setdefault(fact.owner_name, []).append(fact)
        else:
            yield UnassignedPod(fact, "pod of a Workflow whose name is unknown", ARGO)
    for run, pods in sorted(runs.items()):
        yield from _place_run(run, pods, candidates, context.recognised.get((pods[0].namespace, run)))


def _place_run(
    run: str, pods: list[PodFact], candidates: Candidates, recognised: WorkflowKey | None
) -> Iterator[Placement]:
    """Placements of the pods of one run: in the workflow that a label or earlier pods of it name, else in the one that
    explains most of the pods' names, else in the nearest of those that may have any names."""
    names = {f.uid: argo_pod_name(run, f.pod) for f in pods}
    for f in pods:
        if _helps(f, names[f.uid]):
            yield UnassignedPod(f, "a helper pod of Argo (agent or artifact garbage collection)")
    pods = [f for f in pods if not _helps(f, names[f.uid])]
    if not pods:
        return
    labelled = _by_label(pods, candidates) or candidates.known(recognised)
    known, tried = (NodeNames(run, labelled), []) if labelled is not None else _by_names(run, pods, names, candidates)
    if known is not None:
        yield from _in_definition(pods, names, known)
        return
    reason = _NO_POD_FITS if tried else _NO_TEMPLATE
    near = tuple(d.key for d in tried)
    for f in pods:
        yield UnassignedPod(f, reason, ARGO if tried else None, near or possible("Workflow", run, f, candidates))


def _by_names(
    run: str, pods: Sequence[PodFact], names: Mapping[str, ArgoPodName | None], candidates: Candidates
) -> tuple[NodeNames | None, list[WorkflowDefinition]]:
    """The names of the nodes of the definition that the pods' names fit best, or of the nearest of those that may have any
    names; and the definitions that name such runs."""
    best: tuple[tuple[int, int], NodeNames] | None = None
    loose = [d for d in candidates.inferred if any(selects_run(d, "Workflow", run, f.labels) for f in pods)]
    tried: list[WorkflowDefinition] = []
    for definition in candidates.fitting(run):
        prefix = None if definition.graph.inferred else belongs_to(run, definition.run_prefixes)
        if prefix is None:
            continue
        known = NodeNames(run, definition)
        hits = sum(1 for f in pods if _confirms(run, prefix, names[f.uid], known))
        tried.append(definition)
        if hits and (best is None or (hits, len(prefix)) > best[0]):
            best = ((hits, len(prefix)), known)
        elif not hits and _made_from(run, prefix) and _all_dynamic([names[f.uid] for f in pods], definition):
            loose.append(definition)
    if best is not None:
        return best[1], tried
    chosen = nearest(run, sorted(loose, key=lambda d: (d.key.kind, d.key.name)))
    return (NodeNames(run, chosen) if chosen is not None else None), tried


def _helps(fact: PodFact, name: ArgoPodName | None) -> bool:
    """Whether a pod of a run is none of its steps. The agent runs the ``http`` and plugin steps of the whole run."""
    return fact.pod.endswith("-agent") or (name is not None and (name.template or "").startswith("artgc-"))


def _by_label(pods: Iterable[PodFact], candidates: Candidates) -> WorkflowDefinition | None:
    """The definition named by a pod label that kube-state-metrics is configured to export."""
    for fact in pods:
        for label, kind in TEMPLATE_LABELS:
            value = label_value(fact.labels, label)
            if value is not None:
                definition = candidates.named(kind, value)
                if definition is None and kind == "CronWorkflow":
                    definition = candidates.triggers.get(value)
                if definition is not None:
                    return definition
    return None


def _confirms(run: str, prefix: str, name: ArgoPodName | None, known: NodeNames) -> bool:
    """Whether one pod confirms that the run belongs to this definition."""
    if name is None:
        return False
    if name.root:  # no hash to compare: require that the run's name looks generated from the template's
        return known.root() is not None and _made_from(run, prefix)
    return known.find(name) is not None


def _made_from(run: str, prefix: str) -> bool:
    stripped = prefix.rstrip("-")
    return run == prefix or stripped in (generated_base(run), scheduled_base(run))


def _all_dynamic(names: Iterable[ArgoPodName | None], definition: WorkflowDefinition) -> bool:
    """Whether every pod may belong to a step that fans out over items only known at run time: no hash can confirm
    those, and during a long fan-out an analysis cycle may see no other pods."""
    templates = [s.template or "" for s in definition.graph.steps if any(p.items is None for p in s.path)]
    return all(n is not None and not n.root and any(n.may_be(t) for t in templates) for n in names)


def _in_definition(
    pods: Iterable[PodFact], names: Mapping[str, ArgoPodName | None], known: NodeNames
) -> Iterator[Placement]:
    run, definition = known.run, known.definition
    for fact in pods:
        name = names[fact.uid]
        if name is None:
            yield UnassignedPod(fact, "the pod is not named after its Workflow", ARGO)
            continue
        match = known.root() if name.root else known.find(name)
        yield AssignedPod(
            definition.key, run, _execution(fact, match) if match else _by_template(fact, name, run, definition)
        )


def _by_template(fact: PodFact, name: ArgoPodName, run: str, definition: WorkflowDefinition) -> StepExecution:
    """A pod whose node name is not among the known ones: only the template can identify the step. The hash serves as
    item, so that pods that cannot be distinguished (items of withParam, rounds of a recursion) do not count as attempts
    of one."""
    fits = [s for s in definition.graph.steps if name.template is not None and name.may_be(s.template or "")]
    if definition.graph.inferred:
        step = fits[0].name if len(fits) == 1 else name.template or ("main" if name.root else f"{UNKNOWN_STEP}unknown")
        return execution(fact, step, *_guess(run, name), beside=_EXECUTOR)
    item = None if name.hash is None else f"#{name.hash}"
    dynamic = [s for s in fits if s.fan_out and (s.width is None or any(p.items is None for p in s.path))]
    for steps in (dynamic, fits):
        if len(steps) == 1:
            return _execution(fact, NodeMatch(steps[0], item, 0))
    return execution(fact, f"{UNKNOWN_STEP}{name.template or 'unknown'}", item, beside=_EXECUTOR)


def _guess(run: str, name: ArgoPodName) -> tuple[str | None, int]:
    """Item and attempt without a declaration, assuming that the task is named like its template."""
    if name.hash is None or not name.template:
        return None, 0
    start = fnv32a(run)
    for text in (f".{name.template}", *(f"[{g}].{name.template}" for g in range(20))):
        state = fnv32a(text, start)
        if state == name.hash:
            return None, 0
        for attempt in range(8):
            if fnv32a(f"({attempt})", state) == name.hash:
                return None, attempt
    return f"#{name.hash}", 0


def _execution(fact: PodFact, match: NodeMatch) -> StepExecution:
    step = match.step
    main = tuple(c.name for c in step.containers if not c.sidecar and not c.init)
    seen = {c.name for c in fact.containers}
    beside = _EXECUTOR | step.sidecars
    working = main if seen & set(main) else ()
    return execution(fact, step.name, match.item, match.attempt, main=working, beside=beside, daemon=step.daemon)


def as_in_history(record: RunRecord, definition: WorkflowDefinition) -> RunRecord:
    """``record`` with its steps renamed as in the history, so that runs from both sources have the same steps.

    Only needed for runs without a declared graph: pods show only the template, a live Workflow also the task.
    """
    if not definition.graph.inferred:
        return record
    anyone = replace(definition, run_prefixes=(record.run,), run_selector=())
    facts = [
        PodFact(record.workflow.namespace, e.pod, str(i), owner_kind="Workflow", owner_name=record.run)
        for i, e in enumerate(record.steps)
        if e.pod is not None
    ]
    placed = [p for p in place(facts, Candidates([anyone]), Context()) if isinstance(p, AssignedPod)]
    names = {record.steps[int(p.execution.uid or 0)].step: p.execution.step for p in placed}
    steps = tuple(
        replace(
            e,
            step=names.get(e.step, e.step),
            after=tuple(dict.fromkeys(names.get(a, a) for a in e.after)) if e.after is not None else None,
        )
        for e in record.steps
    )
    return replace(record, steps=steps)
