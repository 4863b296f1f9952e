"""A right-sizing as one change: verified as a whole, rolled back as a whole, and what it taught is in its object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from concertmaster.api.conditions import ConditionType
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile
from concertmaster.controller.snapshot import ClusterSnapshot
from concertmaster.controller.workflow_change import ledger_entry
from concertmaster.core.lifecycle.sizing_history import sizing_history
from concertmaster.core.model import Edit, Recommendation, SizeItem
from concertmaster.core.model.enums import Verdict
from tests.support.controller.change_steps import HOUR, later
from tests.support.controller.changes_bed import CPU, MEMORY, Bed, cheaper


def right_size() -> Recommendation:
    """Lower both requests of the one container."""
    rows = (
        SizeItem("job", "main", "requests.cpu", "2", "1200m", "1", "20%"),
        SizeItem("job", "main", "requests.memory", "1Gi", "640Mi", "512Mi", "25%"),
    )
    edits = (Edit(CPU, "2", "1200m"), Edit(MEMORY, "1Gi", "640Mi"))
    return replace(cheaper(), id="right-size", rule="right-size", step=None, items=rows, edits=edits)


def made() -> Bed:
    bed = Bed()
    bed.items = [right_size()]
    bed.run()
    assert bed.cpu() == "1200m"
    assert len(bed.client.target_writes) == 1
    return bed


def test_a_kill_rolls_back_all_of_it_and_names_the_step() -> None:
    bed = made()
    later(bed, 1, reason="OOMKilled")
    done = bed.one()
    assert (done.phase, done.verdict, done.status["restored"]) == ("Completed", Verdict.WORSE, True)
    assert bed.cpu() == "2"
    assert done.status["harmedSteps"] == ["job"]
    line = ledger_entry(done)
    assert line is not None
    assert line.stayed == ()
    assert sizing_history({}, [line]).excluded("job", "main", "cpu")


def test_a_rollback_that_no_step_shows_leaves_out_all_that_was_changed() -> None:
    """The API server refused every pod: there are no runs, and the same sizes must not be recommended again at once."""
    bed = made()
    for _ in range(2):
        bed.run(HOUR)
    done = bed.one()
    assert (done.verdict, done.status["restored"], bed.cpu()) == (Verdict.WORSE, True, "2")
    line = ledger_entry(done)
    assert line is not None
    known = sizing_history({}, [line])
    assert all(known.excluded("job", "main", r) for r in ("cpu", "memory"))


def test_what_was_verified_is_known_to_the_next_step() -> None:
    bed = made()
    later(bed, 9, cpu=0.75)
    done = bed.one()
    assert (done.phase, done.verdict) == ("Completed", Verdict.IMPROVED)
    assert "harmedSteps" not in done.status
    line = ledger_entry(done)
    assert line is not None
    known = sizing_history({}, [line])
    assert known.verified == {("right-size", CPU): "1200m", ("right-size", MEMORY): "640Mi"}
    assert known.left_out == {}


def test_a_kill_in_a_later_round_of_a_recursion_rolls_it_back() -> None:
    """The round has a name no step of the graph has; the field governs it all the same."""
    bed = made()
    later(bed, 1, reason="OOMKilled", step="again.job")
    done = bed.one()
    assert (done.verdict, done.status["restored"]) == (Verdict.WORSE, True)
    assert "again.job" in done.status["harmedSteps"]


def shared(bed: Bed) -> Bed:
    """A second step runs the same container: one field sizes both."""
    known = bed.profile_reconciler.profiles

    def profiles(scenario: ClusterSnapshot) -> Sequence[ResolvedProfile]:
        found = []
        for profile in known(scenario):
            definition = profile.resolved.definition
            assert definition is not None
            (step,) = definition.graph.steps
            graph = replace(definition.graph, steps=(step, replace(step, name="second")))
            resolved = replace(profile.resolved, definition=replace(definition, graph=graph))
            found.append(replace(profile, resolved=resolved))
        return found

    bed.profile_reconciler.profiles = profiles  # type: ignore[method-assign]
    return bed


def test_a_kill_in_a_second_step_of_the_same_template_rolls_it_back() -> None:
    bed = shared(made())
    later(bed, 1, reason="OOMKilled", step="second")
    done = bed.one()
    assert (done.verdict, done.status["restored"], bed.cpu()) == (Verdict.WORSE, True, "2")
    assert "second" in done.status["harmedSteps"]


@pytest.mark.parametrize("step", ["second", "again.job"])
def test_use_above_the_new_size_in_a_second_step_or_round_rolls_it_back(step: str) -> None:
    """Nothing is killed, since no limit is set; the next recommendation would be to raise the request again."""
    bed = shared(made())
    later(bed, 2, step=step, memory=(944, 640))
    done = bed.one()
    assert (done.verdict, done.status["restored"], bed.cpu()) == (Verdict.WORSE, True, "2")
    assert f"{step} used 944Mi of 640Mi" in bed.message(ConditionType.VERIFIED)
    assert done.status["harmedSteps"] == [step]


def test_a_single_run_above_the_new_size_is_not_improved() -> None:
    bed = made()
    later(bed, 1, memory=(944, 640))
    later(bed, 9, cpu=0.75, memory=(500, 640))
    assert bed.one().verdict is None
    later(bed, 20, cpu=0.75, memory=(500, 640))
    assert (bed.one().verdict, bed.cpu()) == (Verdict.INCONCLUSIVE, "1200m")


def test_a_kill_in_a_step_of_another_template_is_not_blamed_on_it() -> None:
    bed = made()
    later(bed, 1, reason="OOMKilled", step="other")
    assert (bed.one().verdict, bed.cpu()) == (None, "1200m")
