"""``explain`` never sends its reader in a circle."""

from __future__ import annotations

import pytest

from concertmaster.cli.commands.explain import describe

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


@pytest.mark.parametrize(
    ("identifier", "profile", "wanted"),
    [
        ("bottleneck.load", PROFILE, "concertmaster what-if etl -n demo --prometheus URL --scale load=0.5"),
        ("degradation.load", PROFILE, "kubectl -n demo get workflowtemplate etl -o yaml --show-managed-fields"),
        ("degradation.load", GRAPH, "images and arguments of the pods of load"),
        ("memory-request.load", GRAPH, "set 832Mi where the pods of load are defined"),
        ("best-practices", PROFILE, "kubectl -n demo edit workflowtemplate etl (832Mi)"),
        ("retry-policy.load", GRAPH, "where the pods of load are defined: 832Mi"),
        ("failing-step.load", PROFILE, "kubectl -n demo logs etl-42-load-1 --all-containers --tail=100"),
    ],
)
def test_else_the_next_step_is_told(identifier: str, profile: dict[str, object], wanted: str) -> None:
    item = _item(identifier, f"kubectl concertmaster explain -n demo x {identifier}")
    text = describe(item | {"evidence": "newest failure: run etl-42, pod etl-42-load-1, ended now"}, profile)
    assert "kubectl concertmaster explain" not in text
    assert wanted in " ".join(text.split())
