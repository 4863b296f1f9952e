"""GPUs of pods from the answers of kube-state-metrics and DCGM."""

from __future__ import annotations

import pytest

from concertmaster.core.model import ContainerFact, PodFact
from concertmaster.core.model.amounts import is_gpu
from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.facts import gpus, missing_series
from concertmaster.prometheus.facts.drafts import PodDraft
from concertmaster.prometheus.queries import extended
from concertmaster.prometheus.queries.scope import PLAIN, QueryScope, TimeRange

COLUMNS = ("stat", "exported_namespace", "exported_pod", "exported_container", "UUID", "gpu", "GPU_I_ID")


def draft(**requests: float) -> PodDraft:
    pod = PodDraft("ml", "train-0", "u1")
    pod.container("main").requests.update(requests)
    return pod


def fact() -> PodFact:
    return PodFact("ml", "train-0", "u1", containers=(ContainerFact("main"), ContainerFact("log")))


def read(*rows: tuple[str, str, float]) -> gpus.GpuUse:
    """Use of GPUs by (stat, UUID, value), as a scrape without honor_labels leaves it."""
    answer = [(f"exported_{stat}", "ml", "train-0", "main", uuid, "0", "") for stat, uuid, _ in rows]
    use: gpus.GpuUse = {}
    gpus.read_gpus(Vector(COLUMNS, tuple(answer), [value for *_, value in rows]), PLAIN, use)
    return use


@pytest.mark.parametrize(
    ("exported", "name"),
    [
        ("nvidia_com_gpu", "nvidia.com/gpu"),
        ("nvidia_com_mig_1g_5gb", "nvidia.com/mig-1g.5gb"),
        ("nvidia_com_gpu_shared", "nvidia.com/gpu.shared"),
        ("amd_com_gpu", "amd.com/gpu"),
        ("gpu_intel_com_i915", "gpu.intel.com/i915"),
    ],
)
def test_names_of_resources_come_back(exported: str, name: str) -> None:
    assert gpus.resource_name(exported) == name
    assert is_gpu(name)


def test_use_is_the_sum_over_gpus_and_idle_ones_are_not_active() -> None:
    use = read(
        ("util.mean", "a", 66.0), ("util.peak", "a", 100.0), ("util.mean", "b", 0.0), ("util.peak", "b", 0.0),
    )  # fmt: skip
    (pod,) = gpus.with_gpus([fact()], [draft(nvidia_com_gpu=2.0)], use, reused=frozenset())
    main = pod.containers[0]
    assert (main.gpu_resource, main.gpu_request, main.gpus_active) == ("nvidia.com/gpu", 2.0, 1.0)
    assert main.gpu_used == pytest.approx(0.66)
    assert pod.containers[1] == ContainerFact("log")


def test_the_engine_is_believed_before_the_coarser_figure() -> None:
    use = read(
        ("active.mean", "a", 0.3), ("active.peak", "a", 0.5), ("util.mean", "a", 90.0), ("util.peak", "a", 100.0)
    )
    (pod,) = gpus.with_gpus([fact()], [draft(nvidia_com_mig_1g_5gb=1.0)], use, reused=frozenset())
    assert pod.containers[0].gpu_used == pytest.approx(0.3)


def test_without_series_or_with_a_reused_name_use_is_unknown() -> None:
    for use, reused in (({}, set()), (read(("util.mean", "a", 5.0)), {("ml", "train-0")})):
        (pod,) = gpus.with_gpus([fact()], [draft(nvidia_com_gpu=1.0)], use, reused=reused)
        assert pod.containers[0].gpu_request == 1.0
        assert pod.containers[0].gpu_used is None


def test_pods_without_gpus_ask_nothing() -> None:
    assert not gpus.requests_gpus(draft(cpu=1.0, memory=1.0, ephemeral_storage=1e9))
    assert gpus.requests_gpus(draft(amd_com_gpu=1.0))


def test_the_query_is_confined_to_the_namespaces_in_both_forms() -> None:
    text = extended.gpus(QueryScope(("ml",), {"cluster": "prod"}), TimeRange(600), ["train-0", "train-1"])
    assert text.count('exported_namespace="ml"') == 4
    assert text.count('{cluster="prod",namespace="ml"') == 4
    assert text.count('cluster="prod"') == 8


def test_held_gpus_without_any_series_are_a_gap_that_is_named() -> None:
    (pod,) = gpus.with_gpus([fact()], [draft(nvidia_com_gpu=1.0)], {}, reused=frozenset())
    assert "DCGM_FI_DEV_GPU_UTIL" in [m.series for m in missing_series.absent([pod] * 3)]
    (seen,) = gpus.with_gpus([fact()], [draft(nvidia_com_gpu=1.0)], read(("util.mean", "a", 5.0)), reused=frozenset())
    assert "DCGM_FI_DEV_GPU_UTIL" not in [m.series for m in missing_series.absent([seen] * 3)]
