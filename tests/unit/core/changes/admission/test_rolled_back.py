"""Requests that a rollback would write and the API server would refuse: they wait, and nothing else does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from concertmaster.core.changes.admission.model import LimitRange
from concertmaster.core.changes.admission.rolled_back import refused_pods
from concertmaster.core.changes.operations import above_limit
from concertmaster.core.model import Edit
from concertmaster.engines import PATCHABLE
from tests.support.core.change_samples import TRAIN, cpu, faster, planned, recommended, template

KIND = PATCHABLE["WorkflowTemplate"]
BACK = planned(recommended(cpu("2", "1"))).inverse  # from 1 to 2 cores


def refused_by_ranges(operations: Sequence[Mapping[str, Any]], ranges: Sequence[LimitRange]) -> str | None:
    return refused_pods(KIND, operations, template(), None, None, ranges, ())


def most(cores: float, scope: str = "Container") -> LimitRange:
    return LimitRange("r", scope, most={"cpu": cores})


@pytest.mark.parametrize(
    ("ranges", "refused"),
    [
        ([most(1.5)], "cpu 2 is above 1500m, the most LimitRange r allows"),
        ([most(4.0), most(1.0)], "cpu 2 is above 1, the most LimitRange r allows"),
        ([most(2.0)], None),
        ([most(0.5)], None),  # it refuses the present request as well
        ([most(1.5, "Pod")], "cpu of the pod 2 is above 1500m, the most LimitRange r allows"),
        ([LimitRange("r", "Container", {"cpu": 1.5})], None),
        ([LimitRange("r", "Container", most={"memory": 1.0})], None),
    ],
)
def test_a_maximum_between_both_requests_refuses_the_earlier_one(ranges: list[LimitRange], refused: str | None) -> None:
    assert refused_by_ranges(BACK, ranges) == refused


def test_defaults_of_two_limit_ranges_refuse_nothing_that_one_of_them_lets_pass() -> None:
    """The server takes either first."""
    low, high = (LimitRange(f"r{cores}", "Container", default={"cpu": cores}) for cores in (1.0, 4.0))
    assert refused_by_ranges(BACK, [low])
    assert refused_by_ranges(BACK, [low, high]) is None
    assert refused_by_ranges(BACK, [high, low]) is None


@pytest.mark.parametrize(("least", "refused"), [(1.5, True), (1.0, False), (3.0, False)])
def test_so_does_a_minimum(least: float, refused: bool) -> None:
    back = planned(recommended(cpu("1", "2")), template(resources={"requests": {"cpu": "1"}})).inverse
    found = refused_by_ranges(back, [LimitRange("r", "Container", {"cpu": least})])
    assert (found == "cpu 1 is below 1500m, the least LimitRange r allows") is refused
    assert (found is None) is not refused


@pytest.mark.parametrize(("limit", "refused"), [("1500m", True), ("2", False), ("4", False), (None, False)])
def test_a_limit_that_was_set_since_refuses_a_larger_request(limit: str | None, refused: bool) -> None:
    resources = {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": limit, "memory": "1Gi"}}
    found = above_limit(KIND, BACK, template(resources=resources))
    assert found == ("cpu request 2 would be above the limit 1500m that was set since" if refused else None)


def test_a_parallelism_is_no_request() -> None:
    back = planned(faster()).inverse
    assert refused_by_ranges(back, [LimitRange("r", "Container", most={"parallelism": 2.5, "cpu": 0.1})]) is None
    assert above_limit(KIND, back, template()) is None
    first = planned(recommended(Edit(f"{TRAIN}/memory", None, "1Gi")), template(resources={"requests": {"cpu": "2"}}))
    assert refused_by_ranges(first.inverse, [LimitRange("r", "Container", {"memory": 2.0**31})]) is None
