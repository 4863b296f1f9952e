"""Whatever is lost, late, refused or killed: a workflow is changed if and only if exactly one change stands."""

from __future__ import annotations

import pytest

from tests.support.controller.faulty_bed import FaultyBed

SEEDS = (35, 119, 280, *range(57))  # of the first, each found a write that was stored after it was given up


@pytest.mark.parametrize("seeds", [SEEDS[at : at + 20] for at in range(0, len(SEEDS), 20)])
def test_a_workflow_is_changed_iff_exactly_one_change_stands(seeds: tuple[int, ...]) -> None:
    for seed in seeds:
        bed = FaultyBed(seed)
        bed.play(12)
        bed.calm()
        assert bed.wrong() == "", "\n".join([f"seed {seed}: {bed.wrong()}", *bed.said])
