"""``overlap-stages``: a barrier between two fan-outs over the same items, when it costs time."""

from __future__ import annotations

import pytest

from tests.support.core import scenarios
from tests.support.core.scenario_builder import argo, noise, scenario, task

SHARDS = {"withItems": list("abcd")}


def test_the_gain_is_what_the_items_own_times_say() -> None:
    item = scenarios.overlap_stages().one("overlap-stages")
    assert item.id == "overlap-stages.train"
    # With the barrier 303 + 303 s; without, the slowest chain takes 303 + 63 s.
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(240, rel=0.05)
    assert "same 4 items" in item.because


def test_even_items_gain_nothing() -> None:
    of = argo(task("fetch", **SHARDS), task("train", "fetch", **SHARDS))
    even = scenario(of, 20, lambda _: {"fetch": [100.0] * 4, "train": [100.0] * 4})
    assert even.recommended("overlap-stages") == []


def test_other_items_and_joins_are_silent() -> None:
    value = noise()
    of = argo(task("fetch", **SHARDS), task("train", "fetch", withItems=list("abc")))
    other = scenario(
        of, 20, lambda _: {"fetch": [value(s) for s in (300, 60, 60, 60)], "train": [value(s) for s in (60, 300, 60)]}
    )
    assert other.recommended("overlap-stages") == []
    join = argo(task("fetch", **SHARDS), task("join", "fetch"))
    assert (
        scenario(join, 20, lambda _: {"fetch": [value(100)] * 4, "join": value(50)}).recommended("overlap-stages") == []
    )
