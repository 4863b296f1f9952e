"""``overlapping-runs`` on a real API server: read from the CronJob as the server keeps it, and followed by its command."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from concertmaster.core.model import Outcome, RunRecord
from testbed.services.cluster import Cluster
from tests.support.builders import NOW
from tests.support.core.scenario_builder import Scenario, cron_job, define, noise, simulate

DUE = NOW - NOW % 600
Runs = Callable[[dict[str, Any]], tuple[RunRecord, ...]]


def runs(
    manifest: dict[str, Any], starts: list[float], lengths: list[float], stopped: set[int]
) -> tuple[RunRecord, ...]:
    graph, rows = define(manifest).graph, []
    for i, (begin, seconds) in enumerate(zip(starts, lengths, strict=True)):
        more = {"outcome": Outcome.UNKNOWN} if i in stopped else {}
        rows.append(simulate(graph, {"job": seconds}, number=i, start=begin, **more))
    return tuple(rows)


def skipping(manifest: dict[str, Any]) -> tuple[RunRecord, ...]:
    """Runs of 17 min: every other start is skipped."""
    return runs(manifest, [DUE - (42 - i) * 1200 + 3.0 for i in range(42)], [1020.0] * 42, set())


def stopped(manifest: dict[str, Any]) -> tuple[RunRecord, ...]:
    """Every third run is still in progress when the next one takes its place."""
    slow = {i for i in range(42) if i % 3 == 1}
    lengths = [595.0 if i in slow else 200.0 for i in range(42)]
    return runs(manifest, [DUE - (42 - i) * 600 + 2.0 for i in range(42)], lengths, slow)


def side_by_side(manifest: dict[str, Any]) -> tuple[RunRecord, ...]:
    """Every fourth run lasts into the next one, and both are slower for it."""
    value = noise()
    lengths = [value({1: 1100.0, 2: 520.0}.get(i % 4, 400.0)) for i in range(80)]
    return runs(manifest, [DUE - (80 - i) * 600 + 2.0 for i in range(80)], lengths, set())


@pytest.mark.parametrize(
    ("policy", "history", "pointer", "old", "new"),
    [
        ("Forbid", skipping, "schedule", "*/10 * * * *", "*/20 * * * *"),
        ("Replace", stopped, "concurrencyPolicy", "Replace", "Forbid"),
        (None, side_by_side, "concurrencyPolicy", "Allow", "Forbid"),  # the server fills in Allow
    ],
)
def test_the_command_sets_what_is_recommended_and_does_so_once(
    cluster: Cluster, namespace: str, policy: str | None, history: Runs, pointer: str, old: str, new: str
) -> None:
    made = cron_job(schedule="*/10 * * * *")
    spec = {**made["spec"], **({"concurrencyPolicy": policy} if policy else {})}
    wanted = {**made, "metadata": {"name": "report", "namespace": namespace}, "spec": spec}
    cluster.kubectl("create", "-f", "-", input=json.dumps(wanted))

    def stored() -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(cluster.kubectl("-n", namespace, "get", "cronjob", "report", "-o", "json"))
        return answer

    manifest = stored()
    assert manifest["spec"][pointer] == old
    item = Scenario(manifest, history(manifest)).one("overlapping-runs")
    assert item.proposed == new
    assert not item.minor
    words = shlex.split(item.how)
    assert words[0] == "kubectl"
    answer = cluster.run_kubectl(*words[1:])
    assert answer.returncode == 0, answer.stderr
    assert stored()["spec"][pointer] == new
    assert cluster.run_kubectl(*words[1:]).returncode != 0  # the value it was about is gone
    assert stored()["spec"][pointer] == new
