"""The operator's records beside the truth: what differs, run by run, live and from history alone."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field

from benchmarks.torture.bed import NAMESPACE, SCRAPE_SECONDS, Play, names
from benchmarks.torture.parts import Object
from benchmarks.torture.truth import Key, Leaf, Truth, chain_faults, drag, near, unix
from benchmarks.torture.truth_argo import ArgoRun
from benchmarks.torture.truth_others import ended, job_run, pipeline_run, set_run
from concertmaster.core.analysis.replay import critical_chain, executed
from concertmaster.core.analysis.replay.critical import step_drag
from concertmaster.core.model import Outcome, RunRecord, StepExecution, WorkflowDefinition, WorkflowKey
from concertmaster.engines import Claims, assign, run_kind
from concertmaster.engines import complete as whole_definition
from concertmaster.engines.define import define_all
from concertmaster.engines.labels import labels_in_use
from concertmaster.engines.runs import build_runs
from concertmaster.history import Store
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.reading import Collection, collect
from concertmaster.settings import Source
from testbed.prometheus import PrometheusServer

DRAG_SECONDS = 2.0  # times are whole seconds, at both ends
NODE_NAME = "workflows.argoproj.io/node-name"


@dataclass
class Row:
    """One workflow: how many runs there were, and what was wrong with which of them."""

    workflow: str
    runs: int = 0
    live: dict[str, list[str]] = field(default_factory=dict)
    history: dict[str, list[str]] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)


def profiles() -> list[Object]:
    """WorkflowProfiles that pick the Jobs and JobSets of the set."""
    kinds = {"jb": ("batch/v1", "Job"), "js": ("jobset.x-k8s.io/v1alpha2", "JobSet")}
    return [
        {
            "apiVersion": "concertmaster.dev/v1alpha1",
            "kind": "WorkflowProfile",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "runSelector": {"apiVersion": kinds[name[:2]][0], "kind": kinds[name[:2]][1], "namePrefix": f"{name}-"}
            },
        }
        for name in names()
        if name[:2] in kinds and name[2] == "-"
    ]


def truths(play: Play) -> dict[str, Truth]:
    """Every run that ended, as its engine has it."""
    found: dict[str, Truth] = {}
    pods, task_runs = list(play.pods.values()), list(play.objects.get("TaskRun", {}).values())
    for kind in ("Workflow", "PipelineRun", "Job", "JobSet"):
        for name, raw in play.objects.get(kind, {}).items():
            workflow = name.rpartition("-r")[0]
            if not workflow or raw["metadata"].get("ownerReferences"):
                continue
            if kind == "Workflow":
                found[name] = ArgoRun(raw).truth(workflow)
            elif kind == "PipelineRun":
                found[name] = pipeline_run(raw, task_runs, workflow)
            else:
                found[name] = (job_run if kind == "Job" else set_run)(raw, pods, workflow)
    return found


def definitions_of(play: Play) -> dict[WorkflowKey, WorkflowDefinition]:
    """The workflows of the play, as its objects declare them."""
    objects = [o for kind in ("WorkflowTemplate", "Pipeline") for o in play.objects.get(kind, {}).values()]
    return {d.key: d for d in define_all([*objects, *profiles()], cluster_namespaces=[NAMESPACE]).definitions}


def collected(play: Play, prometheus: PrometheusServer) -> Collection:
    """What the metrics know of the play."""
    until = time.time()
    source = {"name": "default", "url": prometheus.url, "scrapeInterval": f"{SCRAPE_SECONDS}s"}
    client = PrometheusClient(Source.model_validate(source))
    return collect(
        client,
        namespaces=[NAMESPACE],
        since=play.begun - 60,
        until=until,
        now=until + client.source.delay_seconds,
        label_keys=labels_in_use(definitions_of(play).values()).keys,
    )


def compare(play: Play, metrics: Collection) -> list[Row]:
    """A row for each workflow of the play."""
    definitions = definitions_of(play)
    placed = assign(metrics.facts, definitions.values(), job_owners=metrics.job_owners).executions
    rows: dict[str, Row] = {}
    found = truths(play)
    leaf_of = _leaf_of_pods(play, found)
    for name, truth in sorted(found.items()):
        row = rows.setdefault(truth.workflow, Row(truth.workflow))
        row.runs += 1
        raw = next(
            play.objects[k][name]
            for k in ("Workflow", "PipelineRun", "Job", "JobSet")
            if name in play.objects.get(k, {})
        )
        definition = Claims(definitions.values()).of(raw)
        if definition is None or definition.key.name != truth.workflow:
            row.live[name] = [f"taken for a run of {definition.key if definition else 'nobody'}"]
            continue
        live = run_kind(raw).read(raw, _children(raw, play), definition.key, definition)  # type: ignore[union-attr]
        faults = [] if live.complete else [f"not complete: {live.problems or live.reason}"]
        faults += _live_faults(truth, live.record, leaf_of)
        executions = placed.get(definition.key, {}).get(name, ())
        joined = _joined(definition, {name: executions} if executions else {}, live.record)
        if joined is not None and not faults:
            faults += _path_faults(_with_pods(truth, play, leaf_of), joined, definition, leaf_of)
        if faults:
            row.live[name] = faults
        built = build_runs(definition.key, name, executions, definition)
        if others := [k for k, runs in placed.items() if name in runs and k != definition.key]:
            row.history[name] = [f"also placed in {others}"]
        elif faults := _history_faults(truth, built, definition, leaf_of, play, row):
            row.history[name] = faults
    return list(rows.values())


def _leaf_of_pods(play: Play, found: Mapping[str, Truth]) -> dict[str, tuple[str, Key]]:
    """Run and leaf by uid and by name of the pods."""
    by_name: dict[tuple[str, str], Key] = {
        (t.run, leaf.pod): k for t in found.values() for k, leaf in t.leaves.items() if leaf.pod
    }
    out: dict[str, tuple[str, Key]] = {}
    for uid, pod in play.pods.items():
        meta = pod["metadata"]
        known = [meta.get("annotations", {}).get(NODE_NAME), meta["name"]]
        for run in {meta.get("labels", {}).get("workflows.argoproj.io/workflow"), *_runs_in(meta)}:
            for name in known:
                if run and name and (run, name) in by_name:
                    out[uid] = out[meta["name"]] = (run, by_name[run, name])
    return out


def _with_pods(truth: Truth, play: Play, leaf_of: Mapping[str, tuple[str, Key]]) -> Truth:
    """The run with the times of its pods, where it had any: those are the times of the operator's records."""
    found = deepcopy(truth)
    for uid, (run, key) in leaf_of.items():
        if run == truth.run and uid in play.pods:
            pod, leaf = play.pods[uid], found.leaves[key]
            leaf.begun = unix(pod["metadata"]["creationTimestamp"])
            if "deletionTimestamp" not in pod["metadata"]:  # else the metrics may not have seen its end
                leaf.ended = ended(pod) or leaf.ended
    for key, at in found.free.items():
        found.leaves[key].ended = at
    return found


