"""Run records from the status of live Argo Workflows.

The status contains what the history can only reconstruct or does not know at all: edges taken, attempts, cache hits,
skipped branches, exit codes, messages. Times are the controller's; a node starts when the controller creates it, so the
start of its containers is unknown until the metrics contain it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from concertmaster.core.model import ITEM_JOIN, REUSED, Outcome, StepExecution, WorkflowDefinition, WorkflowKey
from concertmaster.engines.argo.daemons import settle_nodes
from concertmaster.engines.argo.definition import material, refers_to_others
from concertmaster.engines.argo.links import Links
from concertmaster.engines.argo.nodes import MAX_ATTEMPTS, dense_attempts
from concertmaster.engines.argo.pods import TEMPLATE_LABELS
from concertmaster.engines.argo.status import Node, read_nodes
from concertmaster.engines.argo.traits import API, template_kind
from concertmaster.engines.common.archived import archived_object
from concertmaster.engines.common.manifest import Problems, fingerprint, flag, mapping, text, timestamp
from concertmaster.engines.common.names import argo_pod_name_of
from concertmaster.engines.common.objects import KubeObject
from concertmaster.engines.inputs import NamedValues, RunValues, annotations_of, parameters_of
from concertmaster.engines.live import LiveRun, RunEnd, few, live_run, not_begun, one_line

_OUTCOMES = {
    "Succeeded": Outcome.SUCCEEDED,
    "Failed": Outcome.FAILED,
    "Error": Outcome.FAILED,
    "Skipped": Outcome.SKIPPED,
    "Omitted": Outcome.SKIPPED,
}
_REASON = re.compile(r"\b(OOMKilled|Evicted|DeadlineExceeded|ImagePullBackOff|ErrImagePull|NodeLost)\b")
# Messages of the controller, and of the kubelet on whole pods: the controller drops the reason beside them.
_BY_MESSAGE = {
    "DeadlineExceeded": re.compile(r"longer than the specified deadline|exceeded (its|workflow) deadline|^timeout$"),
    "Evicted": re.compile(
        r"^(The node was low on resource|The node had condition|Usage of EmptyDir volume|Pod ephemeral local storage usage"
        r"|Container \S+ exceeded its local ephemeral storage limit)"
    ),
    "Preempting": re.compile(r"^Preempted in order to admit"),
    "Terminated": re.compile(r"^Pod was terminated in response to imminent node shutdown"),
}
_SHUTDOWN = re.compile(r"^(workflow shutdown|Stopped) with strategy\b")  # of a node that ``spec.shutdown`` ended
_TAKEN_OVER = re.compile(r"^original pod: ")  # of a node that ``argo resubmit --memoized`` took from another run
_ON_REQUEST = (137, 143)  # exit codes of a container that was asked to terminate, and killed if it did not
_POD_NAMES = "workflows.argoproj.io/pod-name-format"
_ARCHIVED_NUL = "ARGO_POSTGRES_NULL_REPLACEMENT"  # PostgreSQL keeps any text but NUL
ORIGIN_LABELS = tuple(label for label, _ in TEMPLATE_LABELS)
"""Labels of a Workflow that name what it was created from."""


def workflow_of(raw: Mapping[str, Any]) -> WorkflowKey | None:
    """The workflow that a Workflow object is a run of, by the object itself; None if it was not created from a
    template."""
    obj = KubeObject.of(raw)
    name = obj.text_at(obj.spec, "workflowTemplateRef", "name")
    if name is not None:
        ref = mapping(obj.spec.get("workflowTemplateRef"), "workflowTemplateRef", obj.problems)
        return WorkflowKey(obj.namespace, template_kind(ref), name)
    for label, kind in reversed(TEMPLATE_LABELS):  # a CronWorkflow before the template it starts
        value = obj.text_at(obj.meta, "labels", label)
        if value is not None:
            return WorkflowKey(obj.namespace, kind, value)
    return None


def begins_elsewhere(raw: Mapping[str, Any], definition: WorkflowDefinition) -> bool:
    """Whether a Workflow of a template names another entrypoint than its definition, as ``argo submit --entrypoint`` does. A
    Workflow with templates of its own always names one, which its CronWorkflow may have had at that time."""
    spec = KubeObject.of(raw).spec
    own, declared = spec.get("entrypoint"), definition.declared.get("entrypoint")
    return bool(spec.get("workflowTemplateRef") and own and declared) and own != declared


def origins(namespace: str, labels: Mapping[str, str], reference: object = None) -> frozenset[WorkflowKey]:
    """All workflows that a Workflow with these labels, and this ``spec.workflowTemplateRef``, can be a run of by its origin:
    a CronWorkflow that starts a template leaves both of their names. Empty for one that was not created from anything."""
    named = {WorkflowKey(namespace, kind, name) for key, kind in TEMPLATE_LABELS if (name := labels.get(key))}
    if isinstance(reference, Mapping) and isinstance(name := reference.get("name"), str):
        named.add(WorkflowKey(namespace, template_kind(reference), name))
    return frozenset(named)


def names_its_template(labels: Mapping[str, str]) -> bool:
    """Whether the labels of a Workflow are all there is to know of its origin. Before 4.0 the controller gives the label of
    its template only to Workflows that were submitted from it, not to those that refer to it."""
    return any(labels.get(key) for key, kind in TEMPLATE_LABELS if kind != "CronWorkflow")


def archived_workflow(document: str) -> dict[str, Any]:
    """A Workflow as Argo's archive holds it, as the API server gave it out while it existed. Raises ValueError if it is none
    or would take too much memory.

    Argo replaces NUL, which the database does not keep.
    """
    whole = archived_object(document.replace(_ARCHIVED_NUL, "\\u0000"))
    if not isinstance(whole, dict):
        raise ValueError("it is not a Workflow")
    return {**whole, "apiVersion": API, "kind": "Workflow"}


def ended(obj: KubeObject) -> bool:
    """Whether a Workflow has ended."""
    return obj.status.get("phase") in ("Succeeded", "Failed", "Error")


def read_run(raw: Mapping[str, Any], key: WorkflowKey, definition: WorkflowDefinition | None = None) -> LiveRun:
    """The run record of a Workflow object in any state. Never raises, whatever the object contains.

    ``definition`` maps a skipped or cached composite to the steps inside it.
    """
    obj = KubeObject.of(raw)
    nodes = settle_nodes(read_nodes(obj.status, obj.name, obj.problems))
    first_version = _first_version(obj)
    links = Links(nodes, obj.problems)
    steps_of = _steps_of(definition)
    executions = few(
        (e for n in nodes.values() for e in _executions(n, obj.name, links, steps_of, first_version)), obj.problems
    )
    outcome = _OUTCOMES.get(str(obj.status.get("phase")), Outcome.RUNNING)
    if obj.spec.get("shutdown") in ("Stop", "Terminate"):  # by a user, or by the next run of a CronWorkflow
        executions = [_stopped(e) for e in executions]
        outcome = Outcome.UNKNOWN if outcome is Outcome.FAILED else outcome
    if outcome is not Outcome.RUNNING and any(e.reason == REUSED for e in executions):
        outcome = Outcome.UNKNOWN
    if links.beyond:
        executions = [replace(e, ready=None, after=None) for e in executions]
    if outcome is not Outcome.RUNNING:
        executions = [_left(e, timestamp(obj.status.get("finishedAt"))) for e in executions]
    end = RunEnd(outcome, one_line(obj.status.get("message")))
    steps = dense_attempts(executions)
    run = live_run(obj, key, steps, end, started="startedAt", finished="finishedAt", complete=bool(nodes))
    pauses, suspended = _pause(steps, run.started), flag(obj.spec.get("suspend"))
    if suspended and outcome is Outcome.RUNNING:
        pauses += _suspended(steps)
    record = replace(run.record, fingerprint=_fingerprint(obj.spec, definition), pauses=pauses)
    run = replace(run, record=record)
    return not_begun(run) if not steps and suspended else run  # suspended since its creation


def _pause(executions: Iterable[StepExecution], started: float | None) -> tuple[tuple[float, float], ...]:
    """The time before the last ``argo retry``, which begins the time of the run anew and keeps the nodes that succeeded.
    The pods it removed may have ended later than those."""
    if started is None:
        return ()
    kept = [e.finished for e in executions if e.created is not None and e.created < started]
    last = max((end for end in kept if end is not None), default=started)
    return ((last, started),) if last < started else ()


def _suspended(executions: Sequence[StepExecution]) -> tuple[tuple[float, float], ...]:
    """A pause that has begun: ``argo suspend`` lets pods end and creates no others. The object of a run that was resumed has
    nothing of it any more."""
    ends = [e.finished for e in executions if e.finished is not None]
    return ((max(ends), max(ends)),) if ends and len(ends) == len(executions) else ()


def _fingerprint(spec: Mapping[str, Any], definition: WorkflowDefinition | None) -> str | None:
    """That of the definition a run is of, by its own spec; None where this does not say. The controller writes its
    ``workflowDefaults`` into it: where these are not known, a spec that differs may be of the definition all the same."""
    if refers_to_others(spec):
        return None
    own = fingerprint([material(spec), []])
    return own if definition is None or definition.complete or own == definition.fingerprint else None


def run_values(raw: Mapping[str, Any]) -> RunValues:
    """Parameters and annotations of a Workflow, and the parameters of each of its pods. Values of the run override the
    defaults of its template."""
    obj = KubeObject.of(raw)
    stored = mapping(obj.status.get("storedWorkflowTemplateSpec"), "storedWorkflowTemplateSpec", obj.problems)
    parameters: dict[str, str] = {}
    for spec in (stored, obj.spec):
        parameters |= _parameters(spec.get("arguments"))
    nodes = read_nodes(obj.status, obj.name, obj.problems)
    first_version = _first_version(obj)
    pods = {
        _pod(n, obj.name, first_version): NamedValues(parameters=_parameters(n.raw.get("inputs")))
        for n in nodes.values()
        if n.kind == "Pod"
    }
    return RunValues(NamedValues(parameters=parameters, annotations=annotations_of(raw)), pods)


def _parameters(holder: object) -> dict[str, str]:
    return parameters_of(holder.get("parameters"), "parameters") if isinstance(holder, Mapping) else {}


def _first_version(obj: KubeObject) -> bool:
    """Whether the run's pods are named by the scheme of Argo before 3.2."""
    return obj.text_at(obj.meta, "annotations", _POD_NAMES) == "v1"


