"""What a policy's own conditions say."""

from __future__ import annotations

from typing import Any, cast

from concertmaster.controller.discovery.policies import PolicyIndex
from concertmaster.controller.object_cache import ObjectCache
from concertmaster.controller.policies.status import policy_status
from concertmaster.controller.policies.summary import PolicySummary
from concertmaster.core.fleet.ranking import Headline
from concertmaster.core.model import Impact, Interval
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.objects import POLICIES

NOW = 1_760_000_000.0


def status_of(spec: dict[str, Any], facts: PolicySummary) -> dict[str, Any]:
    cache = ObjectCache()
    meta = {"name": "team", "namespace": "etl", "uid": "u", "generation": 1, "resourceVersion": "1"}
    cache.observe(POLICIES, None, {"metadata": meta, "spec": spec})
    (view,) = PolicyIndex(cache.snapshot(), {}, {}).views
    nobody = cast(AccessChecker, None)  # is asked in mode Recommend
    return policy_status(view, facts, sources=["default"], reports={}, access=nobody, now=NOW)


def ready(spec: dict[str, Any], facts: PolicySummary) -> dict[str, Any]:
    condition: dict[str, Any] = next(c for c in status_of(spec, facts)["conditions"] if c["type"] == "Ready")
    return condition


def test_an_unknown_setting_makes_it_not_ready_and_names_those_that_exist() -> None:
    rule = {"name": "timeout", "settings": {"headrooom": "50"}}
    condition = ready({"rules": [rule]}, PolicySummary(matched=3))
    assert (condition["status"], condition["reason"]) == ("False", "UnknownRule")
    assert "rule timeout has no setting headrooom; its settings: headroomPercent" in condition["message"]
    assert "everything else is in force" in condition["message"]


def test_a_setting_that_is_no_number_makes_it_not_ready() -> None:
    rule = {"name": "timeout", "settings": {"headroomPercent": "lots"}}
    condition = ready({"rules": [rule]}, PolicySummary(matched=3))
    assert condition["status"] == "False"
    assert "headroomPercent: 'lots'" in condition["message"]


def test_blocked_plans_are_counted_by_check_with_what_to_do() -> None:
    blocked = {"owner": 3, "risk": 1}
    condition = ready({}, PolicySummary(matched=12, blocked=blocked))
    assert condition["status"] == "True"
    assert condition["message"].startswith("in force for 12 profiles; 4 planned changes blocked: 3 by owner (commit ")
    assert "; 1 by risk (raise apply.maxRisk, or apply the printed patch)" in condition["message"]


def test_blocked_plans_hide_no_obstacle() -> None:
    condition = ready({}, PolicySummary(matched=2, blocked={"risk": 1}, obstacles=("a cannot be created", "b", "c")))
    assert condition["message"].startswith("in force for 2 profiles; 1 planned change blocked: 1 by risk (")
    assert condition["message"].endswith("; a cannot be created; b (and 1 more)")


def test_a_policy_ranks_what_it_governs_and_adds_it_up() -> None:
    """`kubectl describe copol` answers the same as `top`, without the plugin."""
    rows = [
        Headline("demo", name, f"CronJob/{name}", "right-size", f"Right-size {name}", Impact(money=Interval(v, v, v)),
                 "Low", "Low", "Low", confidence, "USD")
        for name, v, confidence in (("a", 2.0, 0.91), ("b", 30.0, None))
    ]  # fmt: skip
    status = status_of({}, PolicySummary(matched=2, analyzed=2, headlines=rows, minor=7))
    assert status["top"] == [
        "demo/b right-size: 30 USD a month (effort Low, risk Low); Right-size b",
        "demo/a right-size: 2 USD a month (confidence 91%, effort Low, risk Low); Right-size a",
    ]
    assert (status["totals"]["moneyPerMonth"], status["totals"]["minor"]) == ("32 USD", 7)


def test_a_policy_without_an_analysis_has_no_totals() -> None:
    """In its first cycle they were zero, which reads as worth nothing."""
    assert "totals" not in status_of({}, PolicySummary(matched=2))
    assert status_of({}, PolicySummary(matched=2, analyzed=1))["totals"]["recommendations"] == 0


def test_a_selector_that_leaves_out_what_discovery_finds_is_named_as_the_cause() -> None:
    """ "Discovery found no target" beside the column DISCOVERED with 3 sent people to look at the wrong field."""
    discover = [{"apiVersion": "batch/v1", "kind": "CronJob"}]
    condition = ready({"discover": discover}, PolicySummary(discovered=3))
    assert (condition["status"], condition["reason"]) == ("False", "NoMatches")
    assert condition["message"] == (
        "discovery found 3 targets, but no profile in namespace etl is selected; check spec.selector against: "
        "kubectl get wfp -n etl --show-labels"
    )
    assert "discovery found no target" in ready({"discover": discover}, PolicySummary())["message"]
    assert "kubectl get wfp -n etl --show-labels" in ready({}, PolicySummary())["message"]


def test_a_receiver_that_does_not_exist_takes_nothing_else_out_of_force() -> None:
    condition = ready({}, PolicySummary(matched=3, problems=("notify: nobody is no receiver",)))
    assert (condition["status"], condition["reason"]) == ("False", "InvalidSpec")
    assert condition["message"] == "notify: nobody is no receiver; everything else is in force"


def test_a_source_that_is_asked_nothing_is_not_said_to_have_been_asked_never() -> None:
    """While no target can be listed, its profiles ask nothing, although they did before."""
    found = status_of({}, PolicySummary(matched=3))["conditions"]
    condition = next(c for c in found if c["type"] == "MetricsAvailable")
    assert (condition["status"], condition["reason"]) == ("Unknown", "Pending")
    assert condition["message"] == "source default is configured; no workflow that can be read uses it at present"
