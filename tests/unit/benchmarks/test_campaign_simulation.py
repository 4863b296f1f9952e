"""The simulated workflow of the campaigns: its pods request what its manifest says."""

from __future__ import annotations

import numpy as np

from benchmarks.changes.campaign_simulation import MI, new_simulation, play


def test_each_step_requests_what_the_manifest_says() -> None:
    """A right-sizing lowers the requests of the small steps, too: in short workflows they are much of the saving."""
    simulation, raw = new_simulation(np.random.default_rng(1), "cheaper")
    for template in raw["spec"]["templates"]:
        if template["name"] in ("prepare", "collect"):
            template["container"]["resources"]["requests"] = {"cpu": "350m", "memory": "112Mi"}
    run = play(simulation, raw, 0, np.random.default_rng(2), harmed=False)
    small = {e.step: e.containers[0] for e in run.steps if e.step != "work"}
    for own in small.values():
        assert (own.cpu_request, own.memory_request) == (0.35, 112 * MI)
    assert set(small) == {"prepare", "collect"}
