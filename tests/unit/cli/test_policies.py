"""Policies given as files: what holds for a workflow, whatever was asked before."""

from __future__ import annotations

from dataclasses import replace

from concertmaster.cli.policies import Policies
from tests.support.builders import definition, step

POLICY = {
    "apiVersion": "concertmaster.dev/v1alpha1",
    "kind": "OptimizationPolicy",
    "metadata": {"name": "p", "namespace": "etl"},
    "spec": {"analysis": {"window": "7d", "minRuns": 9}},
}


def test_what_the_command_line_says_holds_for_this_answer_only() -> None:
    of = definition(step("load"))
    here = replace(of, key=replace(of.key, namespace="etl"))
    policies = Policies([POLICY])
    plain = policies.of(here)
    assert (plain.analysis.window_seconds, plain.analysis.min_runs) == (7 * 86_400.0, 9)
    asked = policies.of(here, window=3600.0, min_runs=2)
    assert (asked.analysis.window_seconds, asked.analysis.min_runs) == (3600.0, 2)
    assert policies.of(here) == plain


def test_each_workflow_has_the_policy_of_its_namespace() -> None:
    of = definition(step("load"))
    here, elsewhere = (replace(of, key=replace(of.key, namespace=name)) for name in ("etl", "ml"))
    policies = Policies([POLICY])
    assert [policies.of(each).analysis.min_runs for each in (here, elsewhere, here)] == [
        9,
        Policies([]).of(elsewhere).analysis.min_runs,
        9,
    ]
