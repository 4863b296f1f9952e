"""Everything unusual at once on a real API server: the cycle goes on, the healthy workflow gets its recommendations, and
each anomaly is named to whom it concerns."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from concertmaster.engines.common.names import argo_pod_name_of
from testbed.series.lives import PodLife
from testbed.services.cluster import Cluster
from testbed.services.controlplane import ControlPlane
from testbed.services.kinds import ARGO_CRDS, ARGO_WORKFLOW, CRDS, any_content, install_kinds
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.operator_bed import (
    Operator,
    condition,
    cronjob,
    history,
    operator,
    profile,
    runs_of_cronjob,
    settings,
    wait_for,
)
from tests.support.engines.argo_oracle import stamp

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

ARGO = "argoproj.io/v1alpha1"
PLACE = "default"
HOUR = 3600.0
Raw = dict[str, Any]


def leaf(name: str) -> Raw:
    return {"name": name, "container": {"image": "example/a:1", "command": ["a"]}}


def template(name: str, *templates: Raw) -> Raw:
    """A WorkflowTemplate that enters at ``main``."""
    meta = {"name": name, "namespace": PLACE}
    return {
        "apiVersion": ARGO,
        "kind": "WorkflowTemplate",
        "metadata": meta,
        "spec": {"entrypoint": "main", "templates": list(templates)},
    }


def dag(name: str, *tasks: Raw) -> Raw:
    return {"name": name, "dag": {"tasks": list(tasks)}}


def calls(name: str, callee: str, *after: str) -> Raw:
    return {"name": name, "template": callee, **({"dependencies": list(after)} if after else {})}


LEAF = leaf("leaf")
MANY = json.dumps(list(range(20_000)))
TEMPLATES = [
    template("recursive", dag("main", calls("again", "main"), calls("work", "leaf")), LEAF),
    template("unresolved", dag("main", {"name": "x", "templateRef": {"name": "nowhere", "template": "t"}})),
    template("wide", dag("main", {**calls("each", "leaf"), "withParam": MANY}), LEAF),
    template("huge", leaf("main")),
    template("offloaded", dag("main", calls("a", "leaf")), LEAF),
    template("renamed", dag("main", calls("new", "leaf")), LEAF),
    template("trimmed", dag("main", calls("kept", "leaf")), LEAF),
    template("sound", dag("main", calls("kept", "leaf")), LEAF),
    template("days", dag("main", calls("one", "leaf"), calls("two", "leaf", "one"), calls("end", "leaf", "two")), LEAF),
]


def workflow(name: str, of: str, **status: Any) -> Raw:
    """A finished Workflow."""
    when = time.time()
    labels = {"workflows.argoproj.io/completed": "true", "workflows.argoproj.io/workflow-template": of}
    return {
        "apiVersion": ARGO,
        "kind": "Workflow",
        "metadata": {"name": name, "namespace": PLACE, "labels": labels},
        "spec": {"workflowTemplateRef": {"name": of}},
        "status": {"phase": "Succeeded", "startedAt": stamp(when - 600), "finishedAt": stamp(when - 60), **status},
    }


def ten_thousand(name: str) -> Raw:
    """A run of 10,000 pods, its table compressed as the controller does it."""
    when = time.time() - 600
    nodes = {name: {"id": name, "name": name, "type": "DAG", "phase": "Succeeded", "children": []}}
    for n in range(10_000):
        times = {"startedAt": stamp(when + n % 300), "finishedAt": stamp(when + n % 300 + 5)}
        node = {"id": f"{name}-{n}", "name": f"{name}.main({n}:{n})", "type": "Pod", "phase": "Succeeded", **times}
        nodes[f"{name}-{n}"] = {**node, "templateName": "main", "boundaryID": name}
        nodes[name]["children"].append(f"{name}-{n}")  # type: ignore[attr-defined]
    packed = base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()
    return workflow(name, "huge", compressedNodes=packed)


def nested(raw: Raw) -> str:
    """The object with 1,200 nested lists in its spec: the API server takes it, Python's decoder by itself does not."""
    text = json.dumps({**raw, "spec": {**raw["spec"], "deep": "HERE"}})
    return text.replace('"HERE"', "[" * 1200 + "]" * 1200)


