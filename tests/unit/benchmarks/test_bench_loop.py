"""The table of the loop with real parts: what it counts, and that batches can be pooled from their file."""

from __future__ import annotations

import json
from dataclasses import asdict

from benchmarks.changes.campaigns import Campaign
from benchmarks.changes.loop import figures, lines, outcome_of, too_busy
from benchmarks.changes.loop_bed import Outcome
from benchmarks.changes.loop_scenarios import KINDS, UNCHANGED, WORK, Figures, Scenario
from benchmarks.changes.loop_track import Pace, Track
from concertmaster.core.model import ContainerFact, WorkflowDefinition
from concertmaster.core.model.policy import Policy
from concertmaster.core.pipeline import analyze_workflow
from concertmaster.engines.define import define
from tests.support.builders import MI, NOW, container, run

ROWS = [
    Outcome(Campaign("faster", "parallelism", "Improved", False, 5, (-0.5, -0.4, -0.3), -0.35, True), 8, 90.0),
    Outcome(Campaign("faster", "parallelism", "Same", True, 9, (-0.5, -0.4, -0.3), -0.1, False), 9, 150.0),
    Outcome(Campaign("starved", "cpu-request", "Improved", False, 5, (-0.4, -0.3, -0.1), -0.2, True), 8, 90.0),
    Outcome(Campaign("cheaper", "", "none", False, 0, None, None, None)),
    Outcome(Campaign("slower", "cpu-request", "Worse", True, 4, (-0.4, -0.3, -0.2), -0.3, True), 5, 60.0),
    Outcome(Campaign("slower", "cpu-request", "none", False, 17, (-0.4, -0.3, -0.2), -0.3, True), 17),
    Outcome(Campaign("kills", "right-size", "Worse", True, 2, (-0.4, -0.3, -0.2), None, None), 3, 30.0),
]


def test_promises_and_false_restores_are_of_good_changes_and_the_undecided_is_not_caught() -> None:
    found = figures(ROWS)
    assert (found["inside_percent"], found["inside_of"]) == (66.7, 3)
    assert found["false_restores_percent"] == 33.3
    assert (found["slower_caught_percent"], found["kills_caught_percent"]) == (50.0, 100.0)
    assert found["minutes_to_verdict"] == {"faster": 2.0, "starved": 1.5, "cheaper": None, "slower": 1.0, "kills": 0.5}
    assert (found["unchanged"], found["undecided"]["slower"]) == (1, 1)


def test_memory_that_was_not_touched_cannot_fall_short() -> None:
    other = Outcome(Campaign("kills", "cpu-request", "Improved", False, 9, (-0.2, -0.1, -0.05), -0.15, True), 11, 60.0)
    found = figures([*ROWS, other])
    assert found["kills_caught_percent"] == 100.0
    assert (found["inside_percent"], found["inside_of"]) == (75.0, 4)


def test_rows_survive_their_file_and_the_table_has_a_column_for_each_batch() -> None:
    rows = json.loads(json.dumps([asdict(row) for row in ROWS]))
    assert figures([outcome_of(row) for row in rows]) == figures(ROWS)
    one = {"seed": 1, "runs": 9, "seconds": 25.0, "minutes": 2.5, "cpus": 2, "load": [1.0, 2.0], "rows": rows}
    page = "\n".join(lines({"batches": [one, {**one, "seed": 2, "rows": rows[:1]}]}))
    assert "| what | must | seed 1 | seed 2 |" in page
    assert "| 66.7% of 3 (cpu-request 100.0% of 1; parallelism 50.0% of 2) | 100.0% of 1 (parallelism" in page
    assert "Seed 1: 7 workflows, 9 runs" in page


def test_a_scenario_is_the_same_for_the_same_seed_and_hides_its_figures_from_the_template() -> None:
    for kind in KINDS:
        one, same, other = Scenario(kind, 0, 1, 20.0), Scenario(kind, 0, 1, 20.0), Scenario(kind, 0, 2, 20.0)
        assert (one.figures, one.template(), one.run(0)) == (same.figures, same.template(), same.run(0))
        assert one.figures != other.figures
        assert "{{workflow.parameters.seconds}}" in json.dumps(one.template())


def test_memory_that_is_planted_to_be_lowered_is_worth_a_recommendation() -> None:
    for number in range(20):
        scenario = Scenario("kills", number, 1, 25.0)
        f, flow = scenario.figures, define(scenario.template())
        assert flow is not None

        def used(step: str, flow: WorkflowDefinition = flow, f: Figures = f) -> tuple[ContainerFact, ...]:
            spec = next(s for s in flow.graph.steps if s.name == step).containers[0]
            peak, cores = (f.peak, f.cores) if step == WORK else (60.0, 0.1)
            return (
                container(
                    cpu_request=spec.cpu_request,
                    memory_request=spec.memory_request,
                    cpu_seconds=100 * cores,
                    memory_sampled_peak=peak * MI,
                ),
            )

        seconds = {"prepare": f.first, WORK: f.seconds}
        pause = 2 * sum(seconds.values())  # as in the bed, so that their cost is that of thousands a month
        runs = [run(flow.graph, seconds, number=i, start=NOW - (13 - i) * pause, containers=used) for i in range(12)]
        found = analyze_workflow(flow, runs, Policy(), profile=scenario.name, now=NOW)
        assert "right-size" in {r.rule for r in found.recommendations}, scenario.name


def test_runs_are_started_before_a_change_after_it_and_not_in_between() -> None:
    pace = Pace(before=2, beside=1, least=1, patience=10)
    track = Track(Scenario("cheaper", 0, 1, 20.0))
    assert track.wants(pace, 0.0)
    track.active = {"a"}
    assert not track.wants(pace, 0.0)
    for name in "ab":
        track.active = {name}
        track.look(pace, set(), 3)
    assert track.ended == 2 and not track.wants(pace, 2.0) and not track.over(pace)
    track.look(pace, set(), 13)
    assert not track.given_up, "however long ten cycles take"
    track.look(pace, set(), 14)
    assert track.given_up and track.over(pace), "no change came of it in time"


def test_an_unchanged_workflow_runs_for_as_long_as_the_others_and_keeps_nobody_waiting() -> None:
    pace = Pace(before=2, beside=2, patience=1)
    track = Track(Scenario(UNCHANGED, 0, 1, 20.0))
    for number in range(9):
        assert track.wants(pace, 0.0) and track.over(pace)
        track.active = {str(number)}
        assert not track.wants(pace, 0.0), "one run at a time: it takes room from the others"
        track.look(pace, set(), 10 * number)
    assert track.ended == 9 and not track.given_up
    assert track.scenario.policy(least=6, most=30)["spec"]["apply"]["mode"] == "Recommend"


def test_a_batch_whose_operator_hardly_ran_is_not_published() -> None:
    batch = {"minutes": 20.0, "interval": 20, "cycles": 30, "load": [1.0, 14.2]}
    assert too_busy(batch) == ""
    assert "finished 29 cycles in 20.0 minutes" in too_busy({**batch, "cycles": 29})
