"""``explain`` never sends its reader in a circle."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from concertmaster.cli import profiles
from concertmaster.cli.commands.explain import command, demand_table, describe
from concertmaster.core.rules.base import ELSEWHERE
from concertmaster.core.rules.fetched import FETCHED
from concertmaster.kube.errors import Forbidden
from concertmaster.kube.objects import PODS, PROFILES
from concertmaster.kube.operator_service import OperatorService
from tests.support.controller.fakes import MemoryClient

PROFILE = {
    "metadata": {"name": "wftmpl-etl", "namespace": "demo"},
    "spec": {"workflowRef": {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "name": "etl"}},
}
GRAPH = {"metadata": {"name": "sra", "namespace": "demo"}, "spec": {"graph": {}}}


def _item(identifier: str, how: str) -> dict[str, str]:
    return {
        "id": identifier,
        "action": "Do it",
        "because": "of this",
        "evidence": "42 runs",
        "expected": "12%",
        "proposed": "832Mi",
        "how": how,
    }


def test_a_command_that_makes_the_change_is_printed_as_it_is() -> None:
    text = describe(_item("memory-request.load", "kubectl -n demo set resources cronjob/x"), PROFILE)
    assert "    kubectl -n demo set resources cronjob/x" in text
    assert "Evidence:   42 runs" in text


def test_a_command_that_only_opens_an_object_says_what_to_set_in_it() -> None:
    text = describe(_item("memory-request.load", "kubectl -n demo edit workflowtemplate lib"), PROFILE)
    assert "Set 832Mi in the object that has the template:\n    kubectl -n demo edit workflowtemplate lib" in text


@pytest.mark.parametrize(
    ("identifier", "profile", "wanted"),
    [
        ("bottleneck.load", PROFILE, "kubectl concertmaster what-if wftmpl-etl -n demo --scale load=0.5"),
        ("degradation.load", PROFILE, "kubectl -n demo get workflowtemplate etl -o yaml --show-managed-fields"),
        ("degradation.load", GRAPH, "images and arguments of the pods of load"),
        ("memory-request.load", GRAPH, "Set 832Mi where the pods of load are defined"),
        (
            "best-practices",
            PROFILE,
            "Make the change in the definition (832Mi): kubectl -n demo edit workflowtemplate etl",
        ),
        ("retry-policy.load", GRAPH, "Where the pods of load are defined: 832Mi"),
        ("failing-step.load", PROFILE, "kubectl -n demo logs etl-42-load-1 --all-containers --tail=100"),
    ],
)
def test_else_the_next_step_is_reported(identifier: str, profile: dict[str, object], wanted: str) -> None:
    item = _item(identifier, f"kubectl concertmaster explain -n demo x {identifier}")
    text = describe(item | {"evidence": "newest failure: run etl-42, pod etl-42-load-1, ended now"}, profile)
    assert "kubectl concertmaster explain" not in text
    assert wanted in " ".join(text.split())


@pytest.mark.parametrize(("identifier", "of"), [("degradation.load", "load"), ("degradation", "the runs")])
@pytest.mark.parametrize("profile", [PROFILE, GRAPH])
def test_what_grows_is_looked_for_where_no_change_explains_a_regression(
    identifier: str, of: str, profile: dict[str, object]
) -> None:
    item = _item(identifier, f"kubectl concertmaster explain -n demo x {identifier}")
    text = " ".join(describe(item | {"action": f"Investigate gradual regression in {of} (+28%)"}, profile).split())
    assert f"Look for what grows with {of}," in text
    assert "--show-managed-fields" not in text and "Compare the images" not in text


def test_what_runs_fetch_from_elsewhere_is_not_to_be_changed_in_the_cluster() -> None:
    for rule in ("memory-request.load", "timeout.load"):
        item = _item(rule, f"kubectl concertmaster explain -n demo x {rule}")
        text = " ".join(describe(item | {"expected": f"enough; {FETCHED} resolver git: change it"}, PROFILE).split())
        assert "source of the definition (832Mi): runs do not use workflowtemplate etl" in text
        assert "kubectl -n demo edit" not in text


def test_sizes_that_the_definition_does_not_decide_are_not_to_be_set_there() -> None:
    item = _item("memory-request.load", "kubectl concertmaster explain -n demo x memory-request.load")
    text = " ".join(
        describe(item | {"expected": f"enough; it is set {ELSEWHERE} CronJob: change it there"}, PROFILE).split()
    )
    assert "Set 832Mi in what overrides workflowtemplate etl for the pods: its own value has no effect" in text


@pytest.mark.parametrize("there", [True, False, None], ids=["there", "deleted", "not readable"])
def test_the_log_of_a_failed_pod_is_named_unless_it_is_deleted(
    there: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MemoryClient()
    item = _item("failing-step.load", "kubectl concertmaster explain -n demo wftmpl-etl failing-step.load")
    item |= {"state": "Active", "evidence": "newest failure: run etl-42, pod etl-42-load-1, ended now"}
    client.put(PROFILES, "demo", "wftmpl-etl", spec=PROFILE["spec"], status={"recommendations": [item]})
    if there:
        client.put(PODS, "demo", "etl-42-load-1")
    elif there is None:
        client.faults["GET", PODS.path("demo", "etl-42-load-1")] = [Forbidden("no", status=403, reason="Forbidden")]
    monkeypatch.setattr(profiles, "connect", lambda *_: client)
    monkeypatch.setattr(OperatorService, "document", lambda *_: ({}, "nobody is there"))
    said = CliRunner().invoke(command, ["wftmpl-etl", "-n", "demo"]).output
    assert ("kubectl -n demo logs etl-42-load-1" in said) is (there is not False)
    assert ("Pod etl-42-load-1 is deleted: read its log where logs are kept" in said) is (there is False)


def test_a_demand_forecast_prints_its_hours_as_a_table() -> None:
    item = {
        "id": "demand-forecast",
        "action": "Plan for 12 cores",
        "state": "Active",
        "how": "kubectl get nodes",
        "evidence": [
            "Mon 2026-11-23 02:00 UTC: 12 cores, 3.4Gi, 2.0 runs",
            "Mon 2026-11-23 03:00 UTC: 1 core, 1.0Gi, 1.0 runs",
        ],
    }
    assert demand_table(item["evidence"]).splitlines() == [  # type: ignore[arg-type]
        "HOUR                       CPU        MEMORY   RUNS",
        "Mon 2026-11-23 02:00 UTC   12 cores   3.4Gi    2.0 runs",
        "Mon 2026-11-23 03:00 UTC   1 core     1.0Gi    1.0 runs",
    ]
    shown = describe(item)
    assert "HOUR " in shown
    assert "Evidence" not in shown


@pytest.mark.parametrize("reported", [True, False], ids=["by the operator", "from the status"])
def test_sizes_of_an_engine_by_pod_labels_are_printed_in_its_words(reported: bool) -> None:
    profile: dict[str, object] = {
        "metadata": {"namespace": "data", "name": "airflow-etl"},
        "spec": {"podLabels": {"preset": "airflow", "value": "etl"}},
    }
    item = _item("right-size", "kubectl concertmaster explain -n data airflow-etl right-size")
    item |= {"items": ["load/base requests.cpu: 2 -> 500m (peak 0.3 cores, headroom 60%)"]}
    text = describe(item | ({"snippet": "as the operator says"} if reported else {}), profile)
    assert "Where the workflow is defined:" in text
    wanted = "as the operator says" if reported else 'resources=k8s.V1ResourceRequirements(requests={"cpu": "500m"}))'
    assert wanted in text
    assert "the operator cannot see that place" not in text


@pytest.mark.parametrize(
    ("identifier", "proposed", "wanted"),
    [
        ("retry-policy.load", "3 retries", "retries=3, retry_delay="),
        ("parallelism", "8 pods at a time", "max_active_tasks=8"),
    ],
)
def test_retries_and_limits_are_printed_in_the_words_of_the_engine_without_the_operator(
    identifier: str, proposed: str, wanted: str
) -> None:
    profile: dict[str, object] = {
        "metadata": {"namespace": "data", "name": "airflow-etl"},
        "spec": {"podLabels": {"preset": "airflow", "value": "etl"}},
    }
    item = {
        **_item(identifier, f"kubectl concertmaster explain -n data airflow-etl {identifier}"),
        "proposed": proposed,
    }
    text = describe(item, profile)
    assert "Where the workflow is defined:" in text
    assert wanted in text
    generic = {**profile, "spec": {"podLabels": {"workflow": "app", "run": "id", "value": "etl"}}}
    assert "Where the workflow is defined:" not in describe(item, generic)
