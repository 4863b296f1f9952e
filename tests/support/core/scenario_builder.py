"""Realistic workflows, and runs of them with known truth: the input for the tests of every rule.

Manifests are read by the real readers, so that every JSON pointer in a recommendation is valid in the API server.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from concertmaster.core.analysis.workflow import Analysis, analyze
from concertmaster.core.changes.admission.capacity import UNBOUND, Capacity
from concertmaster.core.model import (
    ContainerFact,
    Outcome,
    Recommendation,
    RunRecord,
    StepExecution,
    VolumeUse,
    WorkflowDefinition,
    WorkflowGraph,
)
from concertmaster.core.model.policy import AnalysisSettings, ApplySettings, Objectives, Policy, Pricing, RuleSettings
from concertmaster.core.rules import RULES, DataGaps, Evidence, Fleet, recommend
from concertmaster.engines import define_all
from concertmaster.engines.argo import definition as argo_definition
from concertmaster.engines.jobs import definition as job_engine
from concertmaster.engines.tekton import definition as tekton_definition
from tests.support.builders import DAY, NOW, container, run_record

Manifest = dict[str, Any]
_READERS: Mapping[str, Callable[[Manifest], WorkflowDefinition]] = {
    "argoproj.io/v1alpha1": argo_definition.define,
    "batch/v1": job_engine.define,
    "tekton.dev/v1": tekton_definition.define,
}


def task(name: str, *after: str, **more: Any) -> Manifest:
    """A dag task that calls the template of the same name."""
    return {"name": name, "template": name, **({"dependencies": list(after)} if after else {}), **more}


def reads(*steps: str) -> Manifest:
    """Arguments of a task that reads the results of these steps."""
    return {"arguments": {"parameters": [{"name": s, "value": f"{{{{tasks.{s}.outputs.result}}}}"} for s in steps]}}


def argo(*tasks: Manifest, templates: Mapping[str, Manifest] | None = None, **spec: Any) -> Manifest:
    """A WorkflowTemplate with these tasks; ``templates`` adds fields to the template of a task, or of the dag
    (``main``)."""
    changes = dict(templates or {})
    bodies = [
        {
            "name": t["name"],
            "container": {
                "image": "registry.example/etl:1",
                "command": [t["name"]],
                "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
            },
            **changes.get(t["name"], {}),
        }
        for t in tasks
    ]
    main = {"name": "main", "dag": {"tasks": list(tasks)}, **changes.get("main", {})}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "nightly-etl", "namespace": "demo"},
        "spec": {"entrypoint": "main", "templates": [main, *bodies], **spec},
    }


def cron_job(schedule: str = "7 * * * *", resources: Mapping[str, Any] | None = None, **job: Any) -> Manifest:
    """A CronJob ``report`` with one container; ``job`` are fields of its Job spec."""
    pod = {
        "restartPolicy": "Never",
        "containers": [
            {
                "name": "report",
                "image": "registry.example/report:1",
                "resources": dict(resources) if resources is not None else {"requests": {"cpu": "1", "memory": "1Gi"}},
            }
        ],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "report", "namespace": "demo"},
        "spec": {"schedule": schedule, "suspend": True, "jobTemplate": {"spec": {"template": {"spec": pod}, **job}}},
    }


def pipeline(resources: Mapping[str, Any]) -> Manifest:
    """A Pipeline ``report`` with one task of one step ``main``."""
    step = {"name": "main", "image": "registry.example/report:1", "command": ["report"], "computeResources": resources}
    return {
        "apiVersion": "tekton.dev/v1",
        "kind": "Pipeline",
        "metadata": {"name": "report", "namespace": "demo"},
        "spec": {"tasks": [{"name": "work", "taskSpec": {"steps": [step]}}]},
    }


def shared_task(name: str, resources: Mapping[str, Any]) -> tuple[Manifest, Manifest]:
    """A Pipeline ``report`` whose only task is a Task of that name, and the Task."""
    found = pipeline(resources)
    body = found["spec"]["tasks"][0].pop("taskSpec")
    found["spec"]["tasks"][0]["taskRef"] = {"name": name}
    return found, {**found, "kind": "Task", "metadata": {"name": name, "namespace": "demo"}, "spec": body}


def define(manifest: Manifest, *others: Manifest) -> WorkflowDefinition:
    """The definition that its engine reads from the manifest; ``others``: what it refers to. One of the whole cluster is
    that of the namespace ``demo``. Schedules are suspended in manifests, so that they start nothing in a cluster, and not
    in what is read here."""
    if others or manifest["kind"] == "ClusterWorkflowTemplate":
        made = define_all([manifest, *others], cluster_namespaces=["demo"])
        (found,) = (d for d in made if (d.key.kind, d.key.name) == (manifest["kind"], manifest["metadata"]["name"]))
    else:
        found = _READERS[manifest["apiVersion"]](manifest)
    assert not found.graph.problems, found.graph.problems
    return replace(found, suspended=False)


@dataclass(frozen=True)
class Pod:
    """One item of a step: ``failures`` are (seconds, reason) of earlier attempts, the last one takes ``seconds``."""

    seconds: float
    wait: float = 1.0
    startup: float = 2.0
    failures: tuple[tuple[float, str], ...] = ()
    fails: str | None = None  # reason of a failed last attempt
    back_off: float = 10.0
    node: str = "node-a-1"
    instance_type: str | None = None
    inputs: str | None = None
    size: float | None = None
    cache_hit: bool | None = None
    extra: Mapping[str, float] = field(default_factory=dict)
    containers: tuple[ContainerFact, ...] = (container(cpu_sampled_seconds=None, cpu_seconds=None),)
    network: tuple[float, float] | None = None  # bytes received and sent
    message: str | None = None
    volumes: tuple[VolumeUse, ...] = ()
    item: str | None = None  # its name (None: its position)


Work = Mapping[str, float | Pod | Sequence[Pod | float]]


def _pods(work: float | Pod | Sequence[Pod | float]) -> list[Pod]:
    rows = list(work) if isinstance(work, Sequence) else [work]
    return [p if isinstance(p, Pod) else Pod(float(p)) for p in rows]


def _fact(fact: ContainerFact, begun: float, end: float, reason: str | None) -> ContainerFact:
    seconds = end - begun
    found = replace(fact, started=begun, finished=end, reason=reason if reason in ("OOMKilled", "Error") else None)
    if found.cpu_seconds is None and found.cpu_sampled_seconds is None:
        return replace(found, cpu_seconds=0.9 * seconds, cpu_sampled_seconds=seconds)  # uses what it requests
    return found


def simulate(graph: WorkflowGraph, work: Work, *, number: int = 0, start: float = NOW - DAY, **more: Any) -> RunRecord:
    """One run: steps start after their dependencies, pods as the declared limits allow, attempts in sequence.

    A step missing in ``work`` does not run, nor do dependents of a failed step.
    """
    ends: dict[str, float] = {}
    rows: list[StepExecution] = []
    busy: list[tuple[str, float, float]] = []
    failed = False
    for spec in graph.steps:
        if spec.name not in work or (failed and not spec.on_exit):
            ends[spec.name] = max((ends[d] for d in spec.depends_on if d in ends), default=start)
            continue
        ready = max((ends[d] for d in spec.depends_on if d in ends), default=start)
        pods = _pods(work[spec.name])
        for place, pod in enumerate(pods):
            opened = ready
            for limit, names in ((graph.parallelism, None), (spec.parallelism, {spec.name})):
                taken = sorted(e for s, _, e in busy if names is None or s in names)
                while (
                    limit is not None
                    and sum(b <= opened < e for s, b, e in busy if names is None or s in names) >= limit
                ):
                    opened = min(e for e in taken if e > opened)
            attempts = [*pod.failures, (pod.seconds, pod.fails)]
            at = opened
            for attempt, (seconds, reason) in enumerate(attempts):
                scheduled = at + pod.wait
                begun = scheduled + pod.startup
                end = begun + seconds
                bad = reason is not None
                rows.append(
                    StepExecution(
                        step=spec.name,
                        item=pod.item or (str(place) if len(pods) > 1 else None),
                        attempt=attempt,
                        pod=f"run-{number}-{spec.name}-{place}-{attempt}",
                        uid=f"uid-{number}-{spec.name}-{place}-{attempt}",
                        node=pod.node,
                        instance_type=pod.instance_type,
                        ready=ready,
                        created=at,
                        scheduled=scheduled,
                        started=begun,
                        finished=end,
                        outcome=Outcome.FAILED if bad else Outcome.SUCCEEDED,
                        reason=reason if reason not in (None, "OOMKilled", "Error") else None,
                        containers=tuple(_fact(c, begun, end, reason) for c in pod.containers),
                        input_size=pod.size,
                        input_fingerprint=pod.inputs,
                        cache_hit=pod.cache_hit,
                        extra=pod.extra,
                        network_receive_bytes=pod.network[0] if pod.network else None,
                        network_transmit_bytes=pod.network[1] if pod.network else None,
                        message=pod.message if bad else None,
                        volumes=pod.volumes,
                    )
                )
                at = end + pod.back_off
            busy.append((spec.name, opened, rows[-1].finished or at))
            failed = failed or pod.fails is not None
        ends[spec.name] = max(r.finished or 0.0 for r in rows if r.step == spec.name)
    outcome = more.pop("outcome", Outcome.FAILED if failed else Outcome.SUCCEEDED)
    end = max(r.finished or 0.0 for r in rows)
    return run_record(rows, run=f"run-{number}", start=start, end=end, outcome=outcome, **more)


def history(
    definition: WorkflowDefinition, count: int, work: Callable[[int], Work], *, every: float = DAY / 3, **more: Any
) -> list[RunRecord]:
    """``count`` runs, one per ``every`` seconds up to now; ``work`` returns that of run i (0 is the oldest)."""
    return [
        simulate(definition.graph, work(i), number=i, start=NOW - (count - i) * every, **more) for i in range(count)
    ]


def noise(seed: int = 1, spread: float = 0.03) -> Callable[[float], float]:
    """Returns a function that applies log-normal noise to a value."""
    chance = random.Random(seed)
    return lambda value: value * chance.lognormvariate(0, spread)


@dataclass(frozen=True)
class Scenario:
    """A workflow, what it refers to (``others``), its runs, and its owner's settings: the whole input of a rule."""

    manifest: Manifest
    runs: tuple[RunRecord, ...]
    options: AnalysisSettings = field(default_factory=AnalysisSettings)
    objectives: Objectives = field(default_factory=Objectives)
    pricing: Pricing = field(default_factory=Pricing)
    apply: ApplySettings = field(default_factory=ApplySettings)
    capacity: Capacity = UNBOUND
    gaps: DataGaps | None = None
    fleet: Fleet | None = None
    rolled_back: tuple[tuple[float, float], ...] = ()
    others: tuple[Manifest, ...] = ()

    @property
    def definition(self) -> WorkflowDefinition:
        """The definition that its engine reads."""
        return define(self.manifest, *self.others)

    def analysis(self, rules: Mapping[str, RuleSettings] | None = None) -> Analysis:
        """The analysis at the end of the history."""
        policy = Policy(
            apply=self.apply, analysis=self.options, objectives=self.objectives, pricing=self.pricing, rules=rules or {}
        )
        return analyze(self.definition, self.runs, now=NOW, policy=policy)

    def recommended(self, rule: str | None = None, **settings: str) -> list[Recommendation]:
        """The recommendations of one rule (None: of all rules)."""
        chosen = {r.name: RuleSettings(enabled=rule in (None, r.name), settings=settings) for r in RULES}
        return recommend(
            Evidence(
                self.analysis(chosen),
                "wfp",
                gaps=self.gaps or DataGaps(),
                fleet=self.fleet,
                capacity=self.capacity,
                rolled_back=self.rolled_back,
            )
        )

    def one(self, rule: str, **settings: str) -> Recommendation:
        """The only recommendation of one rule."""
        found = self.recommended(rule, **settings)
        assert len(found) == 1, [r.id for r in found]
        return found[0]


def scenario(
    manifest: Manifest,
    count: int,
    work: Callable[[int], Work],
    *,
    every: float = DAY / 3,
    others: tuple[Manifest, ...] = (),
    **more: Any,
) -> Scenario:
    """A manifest with ``count`` runs."""
    runs = history(define(manifest, *others), count, work, every=every)
    return Scenario(manifest, tuple(runs), others=others, **more)
