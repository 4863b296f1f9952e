"""Cost by component: the rows add up to the run, and each saving is taken from the components it concerns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core import pipeline
from concertmaster.core.model import Edit, Interval, SizeItem
from concertmaster.core.model.policy import Policy
from concertmaster.report.costs.components import cost_table, view
from concertmaster.report.costs.groups import PricedWorkflow, by_component
from concertmaster.report.view import View
from tests.support.builders import NOW, container
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, Scenario, argo, scenario, task


def rows_of(made: Scenario) -> tuple[pipeline.AnalysisResult, list[View]]:
    policy = Policy(pricing=made.pricing, objectives=made.objectives)
    found = pipeline.analyze_workflow(made.definition, made.runs, policy, profile="p", now=NOW)
    return found, view(found.analysis, found.recommendations)


@pytest.mark.parametrize("name", ["gpu-request", "sidecar-overhead", "budget", "right-size"])
def test_components_add_up_to_what_a_run_costs(name: str) -> None:
    found, rows = rows_of(scenarios.SCENARIOS[name]())
    per_run = found.analysis.cost.per_run
    assert per_run is not None
    assert sum(r["perRun"] for r in rows) == pytest.approx(per_run.total, rel=1e-4)
    assert sum(r["perMonth"] for r in rows) == pytest.approx(found.analysis.cost.per_month, rel=1e-4)


def test_the_saving_of_a_recommendation_is_taken_from_the_container_it_sets() -> None:
    found, rows = rows_of(scenarios.gpu_request())
    (item,) = [r for r in found.recommendations if r.rule == "gpu-request"]
    assert item.saving_per_month is not None
    first, *others = rows
    assert (first["step"], first["component"], first["recommendations"]) == ("transform", "main", [item.id])
    assert first["perMonth"] - first["afterPerMonth"] == pytest.approx(item.saving_per_month.likely, rel=1e-3)
    assert all(r["afterPerMonth"] == r["perMonth"] for r in others)


def test_sizes_save_the_share_that_runs_since_a_release_save_where_it_made_the_step_longer() -> None:
    """The saving was that of the long runs since the release, taken from the mean of all: the step cost 0 afterwards."""
    sizes = {"requests": {"cpu": "4", "memory": "1Gi"}}
    manifest = argo(
        task("work"), task("tell", "work"), templates={"work": {"container": {"image": "w:1", "resources": sizes}}}
    )

    def work(i: int) -> dict[str, Pod]:
        seconds, cores = (600.0, 3.0) if i < 24 else (1200.0, 0.3)
        main = container(
            image=f"w:{1 + (i >= 24)}", cpu_request=4.0, cpu_seconds=seconds * cores, cpu_sampled_seconds=seconds,
            memory_sampled_peak=900 * 2**20,
        )  # fmt: skip
        return {"work": Pod(seconds, containers=(main,)), "tell": Pod(60.0)}

    def share(runs: int, first: int) -> float:
        """What is left of the step's cost."""
        _, rows = rows_of(scenario(manifest, runs, lambda i: work(i + first)))
        (row,) = [r for r in rows if r["step"] == "work"]
        assert row["recommendations"] == ["right-size"]
        return float(row["afterPerMonth"] / row["perMonth"])

    since = share(16, 24)
    assert since > 0.0
    assert share(40, 0) == pytest.approx(since, rel=0.1)


def test_a_step_that_a_release_made_longer_and_rarer_still_costs_what_it_uses() -> None:
    """Its saving was compared with its cost in the runs since, in a third of which it ran: nothing was left."""
    sizes = {"requests": {"cpu": "4", "memory": "1Gi"}}
    often = {"container": {"image": "w:1", "resources": sizes}}
    manifest = argo(task("work", when="{{workflow.parameters.more}} == true"), task("tell"), templates={"work": often})

    def work(i: int) -> dict[str, Pod]:
        seconds = 300.0 if i < 24 else 900.0
        main = container(
            cpu_request=4.0, cpu_seconds=seconds, cpu_sampled_seconds=seconds, memory_sampled_peak=900 * 2**20
        )
        pods = {"work": Pod(seconds, containers=(main,)), "tell": Pod(2.0 * seconds)}
        return pods if i < 24 or i % 3 == 0 else {"tell": pods["tell"]}

    found, rows = rows_of(scenario(manifest, 40, work))
    assert len(found.analysis.recent) == 16
    (row,) = [r for r in rows if r["step"] == "work"]
    assert row["recommendations"] == ["right-size"]
    (cores,) = [
        float(i.new.removesuffix("m")) / 1000 for r in found.recommendations for i in r.items if i.step == "work"
    ]
    left = (cores * 0.031 + 0.004) / (4.0 * 0.031 + 0.004)
    assert row["afterPerMonth"] / row["perMonth"] == pytest.approx(left, rel=0.02)


