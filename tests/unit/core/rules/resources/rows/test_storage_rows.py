"""Ephemeral storage in a right-sizing: evictions, limits that are nearly reached, and requests far above the use."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.changes.admission.capacity import LARGEST_NODE, Capacity
from concertmaster.core.changes.admission.model import LimitRange, ResourceQuota
from concertmaster.core.changes.admission.nodes import Nodes
from concertmaster.core.rules.resources.rows.storage_rows import evicted_at
from tests.support.builders import MI, container
from tests.support.core.scenario_builder import Pod, Scenario, Work, noise, scenario
from tests.support.core.scenarios import STEPS, etl, measured, resources

GI = 1024 * MI
FULL = measured(memory_sampled_peak=960 * MI)


def used(peak: float, request: float, limit: float | None = None, message: str | None = None) -> Scenario:
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
    return scenario(etl(transform=resources(requests=sizes, **limits)), 42, work)


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
    found = used(0, 1 * GI, message=said)
    assert [i.new for i in found.one("right-size").items] == ["18Gi"]
    roomy = found.one("right-size", storageHeadroomPercent="100")
    assert [i.new for i in roomy.items] == ["24Gi"], "what is to be raised has the headroom of the policy, too"


def test_evictions_above_a_limit_are_failed_runs_avoided() -> None:
    """Every seventh run fails; a full node, which evicts whatever the limit is, promises nothing."""
    item = used(0.6 * GI, 1 * GI, 1 * GI, 'Container main exceeded its local ephemeral storage limit "1Gi". ').one(
        "right-size"
    )
    assert not item.minor
    assert item.failures_avoided is not None and item.impact.failed_runs is not None
    assert item.failures_avoided.likely == pytest.approx(1 / 7, rel=0.2)
    assert item.failures_avoided.low < 0.1 < 0.2 < item.failures_avoided.high
    assert item.otherwise == "pods that exceed their ephemeral-storage limit keep being evicted"
    full = used(
        0,
        1 * GI,
        message="The node was low on resource: ephemeral-storage. Container main was using 12Gi, request is 1Gi",
    )
    assert full.one("right-size").failures_avoided is None


DISK = "ephemeral-storage"


@pytest.mark.parametrize(
    ("capacity", "new", "by"),
    [
        (Capacity((ResourceQuota("disk", {f"limits.{DISK}": 2.5 * GI}),)), "2560Mi", "ResourceQuota disk"),
        (Capacity((ResourceQuota("disk", {DISK: 2.5 * GI}),)), "2560Mi", "ResourceQuota disk"),
        (Capacity((), (LimitRange("sizes", "Container", {}, {DISK: 2.4 * GI}),)), "2457Mi", "LimitRange sizes"),
        (Capacity((), (LimitRange("sizes", "Container", {DISK: 4 * GI}),)), "4Gi", "LimitRange sizes"),
        (Capacity(nodes=Nodes({DISK: 2.5 * GI})), "2560Mi", LARGEST_NODE),
        (Capacity((ResourceQuota("disk", {DISK: 8 * GI}),)), "2816Mi", ""),
    ],
)
def test_sizes_keep_to_what_the_namespace_allows(capacity: Capacity, new: str, by: str) -> None:
    item = replace(used(1.9 * GI, 2 * GI, 2 * GI), capacity=capacity).one("right-size")
    assert [i.new for i in item.items] == [new, new]
    found = [line for line in item.evidence if line.startswith(DISK)]
    assert found == ([f"{DISK} of transform: {new} is limited by {by}"] if by else [])
    assert " first" not in item.expected


@pytest.mark.parametrize(
    ("capacity", "first"),
    [
        (
            Capacity((ResourceQuota("disk", {DISK: 2 * GI}),)),
            "raise ResourceQuota disk from 2Gi to at least 2816Mi first",
        ),
        (
            Capacity((), (LimitRange("sizes", "Container", {}, {DISK: 2 * GI}),)),
            "raise LimitRange sizes from 2Gi to at least 2816Mi first",
        ),
        (
            Capacity(nodes=Nodes({DISK: 2 * GI})),
            "add a node with more than 2816Mi allocatable first: the largest of the last day had 2Gi",
        ),
    ],
)
def test_what_allows_less_than_runs_write_has_to_be_raised_first(capacity: Capacity, first: str) -> None:
    item = replace(used(1.9 * GI, 2 * GI, 2 * GI), capacity=capacity).one("right-size")
    assert [i.new for i in item.items] == ["2816Mi", "2816Mi"]
    assert item.expected.endswith(f"; {first}")


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
    run = scenario(
        etl(), 1, lambda _: {"extract": Pod(5, containers=(container(),), fails="Evicted", message=message)}
    ).runs[0]
    assert evicted_at(run.steps[0]) == size