def pods(now: float) -> list[PodLife]:
    """Pods that ended in the last two days, unusual in one way each."""
    like = runs_of_cronjob(PLACE, "any", 1, now)[0][0]

    def pod(name: str, ago: float, kind: str, owner: str, **labels: str) -> PodLife:
        created = now - ago
        inside = replace(like.containers[0], started=created + 5, finished=created + 305)
        return replace(
            like, pod=name, uid=f"uid-{name}-{ago}", created=created, scheduled=created + 1, started=created + 2,
            finished=created + 305, deleted=created + 2400, owner_kind=kind, owner_name=owner, labels=labels,
            containers=[inside],
        )  # fmt: skip

    def argo(run: str, node: str, called: str, ago: float) -> PodLife:
        return pod(argo_pod_name_of(run, f"{run}.{node}", called), ago, "Workflow", run)

    return [
        argo("renamed-aaaaa", "old", "leaf-of-old", 5 * HOUR),
        argo("trimmed-aaaaa", "kept", "leaf", 5 * HOUR),
        argo("trimmed-aaaaa", "gone", "leaf-gone", 5 * HOUR),
        *(argo(f"sound-{n:05}", "kept", "leaf", n * HOUR) for n in range(2, 10)),
        argo("days-aaaaa", "one", "leaf", 47 * HOUR),
        argo("days-aaaaa", "two", "leaf", 3 * HOUR),
        pod("deploy-run-build-pod", 4 * HOUR, "TaskRun", "somebodys-run-build"),  # none of the tekton.dev labels
        pod("extract-1", 4 * HOUR, "Job", "extract", step="extract"),  # selected, but without its run
        pod("orphan-1", 4 * HOUR, "", "", **{"example.com/run": "r1"}),  # of some run, but of no step
        *(pod("train-0", n * HOUR, "Job", "again") for n in (2, 3, 4, 5)),  # one name again and again
    ]


def behind(lives: list[PodLife], seconds: float) -> list[PodLife]:
    """The same pods on nodes whose clock is behind."""
    return [
        replace(
            life,
            finished=(life.finished or 0.0) - seconds,
            containers=[
                replace(c, started=(c.started or 0.0) - seconds, finished=(c.finished or 0.0) - seconds)
                for c in life.containers
            ],
        )
        for life in lives
    ]


def without_ids(text: list[str], pod_name: str) -> list[str]:
    """The history with the cgroup path dropped from the container series of one pod name."""
    lines = "".join(text).splitlines(keepends=True)
    marked = f'pod="{pod_name}"'
    return [
        line.replace('id="', 'dropped="') if marked in line and line.startswith("container_") else line
        for line in lines
    ]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Operator]]:
    """The operator in the middle of it, once the healthy workflow has its recommendations."""
    with ControlPlane() as control_plane:
        cluster = control_plane.cluster
        tekton = [
            ("Pipeline", "pipelines"),
            ("Task", "tasks"),
            ("PipelineRun", "pipelineruns"),
            ("TaskRun", "taskruns"),
        ]
        others = [any_content("tekton.dev", "v1", kind, plural) for kind, plural in tekton]
        install_kinds(cluster, CRDS, ARGO_CRDS, ARGO_WORKFLOW, *others)
        now = time.time() - 30.0
        healthy, jobs = runs_of_cronjob(PLACE, "backup", 12, now)
        skewed, more = runs_of_cronjob(PLACE, "skewed", 12, now)
        text = history([*healthy, *behind(skewed, 90.0), *pods(now)], [*jobs, *more], now)
        server = PrometheusServer()
        server.load_openmetrics(without_ids(text, "train-0"))
        with server:
            for group in (TEMPLATES, everything(), [ten_thousand("huge-aaaaa")]):
                cluster.apply(*group)
            for raw in (template("deep", LEAF), workflow("deep-aaaaa", "renamed")):
                cluster.kubectl("create", "-f", "-", input=nested(raw))
            directory = tmp_path_factory.mktemp("bad-input")
            with operator(cluster, directory, settings(directory, {"default": server.url})) as op:
                wait_for("recommendations", lambda: reason(cluster, "backup") == "Analyzed")
                op.next_cycles(2)
                yield cluster, op


def everything() -> list[Raw]:
    """Definitions, profiles and one live run."""
    task = {"name": "build", "taskSpec": {"steps": [{"name": "s", "image": "example/a:1"}]}}
    pipeline = {
        "apiVersion": "tekton.dev/v1",
        "kind": "Pipeline",
        "metadata": {"name": "deploy", "namespace": PLACE},
        "spec": {"tasks": [task]},
    }
    graph = {
        "podRunLabel": "example.com/run",
        "steps": [{"name": "extract", "podSelector": {"matchLabels": {"step": "extract"}}}],
    }
    refs = [(ARGO, "WorkflowTemplate", t["metadata"]["name"]) for t in TEMPLATES]
    refs += [("batch/v1", "CronJob", name) for name in ("backup", "skewed")]
    refs += [("tekton.dev/v1", "Pipeline", "deploy")]
    return [
        cronjob(PLACE, "backup"),
        cronjob(PLACE, "skewed"),
        pipeline,
        *(profile(PLACE, name, workflowRef={"apiVersion": v, "kind": k, "name": name}) for v, k, name in refs),
        profile(PLACE, "graph", graph=graph),
        profile(PLACE, "again", runSelector={"apiVersion": "batch/v1", "kind": "Job", "namePrefix": "again"}),
        workflow("offloaded-aaaaa", "offloaded", offloadNodeStatusVersion="fnv:1"),
    ]


def reason(cluster: Cluster, name: str) -> str:
    return str(condition(cluster.get("wfp", name, "-n", PLACE), "Ready").get("reason"))


