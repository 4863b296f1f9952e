"""The same reading on Argo's minimal CRDs and on its full ones, where the server prunes, checks and defaults: the play has
one kind, these runs the other."""

from __future__ import annotations

import pytest

from concertmaster.engines import define_all
from tests.engines.conftest import PACKED
from tests.support.engines.argo_runs import Run, agree, packed_with
from tests.support.engines.scenario import Scenario


@pytest.mark.parametrize("name", ["fan-items", "nested", "retry-oom", "containers", "locked", "wide"])
def test_runs_on_the_other_crds(name: str, other_crds_scenario: Scenario) -> None:
    found = define_all(other_crds_scenario.objects["WorkflowTemplate"].values())
    run = Run(other_crds_scenario, {definition.key: definition for definition in found}, name)
    agree(run)
    assert name != "wide" or packed_with(run.object["status"]) == PACKED[1]


def test_definitions_are_the_same_on_both_kinds_of_crds(scenario: Scenario, other_crds_scenario: Scenario) -> None:
    """A schema must not change what a template is taken for, or an upgrade would look like a change of the workflow."""
    played, other = (
        {d.key: d for d in define_all(s.objects["WorkflowTemplate"].values())} for s in (scenario, other_crds_scenario)
    )
    assert {scenario.full_schemas, other_crds_scenario.full_schemas} == {True, False}
    for key, definition in other.items():
        assert definition.graph == played[key].graph
        assert definition.fingerprint == played[key].fingerprint