def _executions(
    node: Node, run: str, links: Links, steps_of: Callable[[str], tuple[str, ...]], first_version: bool
) -> Iterator[StepExecution]:
    """Executions that one node represents: none for composites, several for a composite that was skipped or cached.
    ``steps_of``: the steps of the graph that a task name represents."""
    if node.composite or node.kind == "Container":
        return
    ready, after = links.before(node)
    if ready is not None and node.started is not None:  # a retry begins the composites around it anew
        ready = min(ready, node.started)
    if after is not None and any(steps_of(name) != (name,) for name in after):
        after = tuple(sorted({step for name in after for step in steps_of(name)}))
    message = one_line(node.raw.get("message"))
    cached = node.cache_hit
    outcome = Outcome.CACHED if cached else _OUTCOMES.get(node.phase, Outcome.RUNNING)
    inputs = node.raw.get("inputs")
    code = node.exit_code
    base = StepExecution(
        step=".".join(node.key),
        item=ITEM_JOIN.join(node.items) or None,
        attempt=_attempt(node.attempts),
        pod=_pod(node, run, first_version) if node.kind == "Pod" and not cached else None,
        node=text(node.raw.get("hostNodeName"), "hostNodeName", Problems()),
        ready=ready,
        created=node.started,
        serving=node.finished if node.daemoned else None,
        finished=node.finished,
        outcome=outcome,
        reason=_reason(message, code) if outcome is Outcome.FAILED else _taken_over(node, message),
        input_fingerprint=fingerprint([_template(node), inputs]) if inputs else None,
        cache_hit=cached,
        after=after,
        exit_code=code,
        message=message,
    )
    if not base.step:
        base = replace(base, step=_template(node) or "main")
    for step in steps_of(base.step) if node.kind != "Pod" or cached else (base.step,):
        yield replace(base, step=step)