def _runs_in(meta: Object) -> list[str]:
    labels = meta.get("labels", {})
    keys = ("tekton.dev/pipelineRun", "jobset.sigs.k8s.io/jobset-name", "batch.kubernetes.io/job-name")
    return [labels[k] for k in keys if k in labels]


def _children(raw: Object, play: Play) -> list[Object]:
    name, label = (
        raw["metadata"]["name"],
        {"PipelineRun": "tekton.dev/pipelineRun", "JobSet": "jobset.sigs.k8s.io/jobset-name"},
    )
    things: Iterable[Object] = (
        play.objects.get("TaskRun", {}).values() if raw["kind"] == "PipelineRun" else play.pods.values()
    )
    return [t for t in things if t["metadata"].get("labels", {}).get(label.get(raw["kind"], "job-name")) == name]


def _joined(
    definition: WorkflowDefinition, executions: Mapping[str, tuple[StepExecution, ...]], live: RunRecord
) -> RunRecord | None:
    with Store(":memory:") as store:
        key: WorkflowKey = definition.key
        store.add({key: executions} if executions else {}, records=[live])
        found = store.runs(key, definition=definition)
        return found[0] if len(found) == 1 else None


def _keyed(truth: Truth, e: StepExecution, leaf_of: Mapping[str, tuple[str, Key]]) -> Key:
    """The key of an execution; of one whose item nobody can know the one its pod has."""
    own = (e.step, e.item, e.attempt)
    known = leaf_of.get(e.uid or "") or leaf_of.get(e.pod or "")
    if known is not None and known[0] == truth.run and (own in truth.leaves or (e.item or "").startswith("#")):
        return known[1] if (e.item or "").startswith("#") or known[1][1] is None else own
    return own


def _live_faults(truth: Truth, record: RunRecord, leaf_of: Mapping[str, tuple[str, Key]]) -> list[str]:
    faults = [] if record.outcome.value == truth.outcome else [f"outcome {record.outcome.value}, true {truth.outcome}"]
    if not near(record.run_time, lasted := truth.lasted(), 2.0):
        faults.append(f"run time {record.run_time}, true {lasted}")
    found = {(e.step, e.item, e.attempt): e for e in record.steps}
    if len(found) != len(record.steps):
        faults.append("a step, item and attempt twice")
    faults += [f"{key} is missing" for key in sorted(set(truth.leaves) - set(found), key=str)]
    faults += [f"{key} is made up" for key in sorted(set(found) - set(truth.leaves), key=str)]
    for key in set(found) & set(truth.leaves):
        faults += _same(found[key], truth.leaves[key])
    return faults


