"""Comparison of the operator's records with the truth, run by run, for live objects and for history alone."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from benchmarks.torture.bed import NAMESPACE, RUN_KINDS, SCRAPE_SECONDS, Play, names, schedule_of
from benchmarks.torture.faults import Row, live_faults, path_faults, with_pods
from benchmarks.torture.history import history_faults
from benchmarks.torture.truth import Key, Truth, closed_up, idle_between, near, unix
from benchmarks.torture.truth_argo import ArgoRun
from benchmarks.torture.truth_others import deleted, ended, pipeline_run, resumed_run, set_run
from benchmarks.torture.workflows.argo_further import WITHOUT
from benchmarks.torture.workflows.parts import Object
from concertmaster.core.model import RunRecord, StepExecution, WorkflowDefinition, WorkflowKey
from concertmaster.engines import Claims, assign, job_ends, run_kind
from concertmaster.engines.define import define_all
from concertmaster.engines.label_keys import labels_in_use
from concertmaster.engines.runs import RunBuilder
from concertmaster.history import Store
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.reading import Collection, collect
from concertmaster.settings import MetricsSource
from testbed.services.prometheus import PrometheusServer

PACKED = {"packed-table"}
NODE_NAME = "workflows.argoproj.io/node-name"


def profiles() -> list[Object]:
    """WorkflowProfiles that select the Jobs and JobSets of the set, and Workflows without a template by their labels."""
    kinds = {"jb": ("batch/v1", "Job"), "js": ("jobset.x-k8s.io/v1alpha2", "JobSet")}
    selectors = {
        name: {"apiVersion": kinds[name[:2]][0], "kind": kinds[name[:2]][1], "namePrefix": f"{name}-"}
        for name in names()
        if name[:2] in kinds and name[2] == "-"
    }
    for run in WITHOUT:
        known = {"apiVersion": run["apiVersion"], "kind": run["kind"], "matchLabels": run["metadata"]["labels"]}
        selectors[run["metadata"]["name"]] = known
    return [
        {
            "apiVersion": "concertmaster.dev/v1alpha1",
            "kind": "WorkflowProfile",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"runSelector": selector},
        }
        for name, selector in selectors.items()
    ]


def truths(play: Play) -> dict[str, Truth]:
    """Every finished run, from its engine's status."""
    found: dict[str, Truth] = {}
    pods, task_runs = list(play.pods.values()), list(play.objects.get("TaskRun", {}).values())
    for kind in ("Workflow", "PipelineRun", "Job", "JobSet"):
        for name, raw in play.objects.get(kind, {}).items():
            workflow = schedule_of(raw) or name.rpartition("-r")[0]
            if not workflow or (raw["metadata"].get("ownerReferences") and not schedule_of(raw)):
                continue
            if kind == "Workflow":
                found[name] = ArgoRun(raw).truth(workflow)
            elif kind == "PipelineRun":
                found[name] = pipeline_run(raw, task_runs, workflow)
            elif kind == "Job":
                found[name] = resumed_run(raw, pods, workflow, play.gone)
            else:
                found[name] = set_run(raw, pods, workflow)
    return found


def definitions_of(play: Play) -> dict[WorkflowKey, WorkflowDefinition]:
    """The workflows of the set, from their objects."""
    kinds = ("WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow", "Pipeline", "Task")
    objects = [o for kind in kinds for o in play.objects.get(kind, {}).values()]
    return {d.key: d for d in define_all([*objects, *profiles()], cluster_namespaces=[NAMESPACE])}


def collected(play: Play, prometheus: PrometheusServer) -> Collection:
    """The metrics of the set."""
    until = time.time()
    source = {"name": "default", "url": prometheus.url, "scrapeInterval": f"{SCRAPE_SECONDS}s"}
    client = PrometheusClient(MetricsSource.model_validate(source))
    return collect(
        client,
        namespaces=[NAMESPACE],
        since=play.begun - 60,
        until=until,
        now=until + client.source.delay_seconds,
        label_keys=labels_in_use(definitions_of(play).values()).keys,
    )


