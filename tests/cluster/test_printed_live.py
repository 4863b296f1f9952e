"""Every command that ``explain`` prints beside a running operator runs as printed, of minor items too."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from concertmaster.report.workflows.remedies import TRIED
from testbed.services.cluster import Cluster
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.operator_bed import ROOT
from tests.support.cluster.scenario_bed import analysed, place_of
from tests.support.cluster.shell import all_run, environment, run
from tests.support.core.scenario_builder import Pod, Scenario, noise, scenario
from tests.support.core.scenarios import LOOK, SCENARIOS, etl
from tests.support.json_schema import violations

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

# What these rest on is not in the series of one workflow, or is the metrics source itself; they have tests of their own.
ELSEWHERE = {"budget", "data-quality", "demand-forecast"}
RULES = sorted((LOOK | TRIED) - ELSEWHERE)
SPECS = {"objective-at-risk": {"objectives": {"duration": {"p50": "7m"}}}}
OUTCOME = re.compile(r"shorter per run, 90% interval .* over the newest \d+ runs")


def wavering() -> Scenario:
    """A step whose time varies on every node alike; that of ``variance`` is merged into another recommendation."""
    value, wide = noise(), noise(5, 0.7)
    return scenario(
        etl(),
        42,
        lambda i: {
            "extract": Pod(value(60)),
            "transform": Pod(wide(300), node=f"node-{i % 3}"),
            "load": Pod(value(30)),
        },
    )


def scenario_of(rule: str) -> Scenario:
    """The scenario of a rule."""
    return wavering() if rule == "variance" else SCENARIOS[rule]()


def test_every_command_of_explain_runs_as_printed(
    cluster: Cluster, namespace: str, make_prometheus: Callable[..., PrometheusServer], tmp_path: Path
) -> None:
    shell = environment(cluster, tmp_path, CONCERTMASTER_OPERATOR=f"{namespace}/concertmaster")
    scenarios = {rule: scenario_of(rule) for rule in RULES}
    with analysed(cluster, namespace, scenarios, make_prometheus, tmp_path, specs=SPECS), ThreadPoolExecutor(4) as pool:
        tried = dict(zip(RULES, pool.map(lambda r: answers(r, place_of(namespace, r), shell), RULES), strict=True))
        places = ",".join(place_of(namespace, rule) for rule in RULES)
        listed = json.loads(run(f"kubectl concertmaster list -n {places} -o json --all", shell))
    assert violations(listed, json.loads((ROOT / "docs" / "reference" / "list.schema.json").read_text())) == []
    assert {entry["minor"] for entry in listed} == {True, False}
    for rule in TRIED:
        assert any(OUTCOME.search(text) for text in tried[rule]), (rule, tried[rule])


def answers(rule: str, place: str, shell: dict[str, str]) -> list[str]:
    """What the ``what-if`` commands answer that are printed about the profile of a rule, after all commands ran."""
    explain = f"kubectl concertmaster explain {rule} -n {place}"
    done = all_run([explain, f"{explain} --all"], shell)
    assert f"({rule}" in done[f"{explain} --all"], done[f"{explain} --all"]
    return [text for command, text in done.items() if " what-if " in command]
