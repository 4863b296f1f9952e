"""Templates that other workflows refer to wait for a person, as Tasks of other Pipelines do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from concertmaster.controller.changes.cluster_facts import FactReader
from concertmaster.core.changes.checks_cluster import shared_task
from concertmaster.core.changes.plan import Plan
from concertmaster.core.changes.situation import Situation
from concertmaster.core.model.policy import Policy
from concertmaster.kube import errors
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.objects import Resource
from tests.support.controller.fakes import MemoryClient
from tests.support.core.change_samples import planned
from tests.support.resources import known_resource

API = "argoproj.io/v1alpha1"
TEMPLATE, CLUSTER, CRON = (
    known_resource(API, kind) for kind in ("WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow")
)


def calls(name: str, cluster: bool = False) -> dict[str, Any]:
    """A spec one of whose tasks takes its template from another object."""
    ref = {"name": name, "template": "train", **({"clusterScope": True} if cluster else {})}
    return {"templates": [{"name": "main", "dag": {"tasks": [{"name": "a", "templateRef": ref}]}}]}


def made_from(name: str, cluster: bool = False) -> dict[str, Any]:
    return {"workflowTemplateRef": {"name": name, **({"clusterScope": True} if cluster else {})}}


def plan_for(kind: str, namespace: str | None) -> Plan:
    plan = planned()
    return replace(plan, target=replace(plan.target, kind=kind, name="etl", namespace=namespace), namespace="demo")


def shared_by(client: MemoryClient, plan: Plan) -> tuple[str, ...] | None:
    return FactReader(client, AccessChecker(client)).sharing(plan, "etl").shared_by


@pytest.mark.parametrize(
    ("resource", "namespace", "spec", "expected"),
    [
        (TEMPLATE, "demo", calls("etl"), ("WorkflowTemplate nightly",)),
        (TEMPLATE, "demo", {"templates": [], "hooks": {"exit": {"templateRef": {"name": "etl"}}}},
         ("WorkflowTemplate nightly",)),
        (TEMPLATE, "demo", made_from("etl"), ("WorkflowTemplate nightly",)),
        (CRON, "demo", {"workflowSpec": calls("etl")}, ("CronWorkflow nightly",)),
        (TEMPLATE, "demo", calls("{{workflow.parameters.which}}"), ("WorkflowTemplate nightly, perhaps",)),
        (CRON, "demo", {"workflowSpec": made_from("etl")}, ()),  # it starts the workflow itself
        (TEMPLATE, "demo", calls("other"), ()),
        (TEMPLATE, "demo", calls("etl", cluster=True), ()),
        (TEMPLATE, "elsewhere", calls("etl"), ()),
    ],
)  # fmt: skip
def test_who_refers_to_a_template_of_the_namespace_is_known(
    resource: Resource, namespace: str, spec: dict[str, Any], expected: tuple[str, ...]
) -> None:
    client = MemoryClient()
    client.put(TEMPLATE, "demo", "etl", spec=calls("etl"))  # a reference of its own is no sharing
    client.put(resource, namespace, "nightly", spec=spec)
    assert shared_by(client, plan_for("WorkflowTemplate", "demo")) == expected


def test_who_refers_to_a_cluster_wide_template_is_known_in_every_namespace() -> None:
    client = MemoryClient()
    client.put(TEMPLATE, "a", "one", spec=calls("etl", cluster=True))
    client.put(CRON, "b", "two", spec={"workflowSpec": calls("etl", cluster=True)})
    client.put(CLUSTER, None, "three", spec=calls("etl", cluster=True))
    client.put(CLUSTER, None, "etl", spec=calls("etl", cluster=True))
    client.put(TEMPLATE, "a", "other", spec=calls("etl"))
    assert shared_by(client, plan_for("ClusterWorkflowTemplate", None)) == (
        "WorkflowTemplate a/one",
        "ClusterWorkflowTemplate three",
        "CronWorkflow b/two",
    )


def test_the_check_waits_for_a_person_and_blocks_while_nobody_knows() -> None:
    client, plan = MemoryClient(), plan_for("WorkflowTemplate", "demo")
    client.put(TEMPLATE, "demo", "nightly", spec=calls("etl"))
    read = FactReader(client, AccessChecker(client)).sharing
    asked = shared_task(plan, Situation(0.0, Policy(None), facts=read(plan, "etl")))
    assert (asked.passed, asked.waiting) == (False, True)
    assert "1 other workflow (WorkflowTemplate nightly) runs WorkflowTemplate etl too" in asked.message
    assert shared_task(plan, Situation(0.0, Policy(None), facts=read(plan, "etl"), approved=True)).passed
    client.lists[CRON.path("demo")] = errors.Forbidden("no", status=403)
    unknown = shared_task(
        plan, Situation(0.0, Policy(None), facts=FactReader(client, AccessChecker(client)).sharing(plan, "etl"))
    )
    assert not unknown.passed
    assert "grant the operator list on cronworkflows" in unknown.message
