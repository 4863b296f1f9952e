"""``explain`` reads a recommendation back from its command: the same edits, or none at all."""

from __future__ import annotations

import pytest

from concertmaster.cli.plans import edits_of, recommendation_of
from concertmaster.core.pointers import ALLOWED, allowed
from tests.unit.core.rules.scenarios import SCENARIOS


@pytest.mark.parametrize("rule", ["memory-request", "cpu-request", "parallelism"])
def test_the_edits_of_a_command_are_those_of_the_advice(rule: str) -> None:
    scene = SCENARIOS[rule]()
    items = [r for r in scene.advice(rule) if r.edits]
    assert items
    for item in items:
        assert {(e.pointer, e.proposed) for e in edits_of(item.how)} == {(e.pointer, e.proposed) for e in item.edits}
        for edit in edits_of(item.how):
            if allowed(scene.manifest["kind"], edit.pointer):
                assert edit in item.edits


@pytest.mark.parametrize(
    "how",
    [
        "",
        "kubectl concertmaster explain -n demo etl bottleneck.train",
        'kubectl -n demo patch cronjob etl --type=json -p \'[{"op":"repl…',
        "kubectl -n demo patch cronjob etl -p '{\"spec\":{}}'",
        "echo 'unbalanced",
    ],
)
def test_a_command_that_is_no_whole_patch_gives_no_edits(how: str) -> None:
    assert edits_of(how) == ()


def test_a_status_line_without_risk_is_taken_for_risky() -> None:
    found = recommendation_of({"id": "cpu-request.train", "action": "Lower it"})
    assert (found.rule, found.step, found.risk.value) == ("cpu-request", "train", "High")
    assert "WorkflowTemplate" in ALLOWED
