"""Runs that are stopped, retried or made again after they were read, as people do it to Jobs and PipelineRuns: a whole
operator beside the real controllers, which reads each run as it ends."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from concertmaster.core.model import Outcome, RunRecord
from concertmaster.engines import assign, define, job_ends
from concertmaster.history import Store
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.reading import Collection, collect
from concertmaster.settings import MetricsSource
from testbed.services.cluster import Cluster
from testbed.services.controlplane import Options
from testbed.services.prometheus import PrometheusServer, scrapes_of
from tests.engines.conftest import bed
from tests.support.cluster.operator_bed import install_crds, operator, policy, settings, wait_for
from tests.support.engines.scenario import ended
from tests.support.engines.times import near, unix

SPACE = "again"
PAUSE = 20.0  # seconds a Job is suspended at least
LATE = 8.0  # seconds by which the controllers of a busy machine may be late; less than the pause
REQUESTS = {"requests": {"cpu": "100m", "memory": "64Mi"}}
JOB, RUN = "jobs.batch", "pipelineruns.tekton.dev"


def cronjob(name: str, **notes: str) -> dict[str, Any]:
    """A CronJob whose Jobs are made by hand."""
    pod = {
        "metadata": {"annotations": {f"sim/{k.replace('_', '-')}": v for k, v in notes.items()}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "work", "image": "sim/work:1", "command": ["work"], "resources": REQUESTS}],
        },
    }
    job = {"backoffLimit": 0 if "exit_code" in notes else 2, "template": pod}
    spec = {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": job}}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name, "namespace": SPACE}, "spec": spec}


def task(**notes: str) -> dict[str, Any]:
    """The Task of the Pipeline, which a person fixes."""
    step = {"name": "go", "image": "sim/go:1", "command": ["go"], "computeResources": REQUESTS}
    meta = {
        "name": "go",
        "namespace": SPACE,
        "annotations": {"sim/steps": "2"} | {f"sim/{k.replace('_', '-')}": v for k, v in notes.items()},
    }
    return {"apiVersion": "tekton.dev/v1", "kind": "Task", "metadata": meta, "spec": {"steps": [step]}}


PIPELINE = {
    "apiVersion": "tekton.dev/v1",
    "kind": "Pipeline",
    "metadata": {"name": "build", "namespace": SPACE},
    "spec": {"tasks": [{"name": "first", "taskRef": {"name": "go"}}]},
}
BUILD_1 = {
    "apiVersion": "tekton.dev/v1",
    "kind": "PipelineRun",
    "metadata": {"name": "build-1", "namespace": SPACE},
    "spec": {"pipelineRef": {"name": "build"}},
}
DEFINED = (cronjob("paused", duration="20"), cronjob("again", exit_code="3"), cronjob("moved", duration="20"), PIPELINE)


class Person:
    """Somebody with kubectl, who waits for what they did."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def job(self, name: str) -> None:
        """``kubectl create job --from``."""
        self.cluster.kubectl("create", "job", name, f"--from=cronjob/{name.rpartition('-')[0]}", "-n", SPACE)

    def get(self, resource: str, name: str) -> dict[str, Any]:
        return self.cluster.get(resource, name, "-n", SPACE)

    def ended(self, resource: str, name: str) -> dict[str, Any]:
        """The run once it is over."""
        found: dict[str, Any] = {}

        def over() -> bool:
            found.update(self.get(resource, name))
            return ended(found)

        wait_for(f"the end of {name}", over)
        return found

    def running(self, job: str) -> str:
        """The name of the Job's pod once it works."""
        pods = lambda: self.cluster.get("pods", "-n", SPACE, "-l", f"job-name={job}")["items"]  # noqa: E731
        up = lambda: [p["metadata"]["name"] for p in pods() if p["status"].get("phase") == "Running"]  # noqa: E731
        return str(wait_for(f"a pod of {job}", up)[0])

    def suspend(self, job: str, suspended: bool) -> None:
        patch = json.dumps({"spec": {"suspend": suspended}})
        self.cluster.kubectl("patch", JOB, job, "-n", SPACE, "--type=merge", "-p", patch)

    def apply(self, *objects: Mapping[str, Any]) -> None:
        self.cluster.apply(*objects, namespace=SPACE)


