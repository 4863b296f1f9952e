"""The scale of the ranks, from policies as the API server or a file has them."""

from __future__ import annotations

from typing import Any

import pytest

from concertmaster.api.scale import common_scale, scales
from concertmaster.core.model.policy import Pricing


def policy(run_hour: str, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "concertmaster.dev/v1alpha1",
        "kind": "ClusterOptimizationPolicy",
        "metadata": metadata,
        "spec": {"pricing": {"runHour": run_hour}},
        "status": {"conditions": "of a newer operator"},
    }


def test_policies_that_agree_have_one_scale_and_others_the_defaults() -> None:
    assert common_scale([policy("3", name="a"), policy("3", name="b")]).run_hour == 3.0
    assert common_scale([policy("3", name="a"), policy("4", name="b")]) == common_scale([]) == Pricing()
    assert common_scale([policy("3", name="a"), policy("much", name="b")]).run_hour == 3.0
    assert list(scales([policy("3", name="a"), policy("3", name="b")]).values()) == [["a", "b"]]


@pytest.mark.parametrize("metadata", [{}, {"generateName": "baseline-"}])
def test_a_policy_of_a_file_needs_no_name(metadata: dict[str, Any]) -> None:
    assert common_scale([policy("3", **metadata)]).run_hour == 3.0
