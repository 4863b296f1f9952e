"""Facts from a metrics source: what the command line asks for."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from concertmaster import engines
from concertmaster.cli.analysis import analyze
from concertmaster.cli.analyze_report import print_report
from concertmaster.cli.errors import UserError
from concertmaster.cli.gather import Facts, from_file, from_prometheus, load_objects
from concertmaster.core.model import ContainerFact, JobFact, PodFact
from concertmaster.settings import MetricsSource
from tests.support.data.metrics_store import Labels, running, vector

NOW = 1_000_000.0
FACTS = Path(__file__).resolve().parents[3] / "examples" / "facts" / "demo.jsonl.gz"
TEKTON = {
    "label_tekton_dev_pipeline": "build",
    "label_tekton_dev_pipeline_run": "build-x7k2z",
    "label_tekton_dev_pipeline_task": "compile",
}
JOBSET = {
    "label_jobset_sigs_k8s_io_jobset_name": "train-x7k2z",
    "label_jobset_sigs_k8s_io_replicatedjob_name": "worker",
    "label_jobset_sigs_k8s_io_job_index": "0",
}
ARGO = {"label_workflows_argoproj_io_workflow_template": "etl"}


def rows(query: str, owner: tuple[str, str], labels: Labels) -> list[tuple[Labels, Any]]:
    """One pod of ``owner``, whose labels are exported only to who asks for them."""
    pod = {"namespace": "ci", "pod": f"{owner[1]}-main-1473801270", "uid": "u-1"}
    if '"records"' in query:
        target = {"job": "ksm", "instance": "k:1"}
        return [({"stat": stat, **target}, 1) for stat in ("up", "seen", "now")] + [({"stat": "interval"}, 30)]
    if query.startswith("group by (namespace, pod, uid)"):
        return [(pod, 1)]
    if "kube_pod_created" in query:
        asked = {name: value for name, value in labels.items() if re.search(rf"\b{name}\b", query)}
        owned = {"node": "n1", "created_by_kind": owner[0], "created_by_name": owner[1]}
        return [
            ({"__name__": "kube_pod_info", **pod, **owned}, 1),
            ({"__name__": "kube_pod_labels", **pod, **asked}, 1),
            ({"__name__": "kube_pod_created", **pod}, NOW - 505),
            ({"__name__": "kube_pod_completion_time", **pod}, NOW - 200),
            ({"__name__": "kube_pod_status_phase", **pod, "phase": "Succeeded"}, 1),
        ]
    return []


@pytest.mark.parametrize(
    ("owner", "labels", "workflow"),
    [
        (("TaskRun", "build-x7k2z-compile"), TEKTON, "Pipeline/ci/build"),
        (("Job", "train-x7k2z-worker-0"), JOBSET, "JobSet/ci/train"),
        (("Workflow", "nightly-x7k2z"), ARGO, "Workflow/ci/nightly"),
    ],
)
def test_labels_of_engines_are_asked_for_without_any_definition(
    owner: tuple[str, str], labels: Labels, workflow: str
) -> None:
    with running() as store:
        store.script = lambda asked: vector(rows(asked.query, owner, labels))
        source = MetricsSource.model_validate({"name": "main", "url": store.url})
        facts = from_prometheus(source, namespaces=("ci",), window=3600.0, now=NOW, objects=())
    (pod,) = facts.pods
    assert dict(pod.labels) == {key.removeprefix("label_"): value for key, value in labels.items()}
    (definition,) = engines.infer_definitions(facts.pods)
    assert str(definition.key) == workflow
    ((run, executions),) = engines.assign(facts.pods, [definition]).executions[definition.key].items()
    assert (run.split("-x7k2z")[1], len(executions)) == ("", 1)


def test_two_weeks_are_read_in_few_queries() -> None:
    """Each look through the index of the metrics source finds the pods of a week."""
    with running() as store:
        store.script = lambda asked: vector(rows(asked.query, ("Workflow", "nightly-x7k2z"), {}))
        source = MetricsSource.model_validate({"name": "main", "url": store.url})
        from_prometheus(source, namespaces=("ci",), window=14 * 86_400.0, now=NOW, objects=())
        looks = [asked for asked in store.asked if asked.query.startswith("group by (namespace, pod, uid)")]
    assert len(looks) == 2
    assert len(store.asked) < 20


def test_metrics_are_read_without_the_client_of_the_cluster() -> None:
    """No cluster is asked: it would be loaded for nothing."""
    loads = "import sys, concertmaster.cli.commands.analyze, concertmaster.prometheus.collect.reading"
    found = subprocess.run(
        [sys.executable, "-c", f"{loads}; print('kubernetes' in sys.modules)"],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    assert found.stdout.strip() == "False"


def test_an_analysis_leaves_out_the_time_of_which_the_source_has_nothing() -> None:
    whole = from_file(FACTS)
    outage = (whole.until - 7 * 86400.0, whole.until - 4 * 86400.0)
    pods = tuple(p for p in whole.pods if p.finished is None or not outage[0] <= p.finished <= outage[1])
    rates = [
        {r.analysis.definition.key: r.analysis.cost.runs_per_month for r in analyze(facts)}
        for facts in (whole, replace(whole, pods=pods), replace(whole, pods=pods, blind=(outage,)))
    ]
    for key, rate in rates[0].items():
        assert (rates[1][key] or 0.0) < 0.85 * (rate or 0.0)
        assert rates[2][key] == pytest.approx(rate, rel=0.03)


def test_a_job_that_its_deadline_stopped_has_failed() -> None:
    """It deletes its pods, which vanish while they run, and only the Job's own series tell why."""
    spec = {"activeDeadlineSeconds": 900, "template": {"spec": {"containers": [{"name": "main", "image": "a:1"}]}}}
    cron = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "load", "namespace": "etl"},
            "spec": {"schedule": "0 * * * *", "jobTemplate": {"spec": spec}}}  # fmt: skip
    seen, jobs = [], []
    for i in range(100):
        start, late, name = i * 3600.0, i % 10 == 3, f"load-{29333520 + 60 * i}"
        jobs.append(
            JobFact("etl", name, "CronJob", "load", not late, started=start, finished=None if late else start + 600)
        )
        box = ContainerFact("main", "a:1", started=start + 3, finished=None if late else start + 600)
        pod = PodFact("etl", f"{name}-x7k2p", f"uid-{i}", owner_kind="Job", owner_name=name, created=start,
                      scheduled=start + 1, started=start + 2, containers=(box,))  # fmt: skip
        ended = (
            {"vanished": True, "last_seen": start + 880} if late else {"phase": "Succeeded", "finished": start + 600}
        )
        seen.append(replace(pod, **ended))  # type: ignore[arg-type]
    (found,) = analyze(Facts(0.0, 100 * 3600.0, tuple(seen), tuple(jobs), (cron,), ()))
    assert (found.analysis.succeeded, found.analysis.failed) == (90, 10)
    (item,) = [r for r in found.recommendations if r.rule == "timeout"]
    assert item.because.startswith("10 of 100 executions were stopped by it")
    assert item.failures_avoided is not None
    assert item.failures_avoided.low < 0.1 < item.failures_avoided.high


