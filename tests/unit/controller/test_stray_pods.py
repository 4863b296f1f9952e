"""Pods that fit no single workflow are a matter of the policy: its Ready names them, and no profile does."""

from __future__ import annotations

import pytest

from concertmaster.engines.jobs.traits import JOB
from concertmaster.kube.objects import POLICIES
from tests.support.controller.harness import Bed, report

SENTENCE = "2 pods belong to no run: pod of a Job whose name is unknown (demo/q)"


@pytest.mark.parametrize("namespace", ["demo", "elsewhere"])
def test_stray_pods_of_a_namespace_are_named_by_its_policy_alone(namespace: str) -> None:
    bed = Bed()
    for name in ("etl", "other"):
        bed.cronjob(name)
        bed.profile(name, target=name)
    bed.policy()
    bed.sources.reports["default"] = report(namespace_unplaced={(namespace, JOB): (SENTENCE,)})
    bed.run()
    assert (SENTENCE in bed.message("Ready", POLICIES, "team")) is (namespace == "demo")
    for name in ("etl", "other"):
        assert SENTENCE not in str(bed.status(name=name))
