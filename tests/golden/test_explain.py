"""What ``explain`` prints of a whole workflow with the operator's details at hand. ``--update-golden`` renews the file."""

from __future__ import annotations

import copy

import pytest
from click.testing import CliRunner

from concertmaster.cli import profiles
from concertmaster.cli.commands.explain import command
from concertmaster.core.model.daily import RUN, Baseline, DailyRow
from concertmaster.kube.objects import PROFILES
from concertmaster.kube.operator_service import OperatorService
from concertmaster.report import daily
from tests.support.builders import DAY, NOW
from tests.support.controller.fakes import MemoryClient
from tests.support.golden import check
from tests.support.web.analysed import analysed
from tests.support.web.objects import result


def test_a_workflow_with_figures_costs_months_and_results(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    profile, document = copy.deepcopy(analysed())
    train = next(s for s in document["steps"] if s["name"] == "train")
    train["network"] = {"receivedBytes": 2e9, "sentBytes": 5e6, "bytesPerSecond": 3e6}
    train["input"] = {"unit": "bytes", "p50": 2e9, "max": 9e9, "runs": 30}
    train["containers"][0] |= {"gpuRequest": 2.0, "gpuResource": "nvidia.com/gpu", "gpuUtilization": 0.31}
    train["containers"][0] |= {"storageRequestBytes": None, "storageLimitBytes": 8 << 30, "storagePeakBytes": 1 << 30}
    profile["status"] |= {
        "results": [
            result(effect="Improved: 50% less reserved per run (40 to 60%); 12 runs after against 20 before"),
            result(
                id="timeout.load",
                sets="/spec/timeout: (nothing) -> 3600",
                effect="measuring: 2 runs after against 20 before",
            ),
        ]
    }
    last = int(NOW // DAY)
    rows = [
        DailyRow(
            last - n, RUN, 4, 4, 0, timed=4, seconds=4 * 900.0, p50=900.0, p95=950.0, cost=1.6, wasted=0.2, queue=4.0
        )
        for n in range(40, 0, -1)
    ]
    kept = daily.view(rows, "", Baseline(NOW - 60 * DAY, 12, p50=1200.0, p95=1300.0, success=0.92, cost=0.6))
    client = MemoryClient()
    client.put(PROFILES, "demo", "nightly", **{k: v for k, v in profile.items() if k != "metadata"})
    monkeypatch.setattr(profiles, "connect", lambda *_: client)
    monkeypatch.setattr(OperatorService, "document", lambda *_: (document, ""))
    monkeypatch.setattr(OperatorService, "days", lambda *_: (kept, ""))
    answer = CliRunner().invoke(command, ["nightly", "-n", "demo"], catch_exceptions=False)
    assert answer.stderr == ""
    check("explain/workflow.txt", answer.stdout, request.config.getoption("--update-golden"))