@dataclass
class Played:
    """Runs of each workflow in the operator's history after everything is over and gone, and the last state of their
    objects. ``suspended``: when, in unix seconds. ``seen``: what Prometheus has of them."""

    runs: dict[str, list[RunRecord]] = field(default_factory=dict)
    ends: dict[str, dict[str, Any]] = field(default_factory=dict)
    suspended: float = 0.0
    seen: Collection | None = None


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """One play for all tests; nothing runs any more."""
    found = Played()
    directory = tmp_path_factory.mktemp("again")
    options = Options(
        controller_manager=True, scheduler=True, kwok=True, kube_state_metrics=True, exporter=True, tekton=True
    )
    with bed(options) as cluster, PrometheusServer(scrapes_of(cluster, "2s")) as prometheus:
        install_crds(cluster)
        cluster.kubectl("create", "namespace", SPACE)
        cluster.kubectl("wait", "--for=create", "serviceaccount/default", "-n", SPACE, "--timeout=60s")
        person = Person(cluster)
        person.apply(task(fail_step="0", exit_code="4"), *DEFINED)
        kinds = [{"apiVersion": "batch/v1", "kind": "CronJob"}, {"apiVersion": "tekton.dev/v1", "kind": "Pipeline"}]
        cluster.apply(policy(SPACE, discover=kinds), namespace=SPACE)
        with operator(cluster, directory, settings(directory, {"default": prometheus.url}, namespaces=[SPACE])) as op:
            wait_for("the profiles", lambda: len(cluster.get("workflowprofile", "-n", SPACE)["items"]) == len(DEFINED))
            begun = time.time()
            _play(person, directory, found, prometheus)
            prometheus.wait_for_scrapes()
            cluster.kubectl("delete", f"{RUN},taskruns.tekton.dev,{JOB},pods", "--all", "-n", SPACE, "--wait=true")
            prometheus.wait_for_scrapes()
            op.next_cycles(2)
            op.stop()
        found.seen = collected(prometheus, begun)
    found.runs = {d["metadata"]["name"]: known(directory, d) for d in DEFINED}
    return found


def known(directory: Path, declared: Mapping[str, Any]) -> list[RunRecord]:
    """Runs in the operator's history."""
    definition = define(declared, lambda _kind, _name: task())
    assert definition is not None
    with Store(str(directory / "history.db")) as store:
        return store.runs(definition.key, definition=definition, as_of=time.time())


def collected(prometheus: PrometheusServer, begun: float) -> Collection:
    """What Prometheus has from the moment ``begun`` (unix seconds) on."""
    source = {"name": "default", "url": prometheus.url, "scrapeInterval": "2s"}
    client = PrometheusClient(MetricsSource.model_validate(source))
    now = time.time()
    return collect(client, namespaces=[SPACE], since=begun, until=now, now=now + client.source.delay_seconds)


def _play(person: Person, directory: Path, found: Played, prometheus: PrometheusServer) -> None:
    """Each run has been read in its first end before it is touched again."""

    def read(name: str, number: int) -> None:
        declared = next(d for d in DEFINED if d["metadata"]["name"] == name)
        over = lambda: sum(r.outcome is not Outcome.RUNNING for r in known(directory, declared)) >= number  # noqa: E731
        wait_for(f"{number} runs of {name}", over)

    person.job("paused-1")
    person.job("again-1")
    person.job("moved-1")
    person.apply(BUILD_1)
    person.running("paused-1")
    moved = person.running("moved-1")
    prometheus.wait_for_scrapes()
    person.cluster.kubectl("delete", "pod", moved, "-n", SPACE)
    person.suspend("paused-1", True)
    found.suspended = time.time()
    person.ended(JOB, "again-1")
    person.ended(RUN, "build-1")
    read("again", 1)
    read("build", 1)

    person.apply(cronjob("again", duration="3"), task())  # the cause is fixed
    person.cluster.kubectl("delete", JOB, "again-1", "-n", SPACE)
    person.job("again-1")
    first = person.get(RUN, "build-1")  # what `tkn pipeline start build --use-pipelinerun build-1` makes
    labels = {k: v for k, v in first["metadata"].get("labels", {}).items() if not k.startswith("tekton.dev/")}
    person.cluster.apply(
        {**BUILD_1, "metadata": {"name": "build-run-x7k2z", "labels": labels}, "spec": first["spec"]}, namespace=SPACE
    )
    found.ends["build-run-x7k2z"] = person.ended(RUN, "build-run-x7k2z")
    person.cluster.kubectl("replace", "--force", "-f", "-", input=json.dumps(BUILD_1))
    time.sleep(max(0.0, found.suspended + PAUSE - time.time()))  # the pause itself
    person.suspend("paused-1", False)
    for resource, name in ((JOB, "paused-1"), (JOB, "again-1"), (JOB, "moved-1"), (RUN, "build-1")):
        found.ends[name] = person.ended(resource, name)
    for name, number in (("paused", 1), ("again", 2), ("moved", 1), ("build", 3)):
        read(name, number)


