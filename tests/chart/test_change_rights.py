"""What the chart grants for changes is enough for the whole loop, and nothing is asked for beyond it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.prometheus import PrometheusServer
from tests.cluster.operator_bed import apply, cronjob, history, policy, runs_of_cronjob, wait_for

from .bed import Bed, deployed, source
from .test_rights import used

pytestmark = pytest.mark.timeout(240)

FAST = {"interval": "10s", "limits": {"backfill": "2d"}}
CRONJOBS = [{"apiVersion": "batch/v1", "kind": "CronJob"}]


@pytest.fixture
def place(bed: Bed, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own with the release's objects removed afterwards."""
    name = bed.namespace(f"changes-{abs(hash(request.node.name)) % 10**8}")
    yield name
    bed.remove("cm", name)
    bed.cluster.run_kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def prometheus(place: str, make_prometheus: Callable[..., PrometheusServer]) -> PrometheusServer:
    """Two days of the hourly CronJob ``etl``."""
    end = time.time() - 30.0
    return make_prometheus(history=history(*runs_of_cronjob(place, "etl", 30, end), end))


def phases(bed: Bed, place: str) -> list[str]:
    """The phases of all changes."""
    found: list[dict[str, Any]] = bed.cluster.get("wfc", "-n", place)["items"]
    return sorted(str((c.get("status") or {}).get("phase")) for c in found)


def test_the_granted_rights_carry_the_loop(bed: Bed, place: str, prometheus: PrometheusServer, tmp_path: Path) -> None:
    values = {
        "sources": [source(prometheus.url)],
        "config": FAST,
        "apply": {"enabled": True, "namespaces": [place]},
    }
    bed.install("cm", place, values)
    rules = {"mode": "Approve", "changeHistoryLimit": 1}
    apply(bed.cluster, cronjob(place, "etl"), policy(place, "team", discover=CRONJOBS, apply=rules))
    with deployed(bed, "cm", place, tmp_path) as op:
        wait_for("two proposals", lambda: phases(bed, place) == ["Proposed", "Proposed"])
        names = [c["metadata"]["name"] for c in bed.cluster.get("wfc", "-n", place)["items"]]
        for name in names:
            decision = '{"spec": {"decision": "Reject"}}'
            bed.cluster.kubectl("patch", "wfc", name, "-n", place, "--type=merge", "-p", decision)
        wait_for("the older one to be pruned", lambda: phases(bed, place) == ["Completed"])
        bed.cluster.kubectl("delete", "wfc", "--all", "-n", place)
        apply(bed.cluster, policy(place, "team", discover=CRONJOBS, apply={"mode": "Auto"}))
        wait_for("a change under proof", lambda: "Verifying" in phases(bed, place))
        bed.cluster.kubectl("delete", "wfc", "--all", "-n", place)
        resources = "{.spec.jobTemplate.spec.template.spec.containers[0].resources.requests}"
        wait_for(
            "it to be taken back",
            lambda: (
                bed.cluster.kubectl("get", "cronjob", "etl", "-n", place, "-o", f"jsonpath={resources}")
                == '{"cpu":"1","memory":"2Gi"}'
            ),
        )
        assert op.process.poll() is None
    rights, denied = used(bed, place)
    # a namespace another test is deleting refuses new objects whatever the rights are
    assert {d for d in denied if "/namespaces/" not in d or f"/namespaces/{place}/" in d} == set()
    assert {
        ("concertmaster.dev", "workflowchanges", "create"),
        ("concertmaster.dev", "workflowchanges", "delete"),
        ("concertmaster.dev", "workflowchanges", "get"),
        ("concertmaster.dev", "workflowchanges/status", "patch"),
        ("batch", "cronjobs", "get"),
        ("batch", "cronjobs", "patch"),
        ("", "limitranges", "list"),
        ("", "resourcequotas", "list"),
        ("autoscaling", "horizontalpodautoscalers", "list"),
        ("autoscaling.k8s.io", "verticalpodautoscalers", "list"),
        ("keda.sh", "scaledobjects", "list"),
    } <= rights
