"""What a daemon costs: its whole life, although that is no work of the run."""

from __future__ import annotations

import pytest

from concertmaster.core.analysis.cost.runs import Costs
from concertmaster.core.analysis.replay import critical_share
from concertmaster.core.model.policy import Pricing
from tests.support.core.scenario_builder import Pod, argo, scenario, task

HOUR = 3600.0


def work(_: object) -> dict[str, Pod]:
    """The daemon serves 50 minutes: while load and query run, and longer."""
    return {"db": Pod(3000.0), "load": Pod(600.0), "query": Pod(300.0)}


@pytest.mark.parametrize("daemon", [True, False], ids=["daemon", "step"])
def test_the_life_of_a_daemon_is_paid_as_that_of_any_pod(daemon: bool) -> None:
    templates = {"db": {"daemon": True}} if daemon else {}
    manifest = argo(task("db"), task("load", "db"), task("query", "load"), templates=templates)
    found = scenario(manifest, 12, work)
    prices = Pricing(cpu_core_hour=1.0, memory_gib_hour=0.0)
    run = found.runs[0]
    lives = {e.step: (e.finished or 0.0) - (e.scheduled or 0.0) for e in run.steps}
    assert lives["db"] >= 3000.0
    cost, cores = Costs(prices).run(run), {e.step: e.containers[0].cpu_request or 0.0 for e in run.steps}
    assert cost is not None
    assert cost.requested == pytest.approx(sum(cores[step] * life / HOUR for step, life in lives.items()))
    per_run = found.analysis().cost.per_run
    assert per_run is not None
    dearer = scenario(manifest, 12, lambda k: {**work(k), "db": Pod(6000.0)}).analysis().cost.per_run
    assert dearer is not None
    assert dearer.requested > 1.3 * per_run.requested, "it is paid as long as it lives"
    analysis = found.analysis()
    drag = critical_share(analysis.executed, analysis.definition.graph)["db"].drag
    assert (drag < 60.0) is daemon
