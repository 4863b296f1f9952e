"""Nothing is recommended for a step that was removed or renamed, as soon as the definition says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.core.scenario_builder import Scenario, argo, define, task
from tests.support.core.scenarios import cpu_request

_RENAMED = argo(task("extract"), task("convert", "extract"), task("load", "convert"))


def _after(*fingerprints: str | None) -> Scenario:
    """A workflow whose throttled step was renamed after runs of these definitions, in turn."""
    made = cpu_request()
    runs = (replace(r, fingerprint=fingerprints[i % len(fingerprints)]) for i, r in enumerate(made.runs))
    return replace(made, manifest=_RENAMED, runs=tuple(runs))


def _recommended(found: Scenario) -> list[str]:
    return [r.id for r in found.recommended("cpu-request")]


def test_a_step_of_earlier_definitions_has_no_recommendation_even_before_the_next_run() -> None:
    assert _recommended(cpu_request()) == ["cpu-request.transform"]
    assert _recommended(_after("of yesterday", "of last week")) == []


@pytest.mark.parametrize("known", [None, define(_RENAMED).fingerprint])
def test_a_name_that_the_definition_does_not_tell_is_no_sign_of_it(known: str | None) -> None:
    assert _recommended(_after("of yesterday", known)) == ["cpu-request.transform"]
