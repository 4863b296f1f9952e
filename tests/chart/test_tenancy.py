"""Two tenants, one operator, one store: what one of them tries, and that the other is out of reach."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.services.cluster import KubectlError
from testbed.services.prometheus import PrometheusServer
from tests.support.chart.bed import Bed, deployed, source
from tests.support.chart.place import CRONJOBS, FAST, REF, get, namespaces, state, with_recommendations
from tests.support.cluster.operator_bed import apply, cronjob, history, policy, profile, runs_of_cronjob, wait_for

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def tenants(bed: Bed) -> Any:
    """The operator's namespace, an attacker's and a victim's."""
    with namespaces(bed, "ops", "attacker", "victim") as names:
        yield names


@pytest.fixture
def store(tenants: list[str], make_prometheus: Callable[..., PrometheusServer]) -> PrometheusServer:
    """One Prometheus with the runs of both, and a number only the victim should see."""
    end = time.time() - 30.0
    pods, jobs = [], []
    for name in tenants[1:]:
        more = runs_of_cronjob(name, "etl", 30, end)
        pods += more[0]
        jobs += more[1]
    text = "".join(history(pods, jobs, end)).removesuffix("# EOF\n")
    moments = "".join(
        f'salary{{namespace="{tenants[2]}",run="etl-{k}"}} 424242 {end - 3600 * k:.0f}\n' for k in range(20, 0, -1)
    )
    return make_prometheus(history=[text, "# TYPE salary gauge\n", moments, "# EOF\n"])


def everything_said(bed: Bed, namespace: str) -> str:
    """All a tenant can read in the namespace: profiles, policies, Events."""
    kinds = "wfp,opol,wfc,events.events.k8s.io"
    return bed.cluster.kubectl("get", kinds, "-n", namespace, "-o", "yaml")


def test_the_victims_numbers_stay_with_the_victim(
    bed: Bed, tenants: list[str], store: PrometheusServer, tmp_path: Path
) -> None:
    ops, attacker, victim = tenants
    bed.install("cm", ops, {"sources": [source(store.url)], "config": FAST})
    queries = {
        "plain": f'max by (run) (last_over_time(salary{{namespace="{victim}"}}[$window]))',
        "regex": 'max by (run) (last_over_time(salary{namespace=~".+"}[$window]))',
        "none": "max by (run) (last_over_time(salary[$window]))",
        "or": f'max by (run) (last_over_time(salary{{run=~".+" or namespace="{victim}"}}[$window]))',
        "relabel": f'label_replace(last_over_time(salary[$window]), "namespace", "{attacker}", "", "")',
        "name": 'max by (run) (last_over_time({__name__=~"sal.*"}[$window]))',
    }
    extra = [{"name": name, "query": query} for name, query in queries.items()]
    apply(
        bed.cluster,
        cronjob(attacker, "etl"),
        cronjob(victim, "etl"),
        profile(attacker, "spy", workflowRef=REF, extraMetrics=extra),
        policy(attacker, "mine", discover=CRONJOBS),
        policy(victim, "theirs", discover=CRONJOBS),
    )
    with deployed(bed, "cm", ops, tmp_path) as op:
        wait_for(
            "the attacker's own recommendations",
            lambda: get(bed, "wfp", attacker, "spy").get("status", {}).get("dataUntil"),
        )
        wait_for("the victim's recommendations", lambda: with_recommendations(bed, victim))
        op.next_cycles(1)
    said = everything_said(bed, attacker)
    assert "424242" not in said
    assert victim not in said.replace(json.dumps(extra), "").split("status:", 1)[-1] or "424242" not in said
    # Both analyse runs of one name; each sees its own thirty.
    assert get(bed, "wfp", attacker, "spy")["status"]["runs"]["observed"] == 30
    assert get(bed, "wfp", victim, "cronjob-etl")["status"]["runs"]["observed"] == 30


def test_a_namespaced_policy_discovers_its_own_namespace_only(
    bed: Bed, tenants: list[str], store: PrometheusServer, tmp_path: Path
) -> None:
    ops, attacker, victim = tenants
    bed.install("cm", ops, {"sources": [source(store.url)], "config": FAST})
    apply(bed.cluster, cronjob(attacker, "etl"), cronjob(victim, "etl"), policy(attacker, "mine", discover=CRONJOBS))
    with deployed(bed, "cm", ops, tmp_path) as op:
        wait_for("the attacker's own profile", lambda: get(bed, "wfp", attacker, "cronjob-etl"))
        op.next_cycles(1)
    assert bed.cluster.get("wfp", "-n", victim)["items"] == []


