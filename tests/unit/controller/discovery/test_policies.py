"""What a policy's own conditions say."""

from __future__ import annotations

from typing import Any

from concertmaster.api.conditions import ConditionType, ConditionUpdate, Reason
from concertmaster.controller.discovery.policies import PolicyBook, PolicyFacts, policy_status
from concertmaster.controller.registry import Registry
from concertmaster.kube.objects import POLICIES

NOW = 1_760_000_000.0


def ready(spec: dict[str, Any], facts: PolicyFacts) -> dict[str, Any]:
    registry = Registry()
    meta = {"name": "team", "namespace": "etl", "uid": "u", "generation": 1, "resourceVersion": "1"}
    registry.observe(POLICIES, None, {"metadata": meta, "spec": spec})
    (view,) = PolicyBook(registry.snapshot(), {}, {}).views
    granted = ConditionUpdate(ConditionType.WRITE_ACCESS, True, Reason.NOT_NEEDED, "no right is needed")
    status = policy_status(view, facts, sources=["default"], reports={}, write_access=lambda *_: granted, now=NOW)
    condition: dict[str, Any] = next(c for c in status["conditions"] if c["type"] == "Ready")
    return condition


def test_an_unknown_setting_makes_it_not_ready_and_names_those_that_exist() -> None:
    rule = {"name": "timeout", "settings": {"headrooom": "50"}}
    condition = ready({"rules": [rule]}, PolicyFacts(matched=3))
    assert (condition["status"], condition["reason"]) == ("False", "UnknownRule")
    assert "rule timeout has no setting headrooom; its settings: headroomPercent" in condition["message"]
    assert "everything else is in force" in condition["message"]


def test_a_setting_that_is_no_number_makes_it_not_ready() -> None:
    rule = {"name": "timeout", "settings": {"headroomPercent": "lots"}}
    condition = ready({"rules": [rule]}, PolicyFacts(matched=3))
    assert condition["status"] == "False"
    assert "headroomPercent: 'lots'" in condition["message"]


def test_blocked_plans_are_counted_by_check_with_what_to_do() -> None:
    blocked = {"owner": 3, "risk": 1}
    condition = ready({}, PolicyFacts(matched=12, blocked=blocked))
    assert condition["status"] == "True"
    assert condition["message"].startswith("in force for 12 profiles; 4 planned changes blocked: 3 by owner (commit ")
    assert "; 1 by risk (raise apply.maxRisk, or apply the printed patch)" in condition["message"]