def _same(e: StepExecution, leaf: Leaf) -> list[str]:
    faults = [] if e.outcome.value == leaf.outcome else [f"{leaf.key}: {e.outcome.value}, true {leaf.outcome}"]
    if leaf.ran and leaf.begun is not None and not near(e.created, leaf.begun):
        faults.append(f"{leaf.key}: created {_apart(e.created, leaf.begun)}")
    if leaf.ran and not near(e.finished, leaf.ended):
        faults.append(f"{leaf.key}: finished {_apart(e.finished, leaf.ended)}")
    return faults


def _apart(told: float | None, true: float | None) -> str:
    return f"{told}, true {true}" if told is None or true is None else f"{told - true:+.0f} s"


def _path_faults(
    truth: Truth, record: RunRecord, definition: WorkflowDefinition, leaf_of: Mapping[str, tuple[str, Key]]
) -> list[str]:
    """What is wrong with the critical chain, and with the drag of its steps where nothing limits the run."""
    graph = whole_definition(definition, [record])[0].graph
    run = executed(record, graph)
    if not run.usable:
        ran = any(leaf.ran for leaf in truth.leaves.values())
        return [f"no chain: {'; '.join(run.problems)}"] if ran else []
    chain = [_keyed(truth, record.steps[a.source], leaf_of) for a in critical_chain(run)]
    faults = chain_faults(truth, chain)
    if faults:
        return [*faults, f"chain {' > '.join(k[0] + (f'({k[1]})' if k[1] else '') for k in chain)}"]
    if run.limits:
        return []
    told = step_drag(run)
    for step in dict.fromkeys(k[0] for k in chain):
        true = drag(truth, step)
        if abs(told.get(step, 0.0) - true) > DRAG_SECONDS:
            faults.append(f"drag of {step} {told.get(step, 0.0):.0f} s, true {true:.0f} s")
    return faults


def _history_faults(
    truth: Truth,
    built: list[RunRecord],
    definition: WorkflowDefinition,
    leaf_of: Mapping[str, tuple[str, Key]],
    play: Play,
    row: Row,
) -> list[str]:
    """What the metrics alone make of a run: steps, items, attempts, outcomes and times of its pods, and the chain."""
    pods = {k: leaf for k, leaf in truth.leaves.items() if leaf.pod}
    expected = {uid: known[1] for uid, known in leaf_of.items() if known[0] == truth.run and uid in play.pods}
    if not expected:
        return [] if not any(r.steps for r in built) else ["steps of a run without pods"]
    if len([r for r in built if r.steps]) != 1:
        return [f"{len(built)} runs instead of one"]
    record = built[0]
    faults = []
    found = {e.uid or "": e for e in record.steps}
    faults += [f"{expected[uid]} is missing" for uid in expected if uid not in found]
    faults += [f"{(e.step, e.item, e.attempt)} is made up" for uid, e in found.items() if uid not in expected]
    for uid in set(expected) & set(found):
        e, key, pod = found[uid], expected[uid], play.pods[uid]
        named = (e.step, e.item, e.attempt) == key or truth.alike
        if not named and e.step == key[0] and (e.item or "").startswith("#") and key[0] in truth.unknown_items:
            row.unknown.add(f"items of {e.step}")
            named = e.attempt == key[2]
        if not named and (e.item or "").startswith("#") and any("itself" in p for p in definition.graph.problems):
            row.unknown.add("rounds of the recursion")
            named = True
        if not named:
            faults.append(f"{key} is called {(e.step, e.item, e.attempt)}")
        if not near(e.created, unix(pod["metadata"]["creationTimestamp"])):
            faults.append(f"{key}: created {_apart(e.created, unix(pod['metadata']['creationTimestamp']))}")
        if e.outcome is Outcome.UNKNOWN:
            row.unknown.add(f"end of {e.step}")
        elif e.outcome.value != pods[key].outcome and pod["status"].get("phase") in ("Succeeded", "Failed"):
            faults.append(f"{key}: {e.outcome.value}, true {pods[key].outcome}")
    if record.outcome is Outcome.UNKNOWN:
        row.unknown.add("outcome")
    elif record.outcome.value != truth.outcome:
        faults.append(f"outcome {record.outcome.value}, true {truth.outcome}")
    return faults