def compare(play: Play, metrics: Collection) -> list[Row]:
    """One row per workflow of the set."""
    definitions = definitions_of(play)
    placed = assign(metrics.facts, definitions.values(), job_owners=metrics.job_owners).executions
    rows: dict[str, Row] = {}
    found = truths(play)
    leaf_of = leaves_of_pods(play, found)
    for name, ends in play.ends.items():
        found[name].idle = _idle(play, found[name], ends)
    for name, truth in sorted(found.items()):
        row = rows.setdefault(truth.workflow, Row(truth.workflow))
        row.runs += 1
        end_daemons(truth, play, leaf_of)
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
        faults += live_faults(truth, live.record, leaf_of)
        if truth.workflow in PACKED and "compressedNodes" not in raw["status"]:
            faults.append("its node table is not packed")
        executions = placed.get(definition.key, {}).get(name, ())
        faults += _earlier_faults(truth, play, definition, before := _read_before(name, play, definition))
        stored = _stored(definition, {name: executions} if executions else {}, [*before, live.record])
        if len(stored) != 1:
            faults.append(f"{len(stored)} runs in the history instead of one")
        elif not faults:
            true = closed_up(with_pods(truth, play, leaf_of))
            faults += path_faults(true, stored[0], definition, leaf_of)
            if truth.idle and not near(stored[0].run_time, true.lasted(), 2.0):
                faults.append(
                    f"run time without what is between its attempts {stored[0].run_time}, true {true.lasted()}"
                )
        if faults:
            row.live[name] = faults
        if truth.whole is not None:
            truth = truth.whole
            own = {**leaf_of, **leaves_of_pods(play, {name: truth})}
            built = _ended_runs(definition, {name: executions}, metrics)
        else:
            own, built = leaf_of, RunBuilder(definition.key, definition, None).runs(name, executions)
        if others := [k for k, runs in placed.items() if name in runs and k != definition.key]:
            row.history[name] = [f"also placed in {others}"]
        elif faults := history_faults(truth, built, definition, own, play, row):
            row.history[name] = faults
    for key, runs in placed.items():
        row = rows.setdefault(key.name, Row(key.name))
        row.history |= {name: ["a run that its engine never had"] for name in runs if name not in found}
    return list(rows.values())


def placed_records(play: Play, metrics: Collection) -> Iterator[tuple[WorkflowDefinition, list[RunRecord]]]:
    """Each workflow of the set with its runs, live and history records merged, as the operator stores them."""
    definitions = definitions_of(play)
    placed = assign(metrics.facts, definitions.values(), job_owners=metrics.job_owners).executions
    claims, live = Claims(definitions.values()), list[RunRecord]()
    for name, truth in sorted(truths(play).items()):
        raw = next(things[name] for k, things in play.objects.items() if k in RUN_KINDS and name in things)
        definition = claims.of(raw)
        if definition is not None and definition.key.name == truth.workflow:
            read = run_kind(raw).read(raw, _children(raw, play), definition.key, definition)  # type: ignore[union-attr]
            live += [*_read_before(name, play, definition), read.record]
    with Store(":memory:") as store:
        for record in live:
            store.add({}, records=[record])
        store.add(placed)
        for key, definition in definitions.items():
            if runs := store.runs(key, definition=definition):
                yield definition, list(runs)


def _idle(play: Play, last: Truth, ends: Sequence[Object]) -> list[tuple[float, float]]:
    """When nothing of a run ran, between its ends and by its pods' own times."""
    attempts = [*(ArgoRun(raw).truth(last.workflow) for raw in ends), last]
    until = [*(unix(raw["status"]["finishedAt"]) for raw in ends), None]
    own = [with_pods(t, play, leaves_of_pods(play, {t.run: t}, at)) for t, at in zip(attempts, until, strict=True)]
    return idle_between(own)


def _read_before(name: str, play: Play, definition: WorkflowDefinition) -> list[RunRecord]:
    """The run as the operator read it at each end before a retry."""
    kinds = [(run_kind(raw), raw) for raw in play.ends.get(name, ())]
    return [kind.read(raw, [], definition.key, definition).record for kind, raw in kinds if kind is not None]


def _earlier_faults(
    truth: Truth, play: Play, definition: WorkflowDefinition, records: Sequence[RunRecord]
) -> list[str]:
    """Differences in what was read of a run before it was retried."""
    faults = []
    for number, (raw, record) in enumerate(zip(play.ends.get(truth.run, ()), records, strict=True)):
        own = ArgoRun(raw).truth(truth.workflow)
        own_leaves = leaves_of_pods(play, {own.run: own}, unix(raw["status"]["finishedAt"]))
        faults += [f"attempt {number} at it: {text}" for text in live_faults(own, record, own_leaves)]
    return faults