@pytest.mark.parametrize(
    "spec",
    [
        {"workflowRef": {**REF, "namespace": "victim"}},
        {"workflowRef": {**REF, "name": "victim/etl"}},
        {"workflowRef": {**REF, "name": "../victim/etl"}},
        {"workflowRef": {**REF, "apiVersion": "batch/v1/namespaces/victim"}},
        {"workflowRef": {"apiVersion": "v1", "kind": "Secret", "name": "token"}},
    ],
    ids=["field", "slash", "dots", "path", "kind"],
)
def test_a_profile_cannot_point_elsewhere(bed: Bed, tenants: list[str], spec: dict[str, Any]) -> None:
    ops, attacker, _ = tenants
    bed.install("cm", ops, {"sources": [source("http://127.0.0.1:9")]})
    with pytest.raises(KubectlError):
        apply(bed.cluster, profile(attacker, "spy", **spec))


def test_a_policy_cannot_carry_an_address(bed: Bed, tenants: list[str]) -> None:
    ops, attacker, _ = tenants
    bed.install("cm", ops, {"sources": [source("http://127.0.0.1:9")]})
    for name in ("http://evil.example", "default@evil.example", "../default"):
        with pytest.raises(KubectlError):
            apply(bed.cluster, policy(attacker, "mine", metricsSource=name))


@pytest.mark.parametrize("listed", [False, True], ids=["cluster", "listed"])
def test_a_store_that_is_not_for_the_namespace_is_not_asked(
    bed: Bed, tenants: list[str], store: PrometheusServer, tmp_path: Path, listed: bool
) -> None:
    """The source is for namespaces labelled tier=gold; a bronze one names it and gets a reason instead of data."""
    ops, attacker, victim = tenants
    gold = source(store.url, name="gold", namespaceSelector={"matchLabels": {"tier": "gold"}})
    scope = {"namespaces": [attacker, victim]} if listed else {}
    bed.install("cm", ops, {"sources": [gold], "config": FAST, **scope})
    bed.cluster.kubectl("label", "namespace", victim, "tier=gold")
    bed.cluster.kubectl("label", "namespace", attacker, "tier=bronze")
    for name in (attacker, victim):
        apply(bed.cluster, cronjob(name, "etl"), policy(name, "team", metricsSource="gold", discover=CRONJOBS))
    with deployed(bed, "cm", ops, tmp_path) as op:
        wait_for("the gold one's recommendations", lambda: with_recommendations(bed, victim))
        found = wait_for(
            "the bronze one's condition",
            lambda: (
                state(bed, attacker, "cronjob-etl", "MetricsAvailable").get("status") == "False"
                and state(bed, attacker, "cronjob-etl", "MetricsAvailable")
            ),
        )
        op.next_cycles(1)
    assert "gold" in found["message"] and attacker in found["message"]
    assert "dataUntil" not in get(bed, "wfp", attacker, "cronjob-etl")["status"]


def test_labels_of_the_targets_do_not_mark_a_profile_as_the_operators_own(
    bed: Bed, tenants: list[str], store: PrometheusServer, tmp_path: Path
) -> None:
    """A user's own profile is never withdrawn, also when its namespace's targets carry the operator's label."""
    ops, attacker, _ = tenants
    bed.install("cm", ops, {"sources": [source(store.url)], "config": FAST})
    target = cronjob(attacker, "etl", **{"concertmaster.dev/discovered": "false"})
    apply(bed.cluster, target, policy(attacker, "mine", discover=CRONJOBS), profile(attacker, "own", workflowRef=REF))
    with deployed(bed, "cm", ops, tmp_path) as op:
        wait_for("recommendations", lambda: with_recommendations(bed, attacker, "own"))
        op.next_cycles(1)
        names = {p["metadata"]["name"] for p in bed.cluster.get("wfp", "-n", attacker)["items"]}
        assert names == {"own"}, "the target has a profile already"
        bed.cluster.kubectl("delete", "opol", "mine", "-n", attacker)
        op.next_cycles(1)
    assert get(bed, "wfp", attacker, "own")


def test_two_profiles_of_one_workflow_say_which_is_used_for_changes(
    bed: Bed, tenants: list[str], store: PrometheusServer, tmp_path: Path
) -> None:
    ops, team, _ = tenants
    bed.install("cm", ops, {"sources": [source(store.url)], "config": FAST})
    apply(
        bed.cluster,
        cronjob(team, "etl"),
        policy(team, "auto", apply={"mode": "Auto"}),
        profile(team, "b", workflowRef=REF),
    )
    with deployed(bed, "cm", ops, tmp_path) as op:
        wait_for("recommendations", lambda: with_recommendations(bed, team, "b"))
        time.sleep(1.0)  # creation times are whole seconds
        apply(bed.cluster, profile(team, "a", workflowRef=REF))
        wait_for("the notice", lambda: state(bed, team, "b", "TargetResolved").get("reason") == "SharedTarget")
        wait_for("recommendations for both", lambda: with_recommendations(bed, team, "a"))
        op.next_cycles(1)
        reported = state(bed, team, "a", "TargetResolved")
        assert (reported["status"], reported["reason"]) == ("True", "SharedTarget")
        assert "b, the oldest, is used for changes and this one only recommends" in reported["message"]
