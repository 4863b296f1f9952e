"""What earlier changes brought corrects what is promised later, unless ``analysis.learning`` is switched off: the operator
on a real API server, with the changes of another workflow that brought nothing of what they promised."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.services.cluster import Cluster
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.operator_bed import (
    apply,
    cronjob,
    hourly_runs,
    install_crds,
    operator,
    policy,
    profile,
    settings,
    wait_for,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

LEARNS, IGNORES, BROKEN = "learns", "ignores", "broken"
# Four ratios of 1 weigh as much before anything is known: 4 of 16. Plans count the operator's own changes only: 4 of 10.
BY_HAND, OWN = 6, 6


def broken_promises() -> dict[str, Any]:
    """A status that remembers right-sizings by hand which changed nothing."""
    result = {
        "id": "right-size", "action": "Right-size it", "by": "kubectl", "verdict": "Same",
        "promised": "Cost -40% (-50 to -30%)", "measured": "Cost 0% (-2 to 2%)", "sets": "/spec/x: 2 -> 1",
    }  # fmt: skip
    days = [f"2025-10-{day:02}T00:00:00Z" for day in range(1, BY_HAND + 1)]
    return {"results": [{**result, "since": day, "judged": day} for day in days]}


def own_changes(namespace: str) -> Iterator[dict[str, Any]]:
    """Changes the operator made, of which nothing came either."""
    for day in range(BY_HAND + 1, BY_HAND + OWN + 1):
        at = f"2025-10-{day:02}T00:00:00Z"
        done = {"status": "True", "reason": "Done", "message": "done", "lastTransitionTime": at}
        yield {
            "apiVersion": "concertmaster.dev/v1alpha1",
            "kind": "WorkflowChange",
            "metadata": {"name": f"{BROKEN}-{day}", "namespace": namespace},
            "spec": {
                "profileRef": {"name": BROKEN},
                "recommendation": "right-size",
                "planDigest": f"{day:064x}",
                "decision": "Approve",
            },
            "status": {
                "phase": "Completed",
                "verdict": "Same",
                "predicted": {"measure": "Cost", "low": "-50", "likely": "-40", "high": "-30"},
                "measured": {"measure": "Cost", "low": "-2", "likely": "0", "high": "2"},
                "conditions": [{**done, "type": kind} for kind in ("Approved", "Applied", "Verified")],
            },
        }


def test_promises_are_corrected_by_what_earlier_changes_brought_unless_that_is_switched_off(
    cluster: Cluster, namespace: str, make_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    install_crds(cluster)
    prometheus = make_prometheus(history=hourly_runs(namespace, LEARNS, IGNORES))
    ref = {"apiVersion": "batch/v1", "kind": "CronJob"}
    asks = {"apply": {"mode": "Approve"}}
    off = {"selector": {"matchLabels": {"workflow": IGNORES}}, "priority": 1, "analysis": {"learning": "Disabled"}}
    apply(cluster, policy(namespace, **asks), policy(namespace, "off", **asks, **off))
    for name in (LEARNS, IGNORES, BROKEN):
        made = profile(namespace, name, workflowRef={**ref, "name": name})
        made["metadata"]["labels"] = {"workflow": name}
        apply(cluster, made, *([] if name == BROKEN else [cronjob(namespace, name)]))
    patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": broken_promises()}))
    cluster.kubectl("patch", "wfp", BROKEN, "-n", namespace, *patch)
    changes = list(own_changes(namespace))
    apply(cluster, *changes)
    for change in changes:
        patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": change["status"]}))
        cluster.kubectl("patch", "wfc", change["metadata"]["name"], "-n", namespace, *patch)
    with operator(cluster, tmp_path, settings(tmp_path, {"default": prometheus.url}, namespaces=[namespace])):

        def proposed() -> dict[str, dict[str, Any]]:
            items = cluster.get("wfc", "-n", namespace)["items"]
            found = {
                c["spec"]["profileRef"]["name"]: c["status"]
                for c in items
                if c["spec"]["profileRef"]["name"] != BROKEN and c.get("status", {}).get("predicted")
            }
            return found if found.keys() == {LEARNS, IGNORES} else {}

        effects = {name: status["predicted"] for name, status in wait_for("two proposals", proposed).items()}
        profiles = {p["metadata"]["name"]: p for p in cluster.get("wfp", "-n", namespace)["items"]}
    assert effects[LEARNS]["correctionPercent"] == "40"
    assert "correctionPercent" not in effects[IGNORES]
    assert float(effects[LEARNS]["likely"]) == pytest.approx(0.4 * float(effects[IGNORES]["likely"]), rel=0.05)
    records = {
        name: next(r["trackRecord"] for r in profiles[name]["status"]["recommendations"] if r["id"] == "right-size")
        for name in effects
    }
    assert records[LEARNS] == f"{records[IGNORES]}; this one counts 25%"
    assert records[IGNORES].startswith("predictions of this rule held in ")