def leaves_of_pods(play: Play, found: Mapping[str, Truth], until: float | None = None) -> dict[str, tuple[str, Key]]:
    """Run and leaf by uid and by name of the pods. Of the pods of one name it is the last, as the node table has no other
    any more: the last one created up to ``until`` (unix seconds)."""
    by_name: dict[tuple[str, str], Key] = {
        (t.run, leaf.pod): k for t in found.values() for k, leaf in t.leaves.items() if leaf.pod
    }
    out: dict[str, tuple[str, Key]] = {}
    newest: dict[str, str] = {}  # uid by name
    for uid, pod in play.pods.items():
        made, other = _created(pod), newest.get(pod["metadata"]["name"])
        if (until is None or made <= until) and (other is None or made >= _created(play.pods[other])):
            newest[pod["metadata"]["name"]] = uid
    for uid in newest.values():
        meta = play.pods[uid]["metadata"]
        known = [meta.get("annotations", {}).get(NODE_NAME), meta["name"]]
        for run in {meta.get("labels", {}).get("workflows.argoproj.io/workflow"), *_runs_in(meta)}:
            for name in known:
                if run and name and (run, name) in by_name:
                    out[uid] = out[meta["name"]] = (run, by_name[run, name])
    return out


def _created(pod: Object) -> float:
    return unix(pod["metadata"].get("creationTimestamp")) or 0.0


def end_daemons(truth: Truth, play: Play, leaf_of: Mapping[str, tuple[str, Key]]) -> None:
    """Correct the outcome of daemons: one whose pod ran until all steps beside it had ended has succeeded, one that
    ended earlier has failed. Its controller marks the former Succeeded, but Failed if it observes the end of the pod
    later."""
    for uid, (run, key) in leaf_of.items():
        if run == truth.run and key in truth.served and uid in play.pods:
            own, leaf = ended(play.pods[uid]), truth.leaves[key]
            if leaf.outcome == "Failed" and (own is None or own >= truth.served[key]):
                leaf.outcome = "Succeeded"


def _runs_in(meta: Object) -> list[str]:
    labels = meta.get("labels", {})
    keys = ("tekton.dev/pipelineRun", "jobset.sigs.k8s.io/jobset-name", "batch.kubernetes.io/job-name")
    return [labels[k] for k in keys if k in labels]


def _children(raw: Object, play: Play) -> list[Object]:
    """The objects of a run that were there at its end, beside those that its end removed."""
    name, label = (
        raw["metadata"]["name"],
        {"PipelineRun": "tekton.dev/pipelineRun", "JobSet": "jobset.sigs.k8s.io/jobset-name"},
    )
    things: Iterable[Object] = (
        play.objects.get("TaskRun", {}).values() if raw["kind"] == "PipelineRun" else play.pods.values()
    )
    own = [t for t in things if t["metadata"].get("labels", {}).get(label.get(raw["kind"], "job-name")) == name]
    if raw["kind"] == "Job" and (start := unix(raw["status"].get("startTime"))) is not None:
        return [t for t in own if (gone := deleted(t)) is None or gone > start]
    return own


def _ended_runs(
    definition: WorkflowDefinition, executions: Mapping[str, tuple[StepExecution, ...]], metrics: Collection
) -> list[RunRecord]:
    """The runs that the operator builds of Jobs that nobody read live: the metrics have when a Job started and ended."""
    placed = {definition.key: executions}
    with Store(":memory:") as store:
        store.add(placed, records=job_ends(metrics.jobs, [definition], placed))
        return list(store.runs(definition.key, definition=definition))


def _stored(
    definition: WorkflowDefinition, executions: Mapping[str, tuple[StepExecution, ...]], live: Sequence[RunRecord]
) -> list[RunRecord]:
    """The runs that the operator stores for a live run, read at each of its ends, and its pods: one, if it takes all for
    the same run."""
    with Store(":memory:") as store:
        key: WorkflowKey = definition.key
        for record in live[:-1]:
            store.add({}, records=[record])
        store.add({key: executions} if executions else {}, records=live[-1:])
        return list(store.runs(key, definition=definition))
