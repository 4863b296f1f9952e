"""LimitRanges and quotas that are changed while a change is verified: pods with the old values, or with the new ones, are
refused."""

from __future__ import annotations

from typing import Any

import pytest

from concertmaster.api.conditions import ConditionType as C
from concertmaster.core.model import Edit
from concertmaster.core.model.enums import Verdict
from concertmaster.kube import errors
from concertmaster.kube.objects import LIMIT_RANGES, RESOURCE_QUOTAS, Resource
from tests.support.controller.change_steps import HOUR, applied, later
from tests.support.controller.changes_bed import CHANGES, MEMORY, Bed, cheaper
from tests.support.core.change_samples import recommended


def limited(bed: Bed, **bounds: str) -> None:
    """Somebody bounds the CPU of the namespace's containers."""
    entry = {"type": "Container", **{side: {"cpu": amount} for side, amount in bounds.items()}}
    bed.client.put(LIMIT_RANGES, "demo", "r", spec={"limits": [entry]})


def test_a_change_whose_pods_a_new_minimum_refuses_is_rolled_back() -> None:
    bed = applied()
    limited(bed, min="1800m")
    bed.run(3 * HOUR)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2")
    assert "are its pods refused?" in bed.message(C.VERIFIED)


def test_no_rollback_writes_what_a_new_maximum_refuses_until_it_is_gone() -> None:
    """Slow runs are better than none."""
    bed = applied()
    limited(bed, max="1800m")
    later(bed, 2, 1500.0)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    assert bed.state(C.RESTORED) == ("Unknown", "WriteFailed")
    refused = "cpu 2 is above 1800m, the most LimitRange r allows; until that is changed, no pod would be created"
    assert refused in bed.message(C.RESTORED)
    assert any(refused in p for p in bed.problems)
    bed.delete(LIMIT_RANGES, "r")
    bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Completed", "2")


@pytest.mark.parametrize("bounds", [{"max": "1"}, {"max": "2"}, {"min": "1"}, {"min": "3"}])
def test_a_range_that_does_not_tell_both_values_apart_keeps_nothing_from_being_rolled_back(
    bounds: dict[str, str],
) -> None:
    bed = applied()
    limited(bed, **bounds)
    later(bed, 2, 1500.0)
    assert (bed.one().phase, bed.cpu()) == ("Completed", "2")


BOUNDS = {
    "a pod's maximum": (LIMIT_RANGES, {"limits": [{"type": "Pod", "max": {"cpu": "1800m"}}]}, "cpu of the pod 2"),
    "a quota": (RESOURCE_QUOTAS, {"hard": {"requests.cpu": "1800m"}}, "cpu: 1 x 2 is more than the 1800m"),
}


@pytest.mark.parametrize("kind", BOUNDS)
def test_no_rollback_writes_what_no_pod_of_the_namespace_may_request_any_more(kind: str) -> None:
    resource, spec, refused = BOUNDS[kind]
    bed = applied()
    bed.client.put(resource, "demo", "r", spec=spec)
    later(bed, 2, 1500.0)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    assert refused in bed.message(C.RESTORED) and f"{resource.kind} r" in bed.message(C.RESTORED)
    bed.delete(resource, "r")
    bed.run()
    assert (bed.one().phase, bed.cpu()) == ("Completed", "2")


def test_no_rollback_of_a_deleted_change_writes_what_its_pods_may_not_request_either() -> None:
    bed = applied()
    bed.client.put(RESOURCE_QUOTAS, "demo", "q", spec={"hard": {"requests.cpu": "1800m"}})
    bed.delete(CHANGES, bed.one().name)
    bed.run()
    assert bed.cpu() == "1500m"
    assert any("no pod would be created" in p for p in bed.problems)
    bed.delete(RESOURCE_QUOTAS, "q")
    bed.run()
    assert bed.cpu() == "2"


def test_a_raised_request_is_not_lowered_again_below_what_a_ratio_allows_since() -> None:
    bed = Bed()
    bed.target["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] = {"cpu": "4"}
    bed.items = [cheaper("2", "3")]
    bed.run()
    ratio = {"type": "Container", "maxLimitRequestRatio": {"cpu": "1500m"}}
    bed.client.put(LIMIT_RANGES, "demo", "r", spec={"limits": [ratio]})
    later(bed, 2, 1500.0)
    assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "3")
    assert "LimitRange r allows 1.5 times (maxLimitRequestRatio)" in bed.message(C.RESTORED)


USED = {"hard": {"requests.cpu": "3"}}, {"used": {"requests.cpu": "2500m"}}
SCOPED = {"hard": {"requests.cpu": "1800m"}, "scopes": ["Terminating"]}, {}
TINY = {"hard": {"requests.cpu": "1"}}, {}


@pytest.mark.parametrize(("spec", "status"), [USED, SCOPED, TINY])
def test_a_quota_that_pods_wait_for_or_that_refuses_them_anyway_keeps_nothing_from_being_rolled_back(
    spec: dict[str, Any], status: dict[str, Any]
) -> None:
    bed = applied()
    bed.client.put(RESOURCE_QUOTAS, "demo", "q", spec=spec, status=status)
    later(bed, 2, 1500.0)
    assert (bed.one().phase, bed.cpu()) == ("Completed", "2")


@pytest.mark.parametrize("kind", [LIMIT_RANGES, RESOURCE_QUOTAS])
def test_ranges_that_cannot_be_read_keep_no_harm_from_being_rolled_back(kind: Resource) -> None:
    bed = applied()
    bed.client.lists[kind.path("demo")] = errors.Forbidden("no", status=403)
    later(bed, 2, 1500.0)
    assert (bed.one().phase, bed.cpu()) == ("Completed", "2")


def test_the_ranges_of_a_namespace_are_listed_once_a_cycle_however_many_rollbacks_wait() -> None:
    bed = Bed(cooldown="0s", maxInFlight=5)
    smaller = recommended(Edit(MEMORY, "1Gi", "768Mi"), id="memory-request.job", rule="memory-request", step="job")
    bed.items = [cheaper(), smaller]
    bed.run()
    bed.run()
    bounds = {"cpu": "1800m", "memory": "800Mi"}
    bed.client.put(LIMIT_RANGES, "demo", "r", spec={"limits": [{"type": "Container", "max": bounds}]})
    later(bed, 2, 1500.0)
    assert [c.condition(C.RESTORED).get("reason") for c in bed.all()] == ["WriteFailed", "WriteFailed"]
    bed.writes()
    bed.run()
    assert sum(path.startswith(LIMIT_RANGES.path("demo")) for _, path, *_ in bed.client.calls) == 1
    assert bed.cpu() == "1500m"
