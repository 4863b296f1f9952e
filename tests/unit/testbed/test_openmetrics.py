"""The history writer: valid text, the right grid, and series that exist exactly when they should."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.series.cadvisor import working_set
from testbed.series.lives import CADVISOR_PATH
from testbed.series.naming import container_cgroup, label_name, series
from testbed.series.openmetrics import ContainerLife, Grid, JobLife, PodLife, render

START = 1_700_000_000.0
LINE = re.compile(r"^([a-z_]+)\{(.*)\} (\S+) (\S+)$")


def pod(**changes: Any) -> PodLife:
    """100 s of work that starts 10 s after the first scrape; the object goes 100 s after its end."""
    container = ContainerLife(
        "main",
        started=START + 10,
        finished=START + 110,
        cpu_seconds=50,
        memory_peak=1000,
        terminated_reason="Completed",
    )
    fields: dict[str, Any] = {
        "namespace": "n",
        "pod": "p",
        "uid": "0000aaaa-1111-2222-3333-444455556666",
        "created": START,
        "containers": [container],
        "node": "node-1",
        "owner_kind": "Job",
        "owner_name": "j",
        "scheduled": START + 4,
        "started": START + 5,
        "finished": START + 110,
        "deleted": START + 210,
    }
    return PodLife(**{**fields, **changes})


def grid(**changes: Any) -> Grid:
    return Grid(START, START + 300, **{"interval": 10.0, "kubelet_offset": 0.0, "constant_interval": 10.0, **changes})


def samples(lives: list[PodLife], on: Grid, jobs: list[JobLife] = []) -> dict[str, list[tuple[str, float, float]]]:  # noqa: B006
    """Metric name -> (labels, value, seconds since START) of each sample."""
    found: dict[str, list[tuple[str, float, float]]] = {}
    for line in "".join(render(lives, on, jobs)).splitlines():
        if not line.startswith("#"):
            match = LINE.match(line)
            assert match, line
            name, labels, value, stamp = match.groups()
            found.setdefault(name, []).append((labels, float(value), float(stamp) - START))
    return found


def times(found: list[tuple[str, float, float]]) -> list[float]:
    return [time for _, _, time in found]


def test_families_are_typed_sorted_and_closed() -> None:
    text = "".join(render([pod()], grid()))
    names = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)
    assert text.endswith("# EOF\n") and text.count("# EOF") == 1
    assert len({name for name, _ in names}) == len(names)
    kind = dict(names)
    assert kind["container_cpu_usage_seconds"] == "counter" and kind["kube_pod_info"] == "gauge"
    current = ""
    for line in text.splitlines():
        if line.startswith("# TYPE"):
            current = line.split()[2]
        elif not line.startswith("# EOF"):
            metric = line.partition("{")[0]
            assert metric == (f"{current}_total" if kind[current] == "counter" else current)


def test_pod_series_live_as_long_as_the_object_and_container_series_as_the_container() -> None:
    found = samples([pod()], grid())
    assert times(found["kube_pod_owner"]) == [float(t) for t in range(0, 210, 10)]
    assert times(found["container_memory_working_set_bytes"]) == [float(t) for t in range(10, 110, 10)]
    assert times(found["kube_pod_completion_time"]) == [float(t) for t in range(110, 210, 10)]
    assert {value for _, value, _ in found["kube_pod_completion_time"]} == {START + 110}


def test_a_pod_that_vanishes_between_two_scrapes_never_shows_its_end() -> None:
    found = samples([pod(deleted=START + 115)], grid(interval=30.0, constant_interval=30.0))
    assert "kube_pod_completion_time" not in found
    assert times(found["kube_pod_owner"]) == [0, 30, 60, 90]
    assert {v for labels, v, _ in found["kube_pod_status_phase"] if "Succeeded" in labels} == {0}


def test_a_container_between_two_scrapes_leaves_nothing() -> None:
    short = ContainerLife("main", started=START + 11, finished=START + 19, cpu_seconds=8, memory_peak=10)
    found = samples([pod(containers=[short], finished=START + 19)], grid())
    assert "container_cpu_usage_seconds_total" not in found
    assert found["kube_pod_container_state_started"]


def test_the_node_is_unknown_until_the_pod_is_scheduled() -> None:
    found = samples([pod(scheduled=START + 35, started=START + 55)], grid())["kube_pod_info"]
    assert [time for labels, _, time in found if "node=" not in labels] == [0, 10, 20, 30]
    assert [time for labels, _, time in found if "node=" in labels and "pod_ip" not in labels] == [40, 50]
    assert min(time for labels, _, time in found if "pod_ip" in labels) == 60


def test_throttling_series_exist_only_with_a_cpu_limit() -> None:
    assert "container_cpu_cfs_periods_total" not in samples([pod()], grid())
    limited = ContainerLife(
        "main", started=START, finished=START + 100, cpu_limit=1, throttled_share=0.5, throttled_seconds=20
    )
    found = samples([pod(containers=[limited])], grid())
    assert [v for _, v, _ in found["container_cpu_cfs_periods_total"]][-1] == 900
    assert [v for _, v, _ in found["container_cpu_cfs_throttled_periods_total"]][-1] == 450
    assert [v for _, v, _ in found["container_cpu_cfs_throttled_seconds_total"]][-1] == pytest.approx(18)


def test_a_vanished_or_running_container_counts_until_it_was_last_there() -> None:
    running = ContainerLife("main", started=START + 10, cpu_seconds=58, memory_peak=10)
    found = samples([pod(containers=[running], finished=None, deleted=None)], grid())
    assert times(found["container_cpu_usage_seconds_total"])[-1] == 290
    assert "kube_pod_container_status_terminated_reason" not in found
    vanished = samples([pod(containers=[running], finished=None, deleted=START + 60)], grid())
    assert times(vanished["container_cpu_usage_seconds_total"])[-1] == 50
    assert times(vanished["kube_pod_owner"])[-1] == 50


def test_init_containers_have_families_of_their_own() -> None:
    first = ContainerLife(
        "init", started=START + 6, finished=START + 9, cpu_request=0.1, terminated_reason="Completed", init=True
    )
    found = samples([pod(containers=[first, *pod().containers])], grid())
    assert {labels for labels, _, _ in found["kube_pod_init_container_status_terminated_reason"]}
    assert all('container="main"' in labels for labels, _, _ in found["kube_pod_container_status_terminated_reason"])
    assert "kube_pod_init_container_resource_requests" in found
    assert "kube_pod_container_resource_requests" not in found


def test_constant_series_are_thinned_but_keep_their_first_and_last_sample() -> None:
    full = samples([pod()], grid())["kube_pod_owner"]
    thin = samples([pod()], grid(constant_interval=70.0))["kube_pod_owner"]
    assert len(thin) < len(full) / 3
    assert (thin[0], thin[-1]) == (full[0], full[-1])
    assert max(b - a for a, b in zip(times(thin), times(thin)[1:], strict=False)) <= 70


def test_outages_leave_a_gap_and_up_at_zero_for_that_job_only() -> None:
    on = grid(outages=[("kubelet", START + 50, START + 80)], up_interval=10.0)
    found = samples([pod()], on)
    assert times(found["container_memory_working_set_bytes"]) == [10, 20, 30, 40, 80, 90, 100]
    assert len(found["kube_pod_owner"]) == 21
    down = {(time, "kubelet" in labels) for labels, value, time in found["up"] if value == 0}
    assert down == {(50, True), (60, True), (70, True)}
    assert all(CADVISOR_PATH in labels for labels, _, _ in found["up"] if 'job="kubelet"' in labels)


def test_an_evicted_pod_says_so() -> None:
    found = samples([pod(phase="Failed", status_reason="Evicted")], grid())
    assert {(v, 'reason="Evicted"' in labels) for labels, v, _ in found["kube_pod_status_reason"]} == {(1, True)}
    assert {time for labels, v, time in found["kube_pod_status_phase"] if 'phase="Failed"' in labels and v == 1}


def test_jobs_and_their_cronjob() -> None:
    jobs = [
        JobLife("n", "a", START, START + 50, owner_kind="CronJob", owner_name="c", completions=3, deleted=START + 200),
        JobLife("n", "b", START + 100, START + 150, outcome="Failed", owner_kind="CronJob", owner_name="c"),
    ]
    found = samples([], grid(), jobs)
    assert {labels.split('job_name="')[1][0] for labels, _, _ in found["kube_job_complete"]} == {"a"}
    assert {(v, 'condition="true"' in labels) for labels, v, _ in found["kube_job_failed"]} == {(1, True), (0, False)}
    assert {v for _, v, _ in found["kube_job_status_completion_time"]} == {START + 50}
    schedule = {time: v for _, v, time in found["kube_cronjob_status_last_schedule_time"]}
    assert (schedule[90], schedule[100]) == (START, START + 100)
    assert max(times([s for s in found["kube_job_owner"] if 'job_name="a"' in s[0]])) == 190


@pytest.mark.parametrize(("share", "size"), [(0.0, 100.0), (0.1, 550.0), (0.2, 1000.0), (0.7, 1000.0), (1.0, 1000.0)])
def test_the_default_working_set_rises_to_the_peak(share: float, size: float) -> None:
    assert working_set(ContainerLife("c", memory_peak=1000), share) == pytest.approx(size)


@given(
    st.floats(0, 250),
    st.floats(1, 250),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1e9)), max_size=5),
    st.floats(0, 1e6),
)
def test_counters_never_fall_and_maxima_are_never_below_the_working_set(
    start: float, length: float, curve: list[tuple[float, float]], cpu: float
) -> None:
    container = ContainerLife(
        "main",
        started=START + start,
        finished=START + start + length,
        cpu_seconds=cpu,
        memory_peak=max((size for _, size in curve), default=7.0),
        memory_curve=sorted(curve),
    )
    found = samples([pod(containers=[container], finished=START + start + length, deleted=None)], grid())
    counter = [v for _, v, _ in found.get("container_cpu_usage_seconds_total", [])]
    assert counter == sorted(counter) and all(0 <= v <= cpu + 0.001 for v in counter)
    sizes = [v for _, v, _ in found.get("container_memory_working_set_bytes", [])]
    peaks = [v for _, v, _ in found.get("container_memory_max_usage_bytes", [])]
    assert all(peak >= size for peak, size in zip(peaks, sizes, strict=True))
    assert peaks == sorted(peaks)


def test_label_values_are_escaped_and_empty_ones_left_out() -> None:
    assert series("m", a='x"y\\z\n', b="") == 'm{a="x\\"y\\\\z\\n"}'
    assert label_name("tekton.dev/pipelineRun") == "label_tekton_dev_pipeline_run"
    assert label_name("batch.kubernetes.io/job-name", "annotation") == "annotation_batch_kubernetes_io_job_name"


def test_a_restarted_container_has_another_id_in_the_same_pod() -> None:
    first, second = container_cgroup("a-b", "main"), container_cgroup("a-b", "main", 1)
    assert first != second and first.rpartition("/")[0] == second.rpartition("/")[0]
    assert "poda_b.slice" in first
