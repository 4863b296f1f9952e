"""Argo runs that are more than one pass over a graph: retried by hand, recursive, and longer than one reading."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from concertmaster.controller.collection.placement import PodPlacer
from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import Outcome, RunRecord, WorkflowDefinition, WorkflowKey
from concertmaster.core.rules.resources.rows.sizing_units import sizing_units
from concertmaster.engines.argo.live import read_run
from concertmaster.engines.assign import assign
from concertmaster.history import Store
from concertmaster.prometheus.collect.reading import Collection
from tests.support.builders import build_runs
from tests.support.engines.scenario import NAMESPACE, RETRIED, Scenario

Definitions = Mapping[WorkflowKey, WorkflowDefinition]
LOOKS = 12


def key(name: str) -> WorkflowKey:
    return WorkflowKey(NAMESPACE, "WorkflowTemplate", name)


def test_a_run_retried_by_hand_is_one_run_that_succeeded(
    scenario: Scenario, history: Collection, definitions: Definitions
) -> None:
    """It is read when it failed and again when it ended well; what lies between is no run time."""
    mended = key("mended")
    failed, now = scenario.failed, scenario.of("Workflow", RETRIED)
    assert (failed["status"]["phase"], now["status"]["phase"]) == ("Failed", "Succeeded")
    before, after = (read_run(raw, mended, definitions[mended]) for raw in (failed, now))
    assert before.complete and after.complete
    with Store(":memory:") as store:
        store.add({}, records=[before.record])
        assert [r.outcome for r in store.runs(mended)] == [Outcome.FAILED]
        store.add({}, records=[after.record])
        (live,) = store.runs(mended)
        executions = assign(history.facts, definitions.values(), job_owners=history.job_owners).executions
        store.add({mended: executions[mended]})
        (joined,) = store.runs(mended, definition=definitions[mended])
    for record in (live, joined):
        assert record.outcome is Outcome.SUCCEEDED
        assert [(e.step, e.outcome) for e in record.steps] == [
            ("fetch", Outcome.SUCCEEDED),
            ("load", Outcome.SUCCEEDED),
        ]
    load = next(e for e in after.record.steps if e.step == "load")
    assert before.record.end is not None and load.created is not None and before.record.start is not None
    idle = load.created - before.record.end
    assert live.makespan == pytest.approx((after.record.makespan or 0.0) - idle, abs=1.0)


def test_every_round_of_a_recursion_counts_for_the_size(history: Collection, definitions: Definitions) -> None:
    """The first round peaks at 250Mi, the third at 750Mi: a size from the first alone would kill it."""
    rounds = definitions[key("rounds")]
    runs = assign(history.facts, [rounds]).executions[rounds.key]
    records: list[RunRecord] = [r for run, rows in runs.items() for r in build_runs(rounds.key, run, rows, rounds)]
    assert [len(r.steps) for r in records] == [3]
    analysis = analyze(rounds, records, now=(records[0].end or 0.0) + 3600.0)
    peaks = [
        r.memory_peak
        for place in sizing_units(analysis, "memory")
        for r in place.container.runs
        if place.container.name == "main"
    ]
    assert max(p for p in peaks if p is not None) == pytest.approx(750 * 2**20, rel=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_a_long_fan_out_is_placed_whatever_is_read_together(
    seed: int, history: Collection, definitions: Definitions
) -> None:
    """Most readings of a long list hold no pod whose name alone proves the run."""
    long_list = definitions[key("long-list")]
    facts = [f for f in history.facts if (f.owner_name or "").startswith("long-list-")]
    assert len(facts) == 25
    random.Random(seed).shuffle(facts)
    placement = PodPlacer()
    found: set[str | None] = set()
    for look in range(LOOKS):
        part = Collection(history.since, history.complete_until, tuple(facts[look::LOOKS]))
        for runs in placement.place(part, list(definitions.values()), present=True).executions.values():
            found |= {e.uid for rows in runs.values() for e in rows}
    assert found == {f.uid for f in facts}
    assert long_list.key not in placement.unplaced
