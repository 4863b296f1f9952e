"""What the condition WriteAccess says of policies that govern nothing the operator may need a right for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from concertmaster.api.conditions import Reason
from concertmaster.api.models.policy import OptimizationPolicy
from concertmaster.controller.discovery.policies import PolicyView
from concertmaster.controller.policies.summary import MAX_REVIEWS, PolicySummary, summarized
from concertmaster.controller.policies.write_access import write_access
from concertmaster.kube.access import AccessChecker

JOBSET = ("jobset.x-k8s.io/v1alpha2", "JobSet", "ml")


@pytest.mark.parametrize(
    ("facts", "status", "reason", "said"),
    [
        (PolicySummary(), None, Reason.PENDING, "no workflow is governed yet"),
        (PolicySummary(matched=3), True, Reason.NOT_NEEDED, "is of a kind that the operator changes"),
        (
            PolicySummary(matched=3, targets=frozenset({JOBSET})),
            True,
            Reason.NOT_NEEDED,
            "CronWorkflow, Pipeline, Task and",
        ),
    ],
)
def test_no_right_is_missed_where_nothing_can_be_changed(
    facts: PolicySummary, status: bool | None, reason: Reason, said: str
) -> None:
    """A JobSet or RayJob is made anew for each run: neither a right nor time would ever make it one that is changed."""
    meta = {"name": "team", "namespace": "ml"}
    policy = OptimizationPolicy.model_validate({"metadata": meta, "spec": {"apply": {"mode": "Auto"}}})
    found = write_access(cast(AccessChecker, None), policy, facts)  # nobody is asked
    assert (found.status, found.reason) == (status, reason)
    assert found.message.startswith("mode is Auto, ") and said in found.message


def test_a_shard_names_the_targets_that_may_be_changed_before_any_number_of_others() -> None:
    """Otherwise whoever adds up the shards would know of no Pipeline, and the condition would be NotNeeded."""
    others = {(JOBSET[0], JOBSET[1], f"team-{n}") for n in range(MAX_REVIEWS)}
    pipeline = ("tekton.dev/v1", "Pipeline", "ml")
    policy = OptimizationPolicy.model_validate({"metadata": {"name": "team", "namespace": "ml"}, "spec": {}})
    view = cast(PolicyView, SimpleNamespace(policy=policy))
    assert summarized(view, PolicySummary(targets=frozenset({*others, pipeline}))).targets == {pipeline}
