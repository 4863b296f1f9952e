"""Whatever others do: no write that no policy allows, nobody's edit replaced, and every change ends with a reason."""

from __future__ import annotations

import pytest

from tests.support.controller.hostile_bed import HostileBed

SEEDS = tuple(range(30))


@pytest.mark.parametrize("seeds", [SEEDS[at : at + 10] for at in range(0, len(SEEDS), 10)])
def test_nothing_is_done_that_the_page_on_changes_rules_out(seeds: tuple[int, ...]) -> None:
    written = 0
    for seed in seeds:
        bed = HostileBed(seed)
        bed.play(25)
        bed.calm()
        bed.ended()
        assert not bed.wrong, "\n".join([f"seed {seed}", *bed.said])
        written += len(bed.client.target_writes)
    assert written > 10
