"""The metrics source's part of ``concertmaster doctor`` on real Prometheus servers: healthy, broken in each way, and
absent."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable

import pytest

from concertmaster.net.retry import Tools
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.diagnostics import Diagnostic, DiagnosticStatus
from concertmaster.prometheus.collect.examination import Examination
from concertmaster.settings import MetricsSource
from testbed.pytest_plugin import MakePrometheus
from testbed.series.lives import JobLife
from testbed.series.openmetrics import Grid, render
from tests.support.cluster.histories import END, pod

GRID = Grid(END - 4000, END, kubelet_offset=0.0)
LIVES = [pod("etl", f"step-{n}", -3900 + 10 * n, 3840) for n in range(3)]


def examined(url: str, **fields: object) -> dict[str, Diagnostic]:
    source = MetricsSource.model_validate(
        {"name": "default", "url": url, "delaySeconds": 0, "timeoutSeconds": 2, "deadlineSeconds": 2, **fields}
    )
    with PrometheusClient(source, tools=Tools(sleep=lambda _: None)) as client:
        return {check.name: check for check in Examination(client, END).run()}


def history(change: Callable[[str], Iterable[str]] = lambda line: [line]) -> Iterable[str]:
    for piece in render(LIVES, GRID):
        for line in piece.splitlines(keepends=True):
            yield from change(line)


def test_a_healthy_store_passes(make_prometheus: MakePrometheus) -> None:
    checks = examined(make_prometheus(history=history()).url)
    assert {name: check.result for name, check in checks.items() if check.mark is not DiagnosticStatus.OK} == {}
    assert checks["kube_pod_info"].result.endswith("series in the last 6 h")
    assert checks["retention"].result == "10y"


def _without_id(line: str) -> Iterable[str]:
    return [re.sub(r',id="[^"]*"', "", line)]


def _moved(line: str) -> Iterable[str]:
    if not line.startswith("kube_"):
        return [line]
    return [line.replace('namespace="etl"', 'namespace="monitoring",exported_namespace="etl"')]


def _two_clusters(line: str) -> Iterable[str]:
    if not line.startswith("kube_pod_info{"):
        return [line]
    return [line.replace("{", f'{{cluster="{name}",', 1) for name in ("prod-1", "prod-2")]


def _two_teams(line: str) -> Iterable[str]:
    return [changed.replace("{", '{team="a",', 1) for changed in _two_clusters(line)]


def _renamed(family: str, label: str) -> Callable[[str], Iterable[str]]:
    return lambda line: [re.sub(rf'(?<=[{{,]){label}="', f'other_{label}="', line) if line.startswith(family) else line]


def _each_cpu(line: str) -> Iterable[str]:
    return [line.replace('cpu="total"', f'cpu="cpu0{n}"') for n in (range(2) if 'cpu="total"' in line else (0,))]


def _slow(line: str) -> Iterable[str]:
    stamp = line.rsplit(" ", 1)[-1].strip()
    keep = not line.startswith("container_") or (int(float(stamp)) - int(GRID.start)) % 120 == 0
    return [line] if keep else []


def _allow_list(line: str) -> Iterable[str]:
    dropped = ("kube_pod_created", "kube_pod_status_phase", "container_memory_max_usage_bytes")
    return [] if line.startswith(dropped) else [line]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (_without_id, {"cgroup id": (DiagnosticStatus.WARN, "keep the label id")}),
        (_moved, {"honor_labels": (DiagnosticStatus.WARN, "honorLabels: true")}),
        (_two_clusters, {"one cluster": (DiagnosticStatus.FAIL, "extraMatchers")}),
        (_renamed("kube_", "uid"), {"labels": (DiagnosticStatus.FAIL, "labels.stateMetrics")}),
        (_renamed("container_", "pod"), {"labels": (DiagnosticStatus.FAIL, "labels.containerMetrics")}),
        (_each_cpu, {"labels": (DiagnosticStatus.FAIL, "percpu")}),
        (_slow, {"scrape interval": (DiagnosticStatus.WARN, "every 15s to 30s")}),
        (
            _allow_list,
            {
                "kube_pod_created": (DiagnosticStatus.WARN, "kube-state-metrics"),
                "kube_pod_status_phase": (DiagnosticStatus.FAIL, "kube-state-metrics"),
                "container_memory_max_usage_bytes": (DiagnosticStatus.WARN, "cadvisor"),
            },
        ),
    ],
    ids=["no id", "no honor_labels", "two clusters", "no uid", "no pod", "each CPU", "slow scrape", "allow-list"],
)
def test_each_defect_is_found_alone_and_with_its_cure(
    make_prometheus: MakePrometheus,
    change: Callable[[str], Iterable[str]],
    wanted: dict[str, tuple[DiagnosticStatus, str]],
) -> None:
    checks = examined(make_prometheus(history=history(change)).url)
    odd = {name: check for name, check in checks.items() if check.mark is not DiagnosticStatus.OK}
    assert {name: check.mark for name, check in odd.items()} == {name: mark for name, (mark, _) in wanted.items()}
    for name, (_, fix) in wanted.items():
        assert fix in odd[name].fix


@pytest.mark.parametrize(
    ("exported", "lacking"),
    [
        ((), "tekton.dev/pipeline, tekton.dev/pipelineRun, tekton.dev/pipelineTask"),
        (("tekton.dev/pipeline", "tekton.dev/pipelineRun"), "tekton.dev/pipelineTask"),
        (("tekton.dev/pipeline", "tekton.dev/pipelineRun", "tekton.dev/pipelineTask"), None),
    ],
    ids=["none", "some", "all"],
)
def test_labels_that_an_engine_needs_and_nobody_exports_are_named(
    make_prometheus: MakePrometheus, exported: tuple[str, ...], lacking: str | None
) -> None:
    """Runs of Tekton were missing, and the condition sent to doctor, which called everything good."""
    labels = dict.fromkeys(exported, "etl")
    lives = [
        pod("etl", f"etl-{n}", -3900 + 10 * n, 3840, owner=("TaskRun", f"etl-{n}"), labels=labels) for n in range(3)
    ]
    check = examined(make_prometheus(history=render(lives, GRID)).url)["pod labels"]
    if lacking is None:
        assert check.mark is DiagnosticStatus.OK
        return
    assert check.mark is DiagnosticStatus.WARN
    assert check.result.startswith(f"kube_pod_labels: no pod has {lacking}: runs and steps of TaskRun pods are guessed")
    assert check.fix.endswith("pods=[tekton.dev/pipeline,tekton.dev/pipelineRun,tekton.dev/pipelineTask]")


def test_the_list_of_labels_is_that_of_all_engines_in_use(make_prometheus: MakePrometheus) -> None:
    """The allow-list is set as a whole: what one engine lacks is written beside what another has."""
    labels = {"ray.io/group": "w"}  # only pods of a RayService have ray.io/serve
    ray = pod("ml", "train-w", -3900, 3840, owner=("RayCluster", "train"), labels=labels)
    job = JobLife("ml", "sim-workers-0", END - 3900, END - 60, owner_kind="JobSet", owner_name="sim")
    check = examined(make_prometheus(history=render([ray], GRID, [job])).url)["pod labels"]
    assert check.mark is DiagnosticStatus.WARN and "ray.io" not in check.result
    assert "of JobSet pods are guessed" in check.result
    assert {"ray.io/group", "jobset.sigs.k8s.io/jobset-name"} <= set(re.findall(r"[a-z0-9./-]+", check.fix))


@pytest.mark.parametrize("early", [0, 1, 4], ids=["none", "one of twelve", "a third"])
def test_pods_that_are_deleted_before_their_end_is_scraped_are_counted(
    make_prometheus: MakePrometheus, early: int
) -> None:
    """As by a podGC without a delay. Pods that still run, and those of services, are none."""
    lives = [pod("etl", f"step-{n}", -3600 + 60 * n, 300, keep=1.0 if n < early else 300.0) for n in range(12)]
    lives += [pod("etl", "runs", -1800, 3600), pod("web", "shop", -3600, 300, owner=("ReplicaSet", "shop"), keep=1.0)]
    check = examined(make_prometheus(history=render(lives, GRID)).url)["pod ends"]
    if early == 4:
        assert check.mark is DiagnosticStatus.WARN
        said = "4 of 12 pods of runs that were deleted in the last 6 h were gone before their end was scraped"
        assert check.result.startswith(said)
        assert "podGC.deleteDelayDuration" in check.fix
    else:
        said = f"scraped of {12 - early} of 12 deleted pods of runs in the last 6 h"
        assert (check.mark, check.result) == (DiagnosticStatus.OK, said)


def test_pods_are_not_deleted_where_kube_state_metrics_is_gone(make_prometheus: MakePrometheus) -> None:
    """All that ran when it was scraped last would have been deleted without an end."""

    def stopped(line: str) -> Iterable[str]:
        stamp = float(line.rsplit(" ", 1)[-1]) if line.startswith("kube_") else 0.0
        return [line] if stamp < END - 1200 else []

    check = examined(make_prometheus(history=history(stopped)).url)["pod ends"]
    assert (check.mark, check.result) == (DiagnosticStatus.OK, "no pod of a run was deleted in the last 6 h")


def test_extra_matchers_answer_the_question_of_clusters(make_prometheus: MakePrometheus) -> None:
    url = make_prometheus(history=history(_two_clusters)).url
    assert examined(url, extraMatchers={"cluster": "prod-1"})["one cluster"].mark is DiagnosticStatus.OK


def test_extra_matchers_that_tell_no_clusters_apart_are_no_answer(make_prometheus: MakePrometheus) -> None:
    url = make_prometheus(history=history(_two_teams)).url
    assert examined(url, extraMatchers={"team": "a"})["one cluster"].mark is DiagnosticStatus.FAIL


def test_extra_matchers_that_select_nothing_are_the_finding(make_prometheus: MakePrometheus) -> None:
    """Those of one family too: the scrape of the kubelets may not add the label."""
    url = make_prometheus(history=history(_two_clusters)).url
    for cluster, found in (("prod-3", "kube_pod_info"), ("prod-1", "container_memory_working_set_bytes")):
        check = examined(url, extraMatchers={"cluster": cluster})[found]
        assert (check.mark, check.fix[:22]) == (DiagnosticStatus.FAIL, "correct extraMatchers,")
        assert "none that extraMatchers of this source (cluster) select" in check.result


def test_an_empty_store_fails_what_a_recommendation_needs(make_prometheus: MakePrometheus) -> None:
    checks = examined(make_prometheus().url)
    assert checks["metrics source"].mark is DiagnosticStatus.OK
    assert [n for n, check in checks.items() if check.mark is DiagnosticStatus.FAIL] == [
        "kube-state-metrics",
        "cAdvisor",
    ]
    assert {"labels", "honor_labels", "cgroup id", "one cluster", "scrape interval"}.isdisjoint(checks)


def test_a_store_that_does_not_answer_is_one_finding() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        checks = examined(f"http://127.0.0.1:{taken.getsockname()[1]}")
    (check,) = checks.values()
    assert (check.name, check.mark) == ("metrics source", DiagnosticStatus.FAIL)
    assert "Connection refused" in check.result