def test_what_runs_beyond_those_analyzed_needed_is_known_from_the_same_facts() -> None:
    """Of 230 runs in 14 days the newest 200 are analysed; one of the first day needs 3Gi, all others 200Mi."""
    requests = {"cpu": "100m", "memory": "8Gi"}
    box = {"name": "main", "image": "a:1", "resources": {"requests": requests}}
    job = {"template": {"spec": {"containers": [box]}}}
    cron = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "load", "namespace": "etl"},
            "spec": {"schedule": "0 * * * *", "jobTemplate": {"spec": job}}}  # fmt: skip
    seen, jobs = [], []
    for i in range(230):
        start, name = i * 3600.0, f"load-{29333520 + 60 * i}"
        used = 3 * 2**30 if i == 5 else 200 * 2**20
        main = ContainerFact("main", "a:1", started=start, finished=start + 600, memory_request=8 * 2.0**30,
                             cpu_request=0.1, cpu_seconds=57.0, memory_sampled_peak=float(used), samples=20)  # fmt: skip
        jobs.append(JobFact("etl", name, "CronJob", "load", True, started=start, finished=start + 600))
        seen.append(
            PodFact("etl", f"{name}-x7k2p", f"uid-{i}", owner_kind="Job", owner_name=name, created=start, scheduled=start,
                    started=start, phase="Succeeded", finished=start + 600, containers=(main,))
        )  # fmt: skip
    (found,) = analyze(Facts(0.0, 230 * 3600.0, tuple(seen), tuple(jobs), (cron,), ()))
    assert len(found.analysis.runs) == 200
    (item,) = [r for r in found.recommendations if r.rule == "right-size"]
    assert "load peaked at 3Gi of 8Gi in the largest run of 1 of 10 days (200Mi in the newest runs)" in item.because


