"""Ephemeral storage in a right-sizing: evictions, limits that are nearly reached, and requests far above the use."""

from __future__ import annotations

import pytest

from concertmaster.core.rules.resources.storage_rows import evicted_at
from tests.support.builders import MI, container
from tests.support.core.rules_world import Pod, Scene, Work, noise, scene
from tests.support.core.scenarios import STEPS, etl, measured, resources

GI = 1024 * MI
FULL = measured(memory_sampled_peak=960 * MI)


def used(peak: float, request: float, limit: float | None = None, message: str | None = None) -> Scene:
    """``transform`` writes so much; with a ``message`` every seventh pod of it is evicted."""
    value = noise()

    def work(i: int) -> Work:
        own = measured(
            memory_sampled_peak=960 * MI, storage_request=request, storage_limit=limit, storage_peak=peak or None
        )
        bad = {"fails": "Evicted", "message": message} if message and i % 7 == 3 else {}
        pods = {n: Pod(value(s), containers=FULL) for n, s in STEPS.items()}
        return pods | {"transform": Pod(value(100), containers=own, **bad)}  # type: ignore[arg-type]

    sizes = {"cpu": "1", "memory": "1Gi", "ephemeral-storage": f"{request / MI:.0f}Mi"}
    limits = {"limits": {"ephemeral-storage": f"{limit / MI:.0f}Mi"}} if limit else {}
    return scene(etl(transform=resources(requests=sizes, **limits)), 42, work)


def test_a_peak_near_the_limit_raises_both_by_hand() -> None:
    item = used(1.9 * GI, 2 * GI, 2 * GI).one("right-size")
    assert [str(i) for i in item.items] == [
        "transform/main requests.ephemeral-storage: 2Gi -> 2816Mi (peak 1.9Gi, headroom 45%)",
        "transform/main limits.ephemeral-storage: 2Gi -> 2816Mi (peak 1.9Gi, headroom 45%)",
    ]
    assert item.edits == ()
    assert not item.automatic
    assert item.action == "Right-size ephemeral storage request of transform: 2Gi -> 2816Mi"


def test_an_eviction_says_how_much_it_was() -> None:
    said = (
        "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 500Mi. Container main was"
        " using 12Gi, request is 1Gi, has larger consumption of ephemeral-storage."
    )
    item = used(0, 1 * GI, message=said).one("right-size")
    assert [i.new for i in item.items] == ["18Gi"]


def test_a_request_far_above_the_use_comes_with_other_sizes_only() -> None:
    assert used(0.2 * GI, 20 * GI).recommended("right-size") == []


def test_use_within_its_limit_is_left_alone() -> None:
    assert used(1 * GI, 2 * GI, 2 * GI).recommended("right-size") == []


@pytest.mark.parametrize(
    ("message", "size"),
    [
        ("Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ", GI),
        ('Container main exceeded its local ephemeral storage limit "512Mi". ', 512 * MI),
        ("Pod was rejected: node had condition disk pressure", None),
        (None, None),
    ],
)
def test_the_words_of_the_kubelet(message: str | None, size: float | None) -> None:
    run = scene(
        etl(), 1, lambda _: {"extract": Pod(5, containers=(container(),), fails="Evicted", message=message)}
    ).runs[0]
    assert evicted_at(run.steps[0]) == size