def _left(e: StepExecution, end: float | None) -> StepExecution:
    """A step that was running when its Workflow failed, for example together with a daemon: the controller does not
    update its node, so its outcome is unknown."""
    if e.outcome is not Outcome.RUNNING:
        return e
    finished = e.finished if e.finished is not None else end
    return replace(e, outcome=Outcome.UNKNOWN, finished=finished, reason=e.reason or "NotFollowed")


def _stopped(e: StepExecution) -> StepExecution:
    """An execution of a Workflow that was stopped or terminated. What ended by that has neither succeeded nor failed; the
    controller replaces its message once it sees the exit code of the pod."""
    if e.outcome is not Outcome.FAILED:
        return e
    ended = _SHUTDOWN.match(e.message or "") or (e.reason == "Error" and e.exit_code in _ON_REQUEST)
    return replace(e, outcome=Outcome.UNKNOWN, reason="Stopped") if ended else e


def _attempt(attempts: Sequence[int]) -> int:
    number = 0
    for n in attempts:
        number = number * MAX_ATTEMPTS + n
    return number


def _steps_of(definition: WorkflowDefinition | None) -> Callable[[str], tuple[str, ...]]:
    """A function that returns the steps of the graph that a task name represents: the task itself, or everything inside
    it."""
    steps = definition.graph.steps if definition is not None else ()
    below: dict[str, list[str]] = {}
    for step in steps:
        for place, sign in enumerate(step.name if not step.on_exit else ""):
            if sign == ".":
                below.setdefault(step.name[:place], []).append(step.name)
    inside = {key: tuple(names) for key, names in below.items()} | {step.name: (step.name,) for step in steps}
    return lambda key: inside.get(key, (key,))


def _template(node: Node) -> str | None:
    ref = node.raw.get("templateRef")
    name = ref.get("template") if isinstance(ref, Mapping) else node.raw.get("templateName")
    return name if isinstance(name, str) and name else None


def _pod(node: Node, run: str, first_version: bool) -> str:
    return argo_pod_name_of(run, node.name, None if first_version else _template(node))


def _taken_over(node: Node, message: str | None) -> str | None:
    """The reason of a node whose pod was another run's."""
    return REUSED if node.kind == "Skipped" and _TAKEN_OVER.match(message or "") else None


def _reason(message: str | None, code: int | None) -> str | None:
    match = _REASON.search(message or "")
    if match:
        return match.group(1)
    reason = next((reason for reason, pattern in _BY_MESSAGE.items() if pattern.search(message or "")), None)
    return reason or ("Error" if code else message)