def right_sized(saving: float, *shares: tuple[str, float]) -> dict[str, View]:
    """The rows by step once requests of steps that have these shares in the saving are set."""
    found, _ = rows_of(scenarios.gpu_request())
    pointers = {s.name: f"{s.pointer}/container/resources/requests/cpu" for s in found.analysis.definition.graph.steps}
    edits = tuple(Edit(pointers[step], "1", "2", weight=max(0.0, share), share=share) for step, share in shares)
    (item,) = [r for r in found.recommendations if r.rule == "gpu-request"]
    saved = Interval(saving, saving, saving)
    item = replace(item, id="right-size", saving_per_month=saved, edits=edits, items=())
    return {str(r["step"]): r for r in view(found.analysis, [item])}


def more(row: View) -> float:
    return float(row["afterPerMonth"] - row["perMonth"])


def test_a_request_that_is_raised_costs_more_afterwards() -> None:
    """The cost afterwards was that of today, beside a recommendation that makes runs dearer."""
    rows = right_sized(-0.01, ("extract", 1.0))
    assert more(rows["extract"]) == pytest.approx(0.01, rel=1e-3)
    assert rows["extract"]["recommendations"] == ["right-size"]
    assert more(rows["load"]) == more(rows["transform"]) == 0.0


def test_of_a_request_that_is_raised_and_one_that_is_lowered_each_has_its_own() -> None:
    rows = right_sized(0.01, ("transform", 1.5), ("extract", -0.5))
    assert more(rows["transform"]) == pytest.approx(-0.015, rel=1e-2)
    assert more(rows["extract"]) == pytest.approx(0.005, rel=1e-2)


def test_of_sizes_without_a_field_each_has_its_own_share() -> None:
    """Of steps of a WorkflowProfile: one whose CPU request is raised was said to cost less afterwards."""
    found, before = rows_of(scenarios.gpu_request())
    sizes = tuple(
        SizeItem(str(r["step"]), str(r["component"]), "requests.cpu", "1", "2", "-", "-", share)
        for r, share in ((before[0], 1.5), (before[1], -0.5))
    )
    (item,) = [r for r in found.recommendations if r.rule == "gpu-request"]
    saved = Interval(0.01, 0.01, 0.01)
    rows = view(found.analysis, [replace(item, id="right-size", saving_per_month=saved, edits=(), items=sizes)])
    assert [more(r) for r in rows[:2]] == pytest.approx([-0.015, 0.005], rel=1e-2)


def test_what_no_field_sets_is_saved_by_the_components_that_are_left() -> None:
    rows = right_sized(0.01, ("extract", -0.5))
    assert more(rows["extract"]) == pytest.approx(0.005, rel=1e-2)
    assert more(rows["transform"]) + more(rows["load"]) == pytest.approx(-0.015, rel=1e-2)


def test_sidecars_and_tokens_are_components_of_their_own() -> None:
    _, rows = rows_of(scenarios.sidecar_overhead())
    assert {r["component"] for r in rows if r["kind"] == "sidecar"} == {"proxy"}
    _, rows = rows_of(scenarios.budget())
    assert [(r["step"], r["component"]) for r in rows if r["kind"] == "metric"] == [
        ("draft", "tokens"),
        ("review", "tokens"),
    ]


def test_what_pods_keep_for_init_containers_is_a_group_of_its_own() -> None:
    """It had the name of the container, like a priced metric."""
    row = {"step": "load", "component": "fetch", "perRun": 0.1, "perMonth": 3.0, "afterPerMonth": 3.0}
    rows = [row | {"kind": "init"}, row | {"kind": "container", "component": "main"}]
    groups = by_component([PricedWorkflow("etl/nightly", "USD", 30, 30.0, rows)])
    assert {g.name: g.cost_per_month for g in groups} == {"init containers": 3.0, "compute": 3.0}


def test_the_table_has_a_line_for_each_and_a_sum() -> None:
    _, rows = rows_of(scenarios.gpu_request())
    lines = cost_table(rows, "USD", whole=True).splitlines()
    assert lines[0].split() == ["STEP", "COMPONENT", "PER", "RUN", "UNUSED", "PER", "MONTH", "AFTER", "RECOMMENDATIONS"]
    assert "gpu-request.transform" in lines[1]
    assert lines[-1].startswith("total")
    assert cost_table([], "USD", whole=True) == ""