def test_the_cycle_goes_on_and_the_healthy_workflow_is_analysed(place: tuple[Cluster, Operator]) -> None:
    cluster, op = place
    assert op.metric('concertmaster_cycles_total{result="failure"}') == 0
    assert op.metric('concertmaster_cycles_total{result="success"}') >= 2
    assert reason(cluster, "backup") == "Analyzed"
    assert "note:" not in condition(cluster.get("wfp", "backup", "-n", PLACE), "Ready")["message"]
    assert op.process.poll() is None


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("recursive", "TargetResolved", "calls itself"),
        ("unresolved", "TargetResolved", "template 't' of WorkflowTemplate nowhere, which cannot be found"),
        ("wide", "TargetResolved", "WorkflowTemplate wide with 1 step"),
        ("huge", "Ready", "1 of 5 finished runs"),
        ("offloaded", "Ready", "of run offloaded-aaaaa are kept in the controller's database"),
        ("graph", "Ready", "without the label that names its run (podRunLabel), as extract-1"),
        ("graph", "Ready", "it has no owner and no step selects it, as orphan-1"),
        ("deploy", "Ready", "no tekton.dev labels (allow-list them)"),
        ("skewed", "Ready", "the clock of node-1 is behind by up to 1m"),
        ("again", "MetricsAvailable", "cannot be distinguished from others of the same name"),
        ("renamed", "Ready", "the run's name fits a known Argo template, but none of its pods does"),
        ("trimmed", "Ready", "ran leaf-gone, which WorkflowTemplate trimmed does not have: renamed or removed"),
        ("days", "Ready", "run days-aaaaa has been going on for 1 d or more"),
    ],
)
def test_each_oddity_is_named(place: tuple[Cluster, Operator], name: str, kind: str, said: str) -> None:
    found = condition(place[0].get("wfp", name, "-n", PLACE), kind)
    assert said in found["message"], found


def test_a_stray_pod_is_no_matter_of_other_workflows(place: tuple[Cluster, Operator]) -> None:
    """Of the Argo workflows of the namespace each names its own pods only, and a healthy one names nothing."""
    profiles = {p["metadata"]["name"]: p for p in place[0].get("wfp", "-n", PLACE)["items"]}
    strays = {"renamed": "none of its pods does", "trimmed": "ran leaf-gone"}
    said = {t["metadata"]["name"]: json.dumps(profiles[t["metadata"]["name"]]["status"]) for t in TEMPLATES}
    for own, sentence in strays.items():
        assert {name for name, status in said.items() if sentence in status} == {own}
    sound = profiles["sound"]["status"]
    assert sound["runs"]["observed"] == 8
    assert "note:" not in condition(profiles["sound"], "Ready")["message"]
    assert "data-quality" not in {r["id"].partition(".")[0] for r in sound.get("recommendations") or ()}


def test_a_quiet_cycle_repeats_nothing(place: tuple[Cluster, Operator]) -> None:
    """Sentences that stand cost no write."""
    cluster, op = place
    before = {p["metadata"]["name"]: p["metadata"]["resourceVersion"] for p in cluster.get("wfp", "-n", PLACE)["items"]}
    op.next_cycles(2)
    after = {p["metadata"]["name"]: p["metadata"]["resourceVersion"] for p in cluster.get("wfp", "-n", PLACE)["items"]}
    assert after == before


def test_an_object_nested_too_deeply_is_left_out_by_its_name(place: tuple[Cluster, Operator]) -> None:
    """One object of 2.5 KB stopped every cycle, for everybody and also after a restart."""
    _, op = place
    (cycle,) = op.next_cycles(1)
    problems = " ".join(cycle["problems"])
    assert "WorkflowTemplate deep cannot be read and is left out: nested deeper than 100 levels" in problems
    assert "failed as a whole" not in op.log.read_text()


def test_a_run_nested_too_deeply_ends_no_watch(place: tuple[Cluster, Operator]) -> None:
    """In a finished Workflow it ended the thread of the watch, and with it the live runs of everybody."""
    cluster, op = place
    read = 'concertmaster_live_runs_total{result="complete"}'
    before = op.metric(read)
    cluster.kubectl("create", "-f", "-", input=nested(workflow("sunken-aaaaa", "renamed")))
    when = time.time() - 100
    pod = {"id": "huge-bbbbb", "name": "huge-bbbbb", "type": "Pod", "phase": "Succeeded", "templateName": "main"}
    node = {**pod, "startedAt": stamp(when), "finishedAt": stamp(when + 60)}
    cluster.apply(workflow("huge-bbbbb", "huge", nodes={"huge-bbbbb": node}))
    wait_for("the run that came afterwards to be read live", lambda: op.metric(read) > before)
    named = f"Workflow {PLACE}/sunken-aaaaa is left out: nested deeper than 100 levels"
    wait_for("the other to be named", lambda: any(named in p for c in op.cycles() for p in c.get("problems", ())))
    assert "failed as a whole" not in op.log.read_text()
