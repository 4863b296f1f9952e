"""Simulated pods: what annotations mean, the exporter's page, and the stages kwok is given."""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.pods import kwok
from testbed.pods.exporter import exposition, serve
from testbed.pods.simulation import PodModel, chance, parse_quantity
from testbed.process import TestbedError

NOW = 1_700_000_100.0
UID = "80000000-0000-4000-8000-ffffff000000"


def pod(
    notes: dict[str, str], resources: dict[str, Any] | None = None, *, started: float | None = NOW - 10
) -> dict[str, Any]:
    """A pod with containers `wait` and `main`, running since `started`."""
    state: dict[str, Any] = {"waiting": {"reason": "ContainerCreating"}}
    if started is not None:
        state = {"running": {"startedAt": datetime.fromtimestamp(started, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}}
    names = ("wait", "main")
    return {
        "metadata": {"namespace": "n", "name": "p", "uid": UID, "annotations": notes},
        "spec": {"containers": [{"name": n, "resources": (resources or {}) if n == "main" else {}} for n in names]},
        "status": {
            "containerStatuses": [{"name": n, "image": "i:1", "restartCount": 0, "state": state} for n in names]
        },
    }


@pytest.mark.parametrize(
    ("text", "number"), [("250m", 0.25), ("2", 2), ("64Mi", 64 * 2**20), ("1.5G", 1.5e9), (3, 3), ("1Ki", 1024)]
)
def test_quantities(text: str | int, number: float) -> None:
    assert parse_quantity(text) == number


@pytest.mark.parametrize("text", ["", "x", "1 Gi", "1Xi", "-1"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(TestbedError, match="is not a quantity; examples"):
        parse_quantity(text)


def test_without_annotations_a_pod_runs_two_seconds_on_a_tenth_of_a_core() -> None:
    model = PodModel.of(pod({}))
    assert (model.main, model.seconds, model.cores) == ("main", 2.0, 0.1)


def test_a_cpu_limit_below_the_need_stretches_the_run_and_throttles() -> None:
    model = PodModel.of(pod({"sim/duration": "10", "sim/cpu": "2"}, {"limits": {"cpu": "500m"}}))
    assert (model.seconds, model.cores) == (40, 0.5)
    usage = model.usage("main", 40)
    assert usage.cpu_seconds == 20, "the work is the same, however long it takes"
    assert usage.throttled_periods == usage.periods == 400


def test_an_ample_limit_changes_nothing() -> None:
    model = PodModel.of(pod({"sim/duration": "10", "sim/cpu": "2"}, {"limits": {"cpu": "4"}}))
    assert (model.seconds, model.cores) == (10, 2)
    assert model.usage("main", 5).throttled_seconds == 0


def test_on_a_contended_node_the_request_is_the_bound_and_nothing_is_throttled() -> None:
    notes = {"sim/duration": "10", "sim/cpu": "2", "sim/contended": "true"}
    model = PodModel.of(pod(notes, {"requests": {"cpu": "1"}}))
    usage = model.usage("main", 20)
    assert model.seconds == 20
    assert not usage.limited and usage.throttled_seconds == 0 and usage.waiting_seconds == 10


def test_the_share_that_needs_no_cpu_is_not_stretched_and_the_work_stays_the_same() -> None:
    notes = {"sim/duration": "10", "sim/cpu": "2", "sim/contended": "true", "sim/serial-percent": "40"}
    full, ample = (PodModel.of(pod(notes, {"requests": {"cpu": cpu}})) for cpu in ("1", "3"))
    assert (full.seconds, ample.seconds) == (16, 10)
    assert full.usage("main", 16).cpu_seconds == pytest.approx(12) == ample.usage("main", 10).cpu_seconds
    assert full.usage("main", 16).waiting_seconds == pytest.approx(6), "what it would save with all the CPU it wants"


def test_a_node_that_is_not_quite_full_gives_more_than_the_request() -> None:
    notes = {"sim/cpu": "2", "sim/contended": "true", "sim/spare-percent": "25"}
    assert PodModel.of(pod(notes, {"requests": {"cpu": "1"}})).cores == 1.25


def test_bursts_that_no_sample_shows_cost_time_below_a_request() -> None:
    notes = {"sim/duration": "10", "sim/burst-cpu": "800m", "sim/burst-percent": "20"}
    assert [PodModel.of(pod(notes, {"requests": {"cpu": c}})).seconds for c in ("1", "800m", "700m")] == [10, 10, 12]


def test_on_a_node_short_of_memory_the_request_is_all_there_is() -> None:
    notes = {"sim/memory-peak": "1000", "sim/crowded": "true"}
    model = PodModel.of(pod(notes, {"requests": {"memory": "600"}, "limits": {"memory": "900"}}))
    assert (model.memory_room, model.memory_limit) == (600, 900)
    assert model.usage("main", 99).working_set == 600


def test_memory_rises_to_the_peak_and_stops_at_the_limit() -> None:
    model = PodModel.of(pod({"sim/duration": "10", "sim/memory-peak": "1000"}))
    assert [round(model.usage("main", t).working_set) for t in (0, 4, 8, 10, 99)] == [100, 550, 1000, 1000, 1000]
    held = PodModel.of(pod({"sim/duration": "10", "sim/memory-peak": "1000"}, {"limits": {"memory": "600"}}))
    assert held.usage("main", 9).working_set == 600


def test_jitter_is_drawn_from_the_uid() -> None:
    assert chance(UID, 0) == 0.5 and chance(UID, 24) == pytest.approx(1, abs=1e-6)
    model = PodModel.of(
        pod(
            {
                "sim/duration": "10",
                "sim/jitter-percent": "40",
                "sim/memory-peak": "100",
                "sim/memory-jitter-percent": "20",
            }
        )
    )
    assert model.seconds == 10
    assert model.memory_peak == pytest.approx(120, abs=0.1)


@given(st.floats(0, 1e5), st.floats(0, 1e5), st.integers(1, 4000), st.integers(1, 4000))
def test_counters_never_fall(first: float, second: float, want: int, limit: int) -> None:
    model = PodModel.of(pod({"sim/cpu": f"{want}m", "sim/fs-read": "1M"}, {"limits": {"cpu": f"{limit}m"}}))
    early, late = (model.usage("main", at) for at in sorted((first, second)))
    for name in ("cpu_seconds", "periods", "throttled_periods", "throttled_seconds", "fs_read_bytes", "working_set"):
        assert getattr(early, name) <= getattr(late, name)
    assert late.throttled_periods <= late.periods


def lines(page: str, metric: str) -> dict[str, float]:
    """Container label -> value of a family."""
    found = {}
    for labels, value in re.findall(rf"^{metric}{{(.*)}} (\S+)$", page, re.M):
        container = re.search(r'container="([^"]*)"', labels)
        found[container.group(1) if container else ""] = float(value)
    return found


def test_the_page_has_kubelet_names_and_labels() -> None:
    page = exposition([pod({"sim/cpu": "500m", "sim/duration": "20", "sim/network-receive": "1000"})], NOW)
    assert lines(page, "container_cpu_usage_seconds_total") == {"main": 5.0, "wait": 0.1, "": 5.1}
    assert lines(page, "container_network_receive_bytes_total") == {"": 500}
    assert lines(page, "container_cpu_cfs_periods_total") == {}
    (main,) = re.findall(r'^container_memory_max_usage_bytes\{(.*container="main".*)\} ', page, re.M)
    labels = dict(re.findall(r'(\w+)="([^"]*)"', main))
    assert labels.keys() == {"namespace", "pod", "container", "image", "id", "name"}
    assert UID.replace("-", "_") in labels["id"] and labels["id"].endswith(f"{labels['name']}.scope")
    assert page.count("# TYPE container_cpu_usage_seconds_total counter\n") == 1


def test_series_exist_only_while_the_container_runs() -> None:
    assert exposition([pod({}, started=None)], NOW) == ""


def test_timestamps_are_sent_only_when_asked_for() -> None:
    plain, stamped = (exposition([pod({})], NOW, timestamps=asked) for asked in (False, True))
    assert all(len(line.split()) == 2 for line in plain.splitlines() if not line.startswith("#"))
    assert all(line.endswith(f" {int(NOW * 1000)}") for line in stamped.splitlines() if not line.startswith("#"))


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_scrape_fails_while_the_api_server_is_away() -> None:
    answers: list[Any] = [TestbedError("GET /pods failed: refused"), [pod({})]]

    def pods() -> list[dict[str, Any]]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    server = serve(("127.0.0.1", 0), pods)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        port = int(server.server_address[1])
        assert get(port, "/healthz") == (200, "ok\n")
        assert get(port, "/metrics/cadvisor") == (503, "GET /pods failed: refused\n")
        status, page = get(port, "/metrics/cadvisor")
        assert status == 200 and 'container="main"' in page
        assert get(port, "/")[0] == 404
    finally:
        server.shutdown()
        server.server_close()


def test_stages_expand_to_kwok_objects() -> None:
    stages = {stage["metadata"]["name"]: stage for stage in kwok.stages()}
    assert {"node-ready", "pod-admit", "pod-start", "pod-succeed", "pod-fail", "pod-oom", "pod-delete"} <= stages.keys()
    endings = ("pod-succeed", "pod-fail", "pod-oom", "pod-restart-failed", "pod-restart-oom")
    for name in endings:  # kwok picks one at random where two fit: a pod past its deadline must fit one only
        assert stages[name]["spec"]["selector"]["matchExpressions"][0]["key"].partition("oomat")[2].count("plays") == 2
    assert stages["pod-deadline"]["spec"]["selector"]["matchExpressions"][0]["key"].endswith("alive and late")
    oom = stages["pod-oom"]["spec"]
    (expression,) = oom["selector"]["matchExpressions"]
    assert expression["values"] == ["true"] and expression["key"].endswith(
        'plays and oom and .spec.restartPolicy == "Never"'
    )
    assert "def oom:" in oom["delay"]["durationFrom"]["expressionFrom"]
    (step,) = oom["steps"]
    assert '{{ $code := 137 }}{{ $reason := "OOMKilled" }}\nstatus:\n  {{ $now := Now }}' in step["patch"]["template"]


def test_what_changes_a_pod_is_refused_when_the_pod_has_changed_meanwhile() -> None:
    """Otherwise a busy kwok ends a pod twice, at different times."""
    found = [stage for source in (kwok.SOURCE, kwok.ENGINES_SOURCE) for stage in kwok.stages(source)]
    patches = [step["patch"] for stage in found for step in stage["spec"]["steps"] if "patch" in step]
    assert len(patches) > 10
    assert all("resourceVersion: {{ .metadata.resourceVersion | Quote }}" in patch["template"] for patch in patches)


def test_a_misspelt_stage_key_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "stages.yaml"
    source.write_text(json.dumps({"pod-x": {"when": "true", "stauts": "phase: Running"}}))
    with pytest.raises(TestbedError, match="stage pod-x has unknown keys stauts"):
        kwok.stages(source)
