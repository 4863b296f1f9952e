"""The same reading where Argo's CRDs carry their full schemas: the server then prunes, checks and defaults."""

from __future__ import annotations

import pytest

from concertmaster.engines import define_all
from tests.engines.conftest import PACKED
from tests.support.engines.argo_runs import Run, agree, packed_with
from tests.support.engines.scenario import Scenario


@pytest.mark.parametrize("name", ["fan-items", "nested", "retry-oom", "containers", "locked", "wide"])
def test_runs_on_full_crds(name: str, full_crds_scenario: Scenario) -> None:
    found = define_all(full_crds_scenario.objects["WorkflowTemplate"].values())
    run = Run(full_crds_scenario, {definition.key: definition for definition in found}, name)
    agree(run)
    assert name != "wide" or packed_with(run.object["status"]) == PACKED[1]


def test_definitions_are_the_same_on_both_kinds_of_crds(scenario: Scenario, full_crds_scenario: Scenario) -> None:
    """A schema must not change what a template is taken for, or an upgrade would look like a change of the workflow."""
    minimal, full = (
        {d.key: d for d in define_all(s.objects["WorkflowTemplate"].values())} for s in (scenario, full_crds_scenario)
    )
    for key, definition in full.items():
        assert definition.graph == minimal[key].graph
        assert definition.fingerprint == minimal[key].fingerprint