def outcomes(runs: list[RunRecord]) -> list[tuple[str, Outcome]]:
    """Name, without what distinguishes later runs of it, and outcome of each run, oldest first."""
    return [(r.run.partition("@")[0], r.outcome) for r in runs]


def test_a_suspended_job_is_one_run_and_its_pause_no_run_time(played: Played) -> None:
    """Its controller deletes the pod, and begins the Job's time anew when it goes on: what ran before is an attempt."""
    (run,), job = played.runs["paused"], played.ends["paused-1"]
    assert run.outcome is Outcome.SUCCEEDED
    assert [e.attempt for e in run.steps] == [0, 1]
    assert near(run.end, unix(job["status"]["completionTime"]), LATE)
    created = unix(job["metadata"]["creationTimestamp"]) or 0.0
    assert near(run.makespan, (run.end or 0.0) - created - PAUSE, LATE + LATE)
    assert run.suspension is not None
    assert near((run.makespan or 0.0) + run.suspension.seconds, (run.end or 0.0) - created, LATE)


def test_the_pause_of_a_suspended_job_is_no_run_time_in_the_history_either(played: Played) -> None:
    """Metrics alone have the pod that was deleted as well, whose time counts."""
    definition, seen = define(DEFINED[0]), played.seen
    assert definition is not None and seen is not None
    placed = assign(seen.facts, [definition], job_owners=seen.job_owners).executions
    with Store(":memory:") as store:
        store.add(placed, records=job_ends(seen.jobs, [definition], placed))
        (run,) = store.runs(definition.key, definition=definition)
    cut, whole = sorted(placed[definition.key]["paused-1"], key=lambda e: e.created or 0.0)
    idle = (whole.created or 0.0) - (cut.finished or 0.0)
    assert idle >= PAUSE - LATE
    assert near(run.makespan, (whole.finished or 0.0) - (cut.created or 0.0) - idle, 2.0)
    assert near(run.end, unix(played.ends["paused-1"]["status"]["completionTime"]), LATE)
    assert run.outcome is Outcome.SUCCEEDED


def test_a_failed_job_made_again_under_its_name_is_a_second_run(played: Played) -> None:
    assert outcomes(played.runs["again"]) == [("again-1", Outcome.FAILED), ("again-1", Outcome.SUCCEEDED)]
    assert len({r.run for r in played.runs["again"]}) == 2
    assert [len(r.steps) for r in played.runs["again"]] == [1, 1]


def test_a_job_whose_pod_is_deleted_is_one_run_that_ends_when_its_controller_says(played: Played) -> None:
    (run,), job = played.runs["moved"], played.ends["moved-1"]
    assert run.outcome is Outcome.SUCCEEDED
    assert near(run.end, unix(job["status"]["completionTime"]), LATE)
    assert near(run.start, unix(job["status"]["startTime"]), LATE)
    assert [e.attempt for e in run.steps] == [0, 1]


def test_a_pipeline_run_made_from_a_failed_one_is_a_run_of_its_own(played: Played) -> None:
    """Under another name, as ``tkn pipeline start --use-pipelinerun`` makes it, and under its own."""
    assert outcomes(played.runs["build"]) == [
        ("build-1", Outcome.FAILED),
        ("build-run-x7k2z", Outcome.SUCCEEDED),
        ("build-1", Outcome.SUCCEEDED),
    ]
    assert len({r.run for r in played.runs["build"]}) == 3
    for run in played.runs["build"][1:]:
        end = played.ends[run.run.partition("@")[0]]
        assert near(run.end, unix(end["status"]["completionTime"]), LATE)
