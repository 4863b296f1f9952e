"""What ``doctor`` says of the resources in a cluster: one line for each cause."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from concertmaster.cli.commands import doctor
from concertmaster.kube.client import KubeClient
from concertmaster.kube.objects import POLICIES, PROFILES
from concertmaster.prometheus.collect.examine import Diagnostic, DiagnosticStatus
from tests.support.controller.fakes import MemoryClient


def condition(kind: str, status: str, reason: str) -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": f"{reason}, do this"}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> MemoryClient:
    client = MemoryClient()
    monkeypatch.setattr(KubeClient, "connect", lambda *_, **__: client)
    return client


def test_it_asks_the_cluster_of_the_context(client: MemoryClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []
    monkeypatch.setattr(KubeClient, "connect", lambda *_, context=None: asked.append(context) or client)
    assert CliRunner().invoke(doctor.command, ["--context", "prod"]).exit_code == 0
    assert asked == ["prod"]


def states() -> list[Diagnostic]:
    return [check for check in doctor.cluster(None, None) if check.mark is DiagnosticStatus.WARN]


def test_a_source_that_is_down_is_one_line_for_all_profiles_and_policies(client: MemoryClient) -> None:
    down: list[Any] = [
        condition("Ready", "False", "Stale"),
        condition("MetricsAvailable", "False", "SourceUnreachable"),
    ]
    for number in range(20):
        client.put(PROFILES, "demo", f"etl-{number:02}", status={"conditions": down})
    client.put(POLICIES, "demo", "team", spec={"discover": [{}]}, status={"conditions": down[1:]})
    (line,) = states()
    assert line.name == "OptimizationPolicy demo/team and 20 more"
    assert line.result == "MetricsAvailable is False (SourceUnreachable)"
    assert line.fix == "SourceUnreachable, do this"


def test_causes_are_listed_by_the_number_of_objects(client: MemoryClient) -> None:
    client.put(PROFILES, "demo", "a", status={"conditions": [condition("Ready", "False", "TooFewRuns")]})
    for name in ("b", "c"):
        client.put(PROFILES, "demo", name, status={"conditions": [condition("TargetResolved", "False", "NotFound")]})
    client.put(PROFILES, "demo", "d")
    assert [(c.name, c.result) for c in states()] == [
        ("WorkflowProfile demo/d", "not processed by any operator yet"),
        ("WorkflowProfile demo/b and 1 more", "TargetResolved is False (NotFound)"),
        ("WorkflowProfile demo/a", "Ready is False (TooFewRuns)"),
    ]


def test_it_says_when_nothing_is_watched(client: MemoryClient) -> None:
    client.put(POLICIES, "demo", "team", spec={}, status={"conditions": [condition("Ready", "True", "Active")]})
    (line,) = states()
    assert line.result == "nothing is watched: no profile exists and no policy has spec.discover"
    assert "kubectl apply -f examples/policy.yaml" in line.fix
