"""Profiles by pod labels: names that fit whatever a label says, no more of them than a policy allows."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.api.labelled import LabelledWorkflow, discover_labelled, keys_of, labels_of, profile_name
from concertmaster.api.models.base import DNS_LABEL
from concertmaster.api.models.policy import ClusterOptimizationPolicy, OptimizationPolicy
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.core.model import PodLabels

AIRFLOW = PodLabels("dag_id", "run_id", "task_id", "try_number", "map_index", preset="airflow")
OWN = {"workflow": "example.com/pipeline", "run": "example.com/run", "step": "example.com/step"}


def policy(*entries: dict[str, Any], cluster: bool = False, **spec: Any) -> Any:
    kind = ClusterOptimizationPolicy if cluster else OptimizationPolicy
    meta = {"name": "all", "creationTimestamp": "2026-01-01T00:00:00Z", **({} if cluster else {"namespace": "data"})}
    document = {"metadata": meta, "spec": {"discover": [{"podLabels": e} for e in entries], **spec}}
    return kind.parse(document, strict=True)


def seen(*values: str, namespace: str = "data", keys: PodLabels = AIRFLOW) -> list[LabelledWorkflow]:
    return [LabelledWorkflow(namespace, replace(keys, value=v)) for v in values]


def test_every_value_in_reach_gets_a_profile() -> None:
    found, notes = discover_labelled(
        [policy({"preset": "airflow"})],
        [*seen("etl", "Nightly_ETL"), *seen("far", namespace="other")],
        (),
        {"data": {}},
    )
    assert [(d.namespace, d.name, d.target.spec) for d in found] == [
        ("data", "airflow-etl", {"podLabels": {"preset": "airflow", "value": "etl"}}),
        ("data", "airflow-nightly-etl-b7c1e45f", {"podLabels": {"preset": "airflow", "value": "Nightly_ETL"}}),
    ] or found[1].name.startswith("airflow-nightly-etl-")
    assert not notes
    for d in found:
        document = {"metadata": {"name": d.name, "namespace": d.namespace}, "spec": d.target.spec}
        WorkflowProfile.parse(document, strict=True)
        assert labels_of(d.target.spec) == d.target.labels, "a profile is recognized as the one that was made"


def test_own_labels_need_no_preset() -> None:
    asking = policy(OWN)
    keys = keys_of(asking.spec.discover[0].pod_labels)
    assert keys == PodLabels("example.com/pipeline", "example.com/run", "example.com/step")
    (one,), _ = discover_labelled([asking], seen("train", keys=keys), (), {"data": {}})
    assert (one.name, one.target.spec) == ("pods-train", {"podLabels": {**OWN, "value": "train"}})


def test_a_label_of_ones_own_may_stand_beside_a_preset() -> None:
    asking = policy({"preset": "nextflow", "workflow": "pipeline"})
    keys = keys_of(asking.spec.discover[0].pod_labels)
    assert keys is not None
    assert (keys.workflow, keys.run, keys.preset) == ("pipeline", "nextflow.io/runName", "nextflow")


def test_no_more_profiles_than_the_entry_allows_and_those_that_exist_stay() -> None:
    asking = policy({"preset": "airflow", "maxProfiles": 2})
    found, notes = discover_labelled([asking], seen("a", "b", "c"), seen("c"), {"data": {}})
    assert [d.target.labels.value for d in found] == ["a", "c"]
    ((note,),) = notes.values()
    assert note.startswith("3 workflows were found by preset airflow, and 2 of them have a profile; raise maxProfiles")


def test_namespaces_take_turns_for_the_places_of_a_policy() -> None:
    asking = policy({"preset": "airflow", "maxProfiles": 4}, cluster=True, namespaceSelector={})
    flood, modest = seen(*(f"f{i}" for i in range(9)), namespace="a"), seen("etl", "report", namespace="z")
    places: dict[str, dict[str, str]] = {"a": {}, "z": {}}
    found, _ = discover_labelled([asking], [*flood, *modest], (), places)
    assert [(d.namespace, d.target.labels.value) for d in found] == [
        ("a", "f0"), ("a", "f1"), ("z", "etl"), ("z", "report")
    ]  # fmt: skip
    # The label that marks a profile as discovered is anybody's to set.
    found, _ = discover_labelled([asking], (), [*flood, *modest], places)
    assert [d.target.labels.value for d in found if d.namespace == "z"] == ["etl", "report"]
    found, _ = discover_labelled([asking], modest, flood[:3], places)
    assert [d.target.labels.value for d in found] == ["f0", "f1", "f2", "etl"], "those that exist stay"


def test_a_profile_stays_while_its_pods_are_not_seen_and_goes_when_nobody_asks() -> None:
    assert discover_labelled([policy({"preset": "airflow"})], (), seen("etl"), {"data": {}})[0]
    assert not discover_labelled([policy({"preset": "dagster"})], (), seen("etl"), {"data": {}})[0]


def test_a_suspended_policy_makes_none() -> None:
    (one,), _ = discover_labelled([policy({"preset": "airflow"}, suspend=True)], seen("etl"), (), {"data": {}})
    assert not one.create


def test_a_cluster_policy_reaches_the_namespaces_it_selects() -> None:
    asking = policy({"preset": "airflow"}, cluster=True, namespaceSelector={"matchLabels": {"team": "data"}})
    found, _ = discover_labelled(
        [asking], [*seen("etl"), *seen("etl", namespace="web")], (), {"data": {"team": "data"}, "web": {}}
    )
    assert [d.namespace for d in found] == ["data"]


@given(st.text(min_size=1, max_size=300))
def test_any_value_gives_a_name_kubernetes_accepts(value: str) -> None:
    name = profile_name(replace(AIRFLOW, value=value))
    assert re.fullmatch(DNS_LABEL, name)
    assert len(name) <= 63


def test_values_that_read_alike_have_names_of_their_own() -> None:
    values = ["nightly-etl", "nightly_etl", "nightly.etl", "Nightly-ETL", "nightly--etl", "n" * 63, "n" * 62 + "m"]
    assert len({profile_name(replace(AIRFLOW, value=v)) for v in values}) == len(values)


@pytest.mark.parametrize("wrong", [{}, {"workflow": "a"}, {"preset": "nobody"}])
def test_what_is_not_enough_is_not_discovered(wrong: dict[str, str]) -> None:
    assert labels_of({"podLabels": wrong}) is None
