"""``batch-small-steps``: pods that mostly start, in a fan-out or in a row."""

from __future__ import annotations

import pytest

from concertmaster.core.model import Category
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, argo, noise, scenario, task


def test_batches_of_a_limited_fan_out_shorten_the_run() -> None:
    item = scenarios.batch_small_steps().one("batch-small-steps")
    # 16 pods of 25 s in 4 rounds take 100 s; 4 pods of 20 + 4 * 5 s in one round take 40 s.
    assert item.action == "Batch the items of check: 1 -> 4 per pod"
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(60, rel=0.1)
    assert "work 5s each and take 20s to get a node and start" in item.because
    assert "80% of their time is not work" in item.because
    assert "4m00s less pod time" in item.expected  # 12 starts of 20 s


def test_a_batch_that_takes_one_round_is_tried() -> None:
    of = argo(task("check", withItems=[str(i) for i in range(36)]), templates={"main": {"parallelism": 4}})
    value = noise()
    item = scenario(of, 20, lambda _: {"check": [Pod(value(5), startup=25.0) for _ in range(36)]}).one(
        "batch-small-steps"
    )
    # 8 items take two rounds of 65 s, 9 items one of 70 s, 16 items one of 105 s
    assert item.proposed == "4 pods of 9 items"
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(9 * 31 - 71, rel=0.1)


def test_without_a_limit_batches_only_save_pod_time() -> None:
    of = argo(task("check", withItems=list("abcdefgh")), task("train"))
    value = noise()
    item = scenario(
        of, 20, lambda _: {"check": [Pod(value(5), startup=30.0) for _ in range(8)], "train": value(900)}
    ).one("batch-small-steps")
    assert item.category is Category.COST
    assert item.gain_share is None
    assert "1 -> 8 per pod" in item.action
    assert "no impact on run duration" in item.expected


def test_small_steps_in_a_row_become_one() -> None:
    of = argo(task("a"), task("b", "a"), task("c", "b"), task("d", "c"))
    value = noise()
    item = scenario(of, 20, lambda _: {**{n: Pod(value(5), startup=15.0) for n in "abc"}, "d": value(100)}).one(
        "batch-small-steps"
    )
    assert item.action == "Merge a, b and c into one step"
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(2 * 16, rel=0.1)


@pytest.mark.parametrize("queued", [False, True])
def test_a_wait_for_kueues_quota_is_no_start_up(queued: bool) -> None:
    """Pods that Kueue admits one by one have no node until they have quota, which a batch needs for as long."""
    more = {"podMetadata": {"labels": {"kueue.x-k8s.io/queue-name": "team"}}} if queued else {}
    of = argo(task("check", withItems=list("abcdefgh")), task("train"), **more)
    value = noise()

    def found(wait: float, startup: float) -> list[str]:
        base = scenario(
            of, 20, lambda _: {"check": [Pod(value(5), wait, startup) for _ in range(8)], "train": value(900)}
        )
        return [r.because for r in base.recommended("batch-small-steps")]

    assert (found(9.0, 1.0) == []) is queued
    (because,) = found(9.0, 30.0)
    assert ("take 30s to start" if queued else "take 39s to get a node and start") in because


def test_a_wait_until_the_first_pods_end_is_no_start_up() -> None:
    """On nodes with room for two pods, batches wait as long; a node that all pods wait for is waited for once a batch."""
    of = argo(task("check", withItems=list("abcdefgh")), templates={"main": {"parallelism": 4}})
    value = noise()

    def found(*waits: float) -> list[str]:
        base = scenario(of, 20, lambda _: {"check": [Pod(value(20), wait) for wait in waits]})
        return [r.because for r in base.recommended("batch-small-steps")]

    assert found(*(3.0 + 22.0 * (i // 2) for i in range(8))) == []
    (because,) = found(*8 * [60.0])
    assert "take 1m02s to get a node and start" in because


def test_long_items_and_forks_are_silent() -> None:
    value = noise()
    wide = argo(task("check", withItems=list("abcdefgh")), templates={"main": {"parallelism": 2}})
    assert (
        scenario(wide, 20, lambda _: {"check": [value(200) for _ in range(8)]}).recommended("batch-small-steps") == []
    )
    slow = {"check": [Pod(value(200), startup=300.0) for _ in range(8)]}
    assert scenario(wide, 20, lambda _: slow).recommended("batch-small-steps") == []
    fork = argo(task("a"), task("b", "a"), task("c", "a"))
    assert (
        scenario(fork, 20, lambda _: {n: Pod(value(5), startup=15.0) for n in "abc"}).recommended("batch-small-steps")
        == []
    )


def test_pods_that_serve_until_the_run_ends_are_no_small_steps() -> None:
    of = argo(
        task("workers", withItems=list("abcdefgh")), task("query", "workers"), templates={"workers": {"daemon": True}}
    )
    value = noise()
    s = scenario(of, 20, lambda _: {"workers": [Pod(value(5), startup=30.0) for _ in range(8)], "query": value(900)})
    assert s.recommended("batch-small-steps") == []


def test_pods_that_became_long_are_no_small_ones() -> None:
    """They were in 30 of 42 runs, and each of the newest has four rounds of five minutes of work."""
    of = argo(task("check", withItems=list("abcdefghijklmnop")), templates={"main": {"parallelism": 4}})
    value = noise()
    made = scenario(
        of, 42, lambda i: {"check": [Pod(value(5 if i < 30 else 300), wait=5.0, startup=15.0) for _ in range(16)]}
    )
    assert made.recommended("batch-small-steps") == []