CRON = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: etl}\nspec: {schedule: '0 * * * *'}\n"


def test_a_repository_of_workflows_also_holds_files_of_other_tools(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".github").mkdir()
    for name, text in {
        "etl.yaml": CRON,
        "kustomization.yaml": "resources: [etl.yaml]\n",
        "chart.yaml": "kind: CronJob\nmetadata: {name: {{ .Values.name }}}\n",
        ".github/ci.yaml": "on: push\n",
    }.items():
        (tmp_path / name).write_text(text)
    (found,) = load_objects([tmp_path], ["demo"])
    assert found["metadata"] == {"name": "etl", "namespace": "demo"}
    said = capsys.readouterr().err
    assert "kustomization.yaml: a document is no Kubernetes object" in said and "chart.yaml, line 2" in said
    assert "ci.yaml" not in said
    with pytest.raises(UserError, match="kustomization"):  # a file that was named is meant
        load_objects([tmp_path / "kustomization.yaml"])


def test_a_file_that_is_left_out_is_left_out_as_a_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "etl.yaml").write_text(CRON)
    (tmp_path / "mixed.yaml").write_text(f"{CRON.replace('etl', 'other')}---\na: 1\n")
    assert [raw["metadata"]["name"] for raw in load_objects([tmp_path], ["demo"])] == ["etl"]
    assert "left out: " in (said := capsys.readouterr().err) and "mixed.yaml: a document is no Kubernetes" in said


def test_a_directory_without_any_object_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no \.yaml, \.yml or \.json file"):
        load_objects([tmp_path])
    (tmp_path / "values.yaml").write_text("a: 1\n")
    with pytest.raises(UserError, match=r"values\.yaml: a document is no Kubernetes object"):
        load_objects([tmp_path])


def test_objects_without_a_namespace_are_said_to_be_in_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "etl.yaml").write_text(CRON)
    (found,) = load_objects([tmp_path / "etl.yaml"])
    assert "namespace" not in found["metadata"]
    assert (
        "etl names no namespace: taken for the namespace default; give the one they run in with -n"
        in capsys.readouterr().err
    )


def test_an_object_keeps_the_namespace_that_it_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "etl.yaml").write_text(f"{CRON}---\n{CRON.replace('name: etl', 'name: other, namespace: prod')}")
    found = load_objects([tmp_path / "etl.yaml"], ["demo"])
    assert {raw["metadata"]["name"]: raw["metadata"]["namespace"] for raw in found} == {"etl": "demo", "other": "prod"}
    assert capsys.readouterr().err == ""


def test_objects_are_read_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CRON.encode())))
    (found,) = load_objects([Path("-")], ["demo"])
    assert found["metadata"]["name"] == "etl"


def test_pods_whose_labels_are_not_exported_are_said_to_need_them() -> None:
    bare = PodFact("ci", "build-x7k2z-compile-pod", "u-1", owner_kind="TaskRun", owner_name="build-x7k2z-compile")
    with pytest.raises(UserError) as caught:
        print_report(Facts(0.0, 3600.0, (bare,), (), (), ()), "table", None, window=None, names=(), min_runs=None)
    assert "--metric-labels-allowlist=pods=[" in str(caught.value) and "tekton.dev/pipelineRun" in str(caught.value)


def test_a_field_written_twice_is_an_error_and_merged_mappings_are_none(tmp_path: Path) -> None:
    file = tmp_path / "etl.yaml"
    merged = "kind: Job\napiVersion: batch/v1\nmetadata: {name: etl}\n"
    merged += "a: &a {x: 1}\nb: &b {<<: *a, x: 2}\nc: {<<: *a, <<: *b, y: 3}\n"
    file.write_text(merged)
    (found,) = load_objects([file], ["demo"])
    assert (found["b"], found["c"]["y"]) == ({"x": 2}, 3)
    file.write_text(merged + "a: {}\n")
    with pytest.raises(UserError, match=r"etl\.yaml, line 7: is not valid YAML: a is set twice"):
        load_objects([file], ["demo"])
