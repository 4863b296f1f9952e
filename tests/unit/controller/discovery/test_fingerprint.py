"""A fingerprint tells equal inputs in every process, and different ones apart."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from concertmaster.controller.discovery.fingerprint import fingerprint
from concertmaster.core.model import StepSpec, WorkflowDefinition, WorkflowGraph, WorkflowKey
from concertmaster.core.model.enums import ChangeKind
from concertmaster.core.model.policy import ApplySettings, Policy, RuleSettings
from concertmaster.engines.registry import ENGINES

ROOT = Path(__file__).resolve().parents[4]
PRINT = "from tests.unit.controller.discovery.test_fingerprint import all_inputs; print(*all_inputs())"
POLICY = Policy(rules={"b": RuleSettings(True, {"x": "1"}), "a": RuleSettings()}, problems=("p",))


def all_inputs() -> list[str]:
    """Fingerprints of a policy, and of a definition of each engine."""
    key, graph = WorkflowKey("jobs", "Kind", "etl"), WorkflowGraph((StepSpec("s"),))
    return [fingerprint(POLICY), *(fingerprint(WorkflowDefinition(key, e.traits, graph)) for e in ENGINES)]


def test_processes_agree_whatever_the_order_of_their_sets_and_where_their_functions_are() -> None:
    for seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"}
        done = subprocess.run(
            [sys.executable, "-c", PRINT], env=env, cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == all_inputs()
    assert len(set(all_inputs())) == len(ENGINES) + 1


def test_the_order_of_a_mapping_is_no_difference_and_everything_else_is() -> None:
    same = replace(POLICY, rules=dict(reversed(POLICY.rules.items())))
    assert fingerprint(same) == fingerprint(POLICY)
    others = (
        replace(POLICY, problems=()),
        replace(POLICY, rules={}),
        replace(POLICY, apply=ApplySettings(allow=frozenset({ChangeKind.RESOURCES}))),
    )
    assert len({fingerprint(p) for p in (POLICY, *others)}) == 4
