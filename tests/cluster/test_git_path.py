"""The way of most teams, with real parts: a recommendation, its printed patch through Git's tooling, the runs after it,
the verification.

The operator only recommends here. Somebody renders the patch that ``explain`` prints into the manifest and applies the
result under another field manager, as a GitOps controller would; the operator finds it in the object, measures what it
brought, and still knows it after a restart without its history file.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from concertmaster.cli import cli
from concertmaster.cli.errors import UserError
from concertmaster.kube.objects import PROFILES
from testbed.services.cluster import Cluster
from tests.support.cluster.change_harness import LIVE_SECONDS, Harness, cron_job
from tests.support.cluster.operator_bed import (
    apply,
    condition,
    install_crds,
    operator,
    policy,
    profile,
    settings,
    wait_for,
    wait_for_like_days,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600 + LIVE_SECONDS)]

MANAGER = "kustomize-controller"
SHORT = 60.0  # seconds of a dismissal, of which a cycle has to see some


def concertmaster(cluster: Cluster, namespace: str, *words: str) -> str:
    """What a command prints, run as a person would."""
    more = ["-n", namespace, "--kubeconfig", str(cluster.kubeconfig())]
    found = CliRunner().invoke(cli, [*words, *more], catch_exceptions=False, standalone_mode=False)
    return found.output


def status(harness: Harness, name: str = "wide") -> dict[str, Any]:
    found = harness.client.get(PROFILES.path(harness.namespace, name))
    return dict(found.get("status") or {})


def with_recommendations(harness: Harness, state: str) -> dict[str, Any]:
    """The recommendation about parallelism when it is in that state."""
    items = status(harness).get("recommendations") or []
    return next((r for r in items if r["id"].startswith("parallelism") and r["state"] == state), {})


def printed_patch(text: str) -> str:
    """The kustomization that ``explain`` prints."""
    lines = text.partition("For Git (kustomization.yaml):\n")[2].splitlines()
    block = [line[4:] for line in lines[: next(i for i, line in enumerate(lines) if not line.strip())]]
    return "\n".join(block)


def commit(cluster: Cluster, namespace: str, manifest: dict[str, Any], patch: str, directory: Path) -> None:
    """Render the patch into the manifest and apply the result as Git tooling does."""
    (directory / "cronjob.json").write_text(json.dumps(manifest))
    kustomization = {"resources": ["cronjob.json"], **yaml.safe_load(patch)}
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    rendered = cluster.kubectl("kustomize", str(directory))
    cluster.kubectl(
        "-n", namespace, "apply", "--server-side", f"--field-manager={MANAGER}", "--force-conflicts", "-f", "-",
        input=rendered,
    )  # fmt: skip


def test_a_recommendation_goes_through_git_is_seen_measured_and_remembered(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    wait_for_like_days(LIVE_SECONDS)
    install_crds(cluster)
    harness = Harness(cluster, namespace)
    manifest = cron_job(namespace, "wide", "200m", parallelism=2, completions=6)
    apply(
        cluster,
        manifest,
        profile(namespace, "wide", workflowRef={"apiVersion": "batch/v1", "kind": "CronJob", "name": "wide"}),
        policy(namespace, analysis={"window": "1h"}, apply={"verify": {"minRuns": 5, "maxRuns": 12}}),
    )
    config = settings(tmp_path, {"default": cluster.endpoints["prometheus"]}, namespaces=[namespace])
    config["sources"][0]["delaySeconds"] = 0
    config["limits"] = {"backfill": "1h"}
    with operator(cluster, tmp_path, config) as op:
        harness.play(["wide"])
        item = wait_for("recommendations", lambda: with_recommendations(harness, "Active"), pause=1.0)
        assert item["promised"].startswith("Duration -")
        explained = concertmaster(cluster, namespace, "explain", "wide", item["id"])
        commit(cluster, namespace, manifest, printed_patch(explained), tmp_path)
        lifted = int(harness.spec("wide")["parallelism"])
        assert lifted > 2
        assert item["sets"] == f"/spec/jobTemplate/spec/parallelism: 2 -> {lifted}"

        done = wait_for("Implemented", lambda: with_recommendations(harness, "Implemented"), pause=1.0)
        (outcome,) = status(harness)["results"]
        assert outcome["by"] == MANAGER
        assert outcome["since"] == done["since"]
        assert "verdict" not in outcome
        assert not list(cluster.get("wfc", "-n", namespace)["items"])  # nobody let the operator do anything
        before = outcome["baselineRuns"]

        time.sleep(1.5)  # a run of the second of the write belongs to neither side
        harness.play(["wide"])
        wait_for("a verdict", lambda: status(harness)["results"][0].get("verdict"), pause=1.0)
        (outcome,) = status(harness)["results"]
        assert outcome["verdict"] == "Improved"
        assert outcome["verifiedRuns"] >= 5
        assert outcome["baselineRuns"] >= max(5, before)
        measured, promised = (float(outcome[k].split()[1].rstrip("%")) for k in ("measured", "promised"))
        assert measured < -20.0
        assert measured > promised  # pods slow one another down, which the replay cannot know
        print("promised", outcome["promised"], "measured", outcome["measured"])
        said = concertmaster(cluster, namespace, "explain", "wide", item["id"])
        assert f"Applied {outcome['since']} by {MANAGER}" in said
        assert "Effect: Improved:" in said
        record = wait_for(
            "the rule's record",
            lambda: (
                "predictions of this rule held" in with_recommendations(harness, "Implemented").get("trackRecord", "")
            ),
        )
        assert record
        assert op.metric('concertmaster_rule_promises{result="held",rule="parallelism"}') + op.metric(
            'concertmaster_rule_promises{result="broken",rule="parallelism"}'
        ) == 1.0  # fmt: skip
        reasons = wait_for("events", lambda: {"Implemented", "EffectMeasured"} <= events(cluster, namespace))
        assert reasons
        kept = status(harness)["results"]
        assert op.stop() < 15.0

    for file in tmp_path.glob("history.db*"):
        file.unlink()
    with operator(cluster, tmp_path, config) as op:
        op.next_cycles(3)
        assert status(harness)["results"] == kept
        assert with_recommendations(harness, "Implemented")["since"] == done["since"]
        again = concertmaster(cluster, namespace, "explain", "wide", item["id"])
        assert "Effect: Improved:" in again
        assert "predictions of this rule held" in " ".join(again.split())
        assert "Implemented" in concertmaster(cluster, namespace, "list", "--state", "Implemented")


def events(cluster: Cluster, namespace: str) -> set[str]:
    """Reasons of the Events in a namespace."""
    return {str(e.get("reason")) for e in cluster.get("events.events.k8s.io", "-n", namespace)["items"]}


def test_a_dismissal_by_command_and_by_edit_holds_and_a_wrong_one_is_reported(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    install_crds(cluster)
    harness = Harness(cluster, namespace)
    apply(
        cluster,
        cron_job(namespace, "wide", "200m", parallelism=2, completions=6),
        profile(namespace, "wide", workflowRef={"apiVersion": "batch/v1", "kind": "CronJob", "name": "wide"}),
        policy(namespace, analysis={"window": "1h"}),
    )
    config = settings(tmp_path, {"default": cluster.endpoints["prometheus"]}, namespaces=[namespace])
    config["sources"][0]["delaySeconds"] = 0
    config["limits"] = {"backfill": "1h"}

    def edit(dismissals: list[dict[str, str]]) -> None:
        body = json.dumps({"spec": {"dismissals": dismissals}})
        cluster.kubectl("-n", namespace, "patch", "wfp", "wide", "--type=merge", "-p", body)

    def ready() -> dict[str, Any]:
        return condition(harness.client.get(PROFILES.path(namespace, "wide")), "Ready")

    with operator(cluster, tmp_path, config):
        harness.play(["wide"], 6)
        item = wait_for("recommendations", lambda: with_recommendations(harness, "Active"), pause=1.0)
        said = concertmaster(
            cluster, namespace, "dismiss", "wide", item["id"], "--reason", "nodes are full", "--for", "30d"
        )
        assert "is dismissed until" in said
        away = wait_for("Dismissed", lambda: with_recommendations(harness, "Dismissed"))
        assert away["dismissal"].startswith("nodes are full, until ")
        edit([*cluster.get("wfp", "wide", "-n", namespace)["spec"]["dismissals"],
              {"recommendation": "timeout", "reason": "not needed"}])  # fmt: skip
        concertmaster(cluster, namespace, "dismiss", "wide", item["id"], "--reason", "nodes are still full")
        found = {d["recommendation"] for d in cluster.get("wfp", "wide", "-n", namespace)["spec"]["dismissals"]}
        assert found == {item["id"], "timeout"}  # the command did not take the other decision back

        concertmaster(cluster, namespace, "dismiss", "wide", item["id"], "--undo")
        back = wait_for("Active again", lambda: with_recommendations(harness, "Active"))
        assert "its dismissal is over" in back["note"]

        edit(
            [{"recommendation": item["id"], "reason": "by hand"}, {"recommendation": "paralelism", "reason": "a slip"}]
        )
        wait_for("Dismissed by kubectl", lambda: with_recommendations(harness, "Dismissed"))
        reported = wait_for("a word on the slip", lambda: ready().get("reason") == "UnknownDismissal" and ready())
        assert reported["status"] == "True"
        assert "spec.dismissals names paralelism, and there is no rule paralelism" in reported["message"]

        over = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + SHORT))
        edit([{"recommendation": item["id"], "reason": "for a moment", "expirationTime": over}])
        wait_for(
            "Dismissed for a moment",
            lambda: "for a moment" in with_recommendations(harness, "Dismissed").get("dismissal", ""),
        )
        wait_for("its end", lambda: with_recommendations(harness, "Active"))
        assert ready()["reason"] == "Analyzed"


def test_a_dismissal_without_an_end_ends_not_with_what_another_manager_wrote(cluster: Cluster, namespace: str) -> None:
    """Server-side apply leaves the others' fields in the entry; the decision must hold all the same."""
    install_crds(cluster)
    reference = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "wide"}
    apply(cluster, profile(namespace, "wide", workflowRef=reference))
    entry = {"id": "timeout.load", "action": "x", "category": "Cost", "severity": "Low", "state": "Active"}
    entry |= {"since": "2025-10-09T08:53:20Z", "dismissal": "for good"}
    over = {"recommendation": "timeout.load", "reason": "by hand", "expirationTime": "2025-01-01T00:00:00Z"}
    for body, more in (
        ({"status": {"remaining": [entry]}}, ["--subresource=status"]),
        ({"spec": {"dismissals": [over]}}, []),
    ):
        cluster.kubectl("-n", namespace, "patch", "wfp", "wide", "--type=merge", "-p", json.dumps(body), *more)
    words = ("dismiss", "wide", "timeout.load", "--reason")
    with pytest.raises(UserError, match="another --reason"):
        concertmaster(cluster, namespace, *words, "for  good")
    said = concertmaster(cluster, namespace, *words, "really for good")
    assert "is dismissed until it changes materially" in said
    found = cluster.get("wfp", "wide", "-n", namespace)["spec"]["dismissals"]
    assert found == [{"reason": "really for good", "recommendation": "timeout.load"}]
    concertmaster(cluster, namespace, *words, "for now", "--for", "1d")
    concertmaster(cluster, namespace, *words, "for good after all")
    found = cluster.get("wfp", "wide", "-n", namespace)["spec"]["dismissals"]
    assert found == [{"reason": "for good after all", "recommendation": "timeout.load"}]
