"""Pods that fit no single workflow are a matter of the policy: its Ready names them, and no profile does."""

from __future__ import annotations

import pytest

from concertmaster.engines.jobs.traits import JOB
from concertmaster.kube.objects import CLUSTER_POLICIES, NAMESPACES, POLICIES
from tests.support.controller.harness import Bed, report

SENTENCE = "2 pods belong to no run: pod of a Job whose name is unknown (demo/q)"


@pytest.mark.parametrize("namespace", ["demo", "elsewhere"])
def test_stray_pods_of_a_namespace_are_named_by_its_policy_alone(namespace: str) -> None:
    bed = Bed()
    for name in ("etl", "other"):
        bed.cronjob(name)
        bed.profile(name, target=name)
    bed.policy()
    bed.sources.reports["default"] = report(namespace_unplaced={(namespace, JOB): {"no name": SENTENCE}})
    bed.run()
    assert (SENTENCE in bed.message("Ready", POLICIES, "team")) is (namespace == "demo")
    for name in ("etl", "other"):
        assert SENTENCE not in str(bed.status(name=name))


def test_what_keeps_pods_of_several_namespaces_from_a_run_is_one_sentence() -> None:
    """A wrong allow-list concerns the pods of every namespace; the same words once for each hid all other obstacles."""
    bed = Bed()
    spaces = ("demo", "other", "third")
    bed.client.put(CLUSTER_POLICIES, None, "baseline", spec={})
    for namespace in spaces:
        bed.client.put(NAMESPACES, None, namespace)
        bed.cronjob(namespace=namespace)
        bed.profile(namespace=namespace)
    said = {(n, JOB): {"no labels": f"pods belong to no run: no labels, as {n}/q"} for n in spaces}
    bed.sources.reports["default"] = report(namespace_unplaced=said)
    bed.run()
    conditions = bed.status(CLUSTER_POLICIES, "baseline", None)["conditions"]
    message = next(c["message"] for c in conditions if c["type"] == "Ready")
    assert message.count("no labels") == 1
    assert message.endswith("pods belong to no run: no labels, as demo/q (and in 2 more namespaces)")
