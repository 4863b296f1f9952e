"""The closed loop under the real Argo controller: promised against measured, good changes kept, harmful ones rolled back.

What happens inside pods follows a law the operator does not know: noise, drifting inputs, a share of the work that needs
no CPU, nodes that are full, bursts no sample shows, memory that grows later (benchmarks/changes/loop_scenarios.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.changes.loop_scenarios import OUTGROWN, SECOND, WORK
from concertmaster.core.model.amounts import quantity
from tests.loop.conftest import Played

NEAR = 0.12  # of the run time, beside the promised interval: a test machine is busy with other things as well


def changed(found: Played, rule: str) -> None:
    """A change of that rule was made, and it has a verdict."""
    assert found.track.change is not None, f"nothing was changed: {found.outcome.line()}"
    assert found.outcome.campaign.rule == rule
    assert found.outcome.campaign.verdict != "none", found.outcome.line()


def as_promised(found: Played) -> float:
    """The measured effect, once it is known to be what was promised."""
    promised, measured = found.outcome.campaign.promised, found.outcome.campaign.measured
    assert promised is not None and measured is not None, found.outcome.line()
    assert promised[0] - NEAR <= measured <= promised[2] + NEAR, found.outcome.line()
    return measured


def kept(found: Played) -> None:
    assert (found.outcome.campaign.verdict, found.outcome.campaign.restored) == ("Improved", False), (
        found.outcome.line()
    )


def taken_back(found: Played) -> None:
    assert (found.outcome.campaign.verdict, found.outcome.campaign.restored) == ("Worse", True), found.outcome.line()
    before = found.track.scenario.requests()
    assert {r: found.request(r) for r in before} == before


def proposed(found: Played) -> set[str]:
    """The steps that are recommended to be right-sized; lines are ``step/container field: old -> new``."""
    rows = [row for row in found.status["recommendations"] if row["state"] == "Active"]
    sizes = [item for row in rows if row["id"].startswith("right-size") for item in row["items"]]
    return {item.partition("/")[0] for item in sizes}


def test_an_over_requested_step_is_trimmed_and_not_slower(played: Mapping[str, Played]) -> None:
    found = played["cheaper"]
    changed(found, found.outcome.campaign.rule)
    kept(found)
    # How much less depends on the machine: beside other load samples are missed and later runs take longer, and sizes after
    # few runs then keep more room.
    assert as_promised(found) < 0.0, "it costs less"
    before = found.track.scenario.requests()
    assert any((quantity(found.request(r)) or 0.0) < (quantity(before[r]) or 0.0) for r in before)


def test_a_starved_step_gets_cpu_and_the_workflow_gets_faster(played: Mapping[str, Played]) -> None:
    found = played["starved"]
    changed(found, "cpu-request")
    kept(found)
    assert as_promised(found) < -0.10
    assert (quantity(found.request("cpu")) or 0.0) > 1.5 * (quantity(found.track.scenario.requests()["cpu"]) or 0.0)


def test_a_limit_of_two_becomes_what_the_replay_said(played: Mapping[str, Played]) -> None:
    found = played["faster"]
    changed(found, "parallelism")
    kept(found)
    assert as_promised(found) < -0.20
    assert found.template["spec"]["parallelism"] == found.track.scenario.figures.items


def test_a_trim_that_makes_runs_longer_is_taken_back(played: Mapping[str, Played]) -> None:
    found = played["slower"]
    changed(found, "right-size")
    taken_back(found)
    assert WORK not in proposed(found), "what was rolled back is not recommended again"


def test_memory_that_grows_later_is_taken_back_before_many_runs_fail(played: Mapping[str, Played]) -> None:
    found = played["kills"]
    changed(found, "right-size")
    taken_back(found)
    assert "killed for lack of memory" in found.outcome.said
    assert WORK not in proposed(found), "what was rolled back is not recommended again"
    assert found.outcome.campaign.runs <= 6, "the first kill was enough; runs that were under way were not stopped"


def test_a_size_that_a_second_step_of_the_template_outgrows_is_taken_back(played: Mapping[str, Played]) -> None:
    """No pod is killed, and the next recommendation would be to raise the request again."""
    found = played[OUTGROWN]
    changed(found, "right-size")
    taken_back(found)
    assert f"needed more memory than the new request: {SECOND} used" in found.outcome.said
    assert found.track.change is not None and found.track.change.status["harmedSteps"] == [SECOND]
    assert not proposed(found) & {WORK, SECOND}, "what was rolled back is not recommended again"
