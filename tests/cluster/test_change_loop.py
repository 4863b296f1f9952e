"""The closed loop with real parts: API server, controllers, kwok's pods, kube-state-metrics, Prometheus, the operator.

Only what happens inside the pods is simulated, and by a law the operator does not know: the test decides how long a pod
takes from the requests and the parallelism its Job was made with. Pods that run side by side slow one another down (the
replay knows nothing of that), and a CPU request that looks far too high turns out to be needed.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from concertmaster.core.model.amounts import quantity
from testbed.services.cluster import Cluster
from tests.support.cluster.change_harness import LIVE_SECONDS, MOST, Harness, cron_job
from tests.support.cluster.operator_bed import (
    DISCOVER_CRONJOBS,
    apply,
    condition,
    install_crds,
    operator,
    policy,
    settings,
    wait_for,
    wait_for_like_days,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600 + LIVE_SECONDS)]


def test_a_limit_is_lifted_and_verified_and_a_harmful_trim_is_rolled_back(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    wait_for_like_days(LIVE_SECONDS)
    install_crds(cluster)
    harness = Harness(cluster, namespace)
    apply(
        cluster,
        cron_job(namespace, "wide", "200m", parallelism=2, completions=6),
        cron_job(namespace, "trim", "1", parallelism=1, completions=1),
        policy(
            namespace,
            discover=DISCOVER_CRONJOBS,
            analysis={"window": "1h", "materiality": {"moneyPerMonth": "0.01"}},  # runs of seconds cost next to nothing
            apply={
                "mode": "Auto",
                "maxRisk": "Medium",
                "cooldown": "1h",
                "bounds": {"maxStepPercent": 1000},
                "verify": {"minRuns": 5, "maxRuns": MOST},
            },
        ),
    )
    config = settings(tmp_path, {"default": cluster.endpoints["prometheus"]}, namespaces=[namespace])
    config["sources"][0]["delaySeconds"] = 0
    config["limits"] = {"backfill": "1h"}
    with operator(cluster, tmp_path, config) as op:
        harness.play(["wide", "trim"])
        wait_for("both changes", lambda: {harness.phase("wide"), harness.phase("trim")} == {"Verifying"}, pause=1.0)
        lifted = int(harness.spec("wide")["parallelism"])
        trimmed = harness.spec("trim")["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"]
        assert lifted > 2
        assert (quantity(trimmed) or 1.0) < 1.0
        assert op.process.poll() is None
        time.sleep(1.5)  # runs of the second in which the change was written belong to neither side
        try:
            harness.verify(["wide", "trim"])
        except AssertionError as error:
            raise AssertionError(f"no verdicts: {harness.seen}") from error

        wide = harness.change("wide")["status"]
        assert wide["verdict"] == "Improved"
        assert wide["baselineRuns"] >= 5
        assert int(harness.spec("wide")["parallelism"]) == lifted
        promised, measured = wide["predicted"], wide["measured"]
        assert promised["measure"] == measured["measure"] == "Duration"
        assert float(measured["likely"]) < -20.0
        # The hidden law costs a part of the promise. How much, pods of seconds do not show on a loaded machine.
        assert float(measured["likely"]) > float(promised["likely"]) - 15.0
        assert measured != promised
        print("promised", promised, "measured", measured)

        trim = harness.change("trim")
        assert (trim["status"]["verdict"], trim["status"]["restored"]) == ("Worse", True)
        assert "slower" in condition(trim, "Verified")["message"]
        cpu = harness.spec("trim")["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"]
        assert cpu == "1"
        op.next_cycles(2)
        assert harness.phase("trim") == "Completed"
