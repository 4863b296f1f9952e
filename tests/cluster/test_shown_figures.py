"""What the command line shows, from the series of a real Prometheus: figures, trends, reports, runs, what-if, API.

Thirty runs with figures known beforehand are loaded; every command then has nothing but the metrics and the manifests.
"""

from __future__ import annotations

import json
import random
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from concertmaster.cli import cli
from concertmaster.engines.common.names import argo_pod_name_of
from testbed.ports import free_port
from testbed.series.lives import ContainerLife, Grid, PodLife
from testbed.series.openmetrics import render
from testbed.services.prometheus import PrometheusServer
from tests.support.core.scenario_builder import argo, reads, task

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

NAMESPACE = "shown"
RUNS, EVERY = 30, 8 * 3600.0
GI, MI = 2.0**30, 2.0**20
FAILED = (7, 19)  # runs whose load fails
SLOW = 28  # the run whose transform took four times as long
RISEN = "risen"  # namespace of the same workflow, whose failures become more frequent
WELL, MORE_OFTEN = 28, (29, 32, 36, 40)  # runs before any fails, and those of the 14 after them that do
CORES = {"extract": 0.05, "transform": 0.7, "load": 0.5}  # of the one core each asks for
PEAK = {"extract": 60 * MI, "transform": 500 * MI, "load": 980 * MI}  # of 1Gi each
POLICY: dict[str, Any] = {
    "apiVersion": "concertmaster.dev/v1alpha1",
    "kind": "OptimizationPolicy",
    "metadata": {"name": "team", "namespace": NAMESPACE},
    "spec": {
        "objectives": {
            "duration": {"p50": "1h", "p95": "5m"},
            "queueTime": {"p95": "1m"},
            "minThroughputPerHour": "0.1",
            "minSuccessPercent": "99",
            "maxStepFailurePercent": "5",
            "maxCostPerRun": "100",
            "targetUtilizationPercent": {"cpu": "70", "memory": "75"},
        },
        "pricing": {"currency": "EUR", "cpuCoreHour": "3.6", "memoryGiBHour": "0"},
    },
}


ROLES: dict[str, Any] = {
    **POLICY,
    "metadata": {"name": "team", "namespace": RISEN},
    "spec": {
        "pricing": {"currency": "EUR", "units": [{"metric": "tokens", "price": "0.00001"}]},
        "extraMetrics": [
            {
                "name": name,
                "role": role,
                "per": "Step",
                "unit": name,
                "query": f"sum by (run, step) (last_over_time(call_{name}[$window]))",
            }
            for name, role in (("tokens", "Tokens"), ("pages", "Items"), ("errors", "Errors"), ("rows", "InputSize"))
        ],
    },
}


@dataclass(frozen=True)
class Harness:
    """Where the metrics are, what was loaded (seconds by step, of each run), and the file of manifests."""

    url: str
    seconds: list[dict[str, float]]
    manifests: Path

    def ask(self, *words: str, definitions: bool = True, namespace: str = NAMESPACE) -> str:
        """The answer of a command about the last two weeks."""
        where = ["--prometheus", self.url, "-n", namespace]
        file = self.manifests if namespace == NAMESPACE else self.manifests.with_name(f"{namespace}.yaml")
        more = ["--definitions", str(file)] if definitions else []
        answer = CliRunner().invoke(cli, [*words, *where, *more])
        assert answer.exit_code == 0, answer.output
        return answer.stdout

    def json(self, *words: str, namespace: str = NAMESPACE) -> Any:
        """The same as JSON."""
        return json.loads(self.ask(*words, "-o", "json", namespace=namespace))


def _pod(run: str, step: str, created: float, seconds: float, *, failed: bool, namespace: str = NAMESPACE) -> PodLife:
    started = created + 4.0
    life = ContainerLife(
        "main",
        image="registry.example/etl:1",
        started=started,
        finished=started + seconds,
        cpu_seconds=CORES[step] * seconds,
        memory_peak=PEAK[step],
        cpu_request=1.0,
        memory_request=GI,
        terminated_reason="Error" if failed else "Completed",
    )
    return PodLife(
        namespace=namespace,
        pod=argo_pod_name_of(run, f"{run}.{step}", step),
        uid=f"{namespace}-{run}-{step}",
        created=created,
        scheduled=created + 1.0,
        started=created + 1.0,
        finished=started + seconds,
        deleted=started + seconds + 600.0,
        phase="Failed" if failed else "Succeeded",
        node=f"node-{len(run) % 3}",
        owner_kind="Workflow",
        owner_name=run,
        containers=[life],
    )


def _lives(end: float) -> tuple[list[PodLife], list[dict[str, float]]]:
    chance, pods, seconds = random.Random(7), [], []
    for n in range(RUNS):
        run, moment = f"etl-{n:05}", float(int(end - (RUNS - n) * EVERY))
        of_run = {
            "extract": 60.0 + chance.randrange(6),
            "transform": float(round(300 * chance.uniform(0.9, 1.1) * (4 if n == SLOW else 1))),
            "load": 90.0 + chance.randrange(6),
        }
        for step, took in of_run.items():
            pods.append(_pod(run, step, moment, took, failed=step == "load" and n in FAILED))
            moment += took + 5.0
        seconds.append(of_run)
    return pods, seconds


def _failing_more_often(end: float) -> list[PodLife]:
    """Only the last step of each run: 28 runs that succeed, then 14 of which four fail."""
    chance, every = random.Random(11), 7.5 * 3600.0
    count = WELL + 14
    pods = []
    for n in range(count):
        moment = float(int(end - (count - n) * every))
        for step in ("extract", "transform", "load"):
            took, failed = 100.0 + chance.randrange(6), step == "load" and n in MORE_OFTEN
            pods.append(_pod(f"etl-{n:05}", step, moment, took, failed=failed, namespace=RISEN))
            moment += took + 5.0
    return pods


def _with_amounts(text: list[str], calls: Sequence[PodLife]) -> list[str]:
    """Each call is given 1,000 rows a page, takes 2,000 tokens and 100 for each page, and fails on a page in twenty."""
    chance = random.Random(3)
    pages = {call.uid: float(chance.randint(5, 30)) for call in calls}
    lines: list[str] = []
    amounts = {"tokens": (2000.0, 100.0), "pages": (0.0, 1.0), "errors": (0.0, 0.05), "rows": (0.0, 1000.0)}
    for metric, (fixed, each) in ((f"call_{name}", by) for name, by in amounts.items()):
        lines.append(f"# TYPE {metric} gauge\n")
        for call in calls:
            series = f'{metric}{{namespace="{RISEN}",run="{call.owner_name}",step="transform"}}'
            amount = fixed + each * pages[call.uid]
            lines += [f"{series} {amount} {call.created + 60.0 * minute:.0f}\n" for minute in range(11)]
    return ["".join(text).removesuffix("# EOF\n"), *lines, "# EOF\n"]


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    end = time.time() - 60.0
    end -= max(0.0, end % EVERY - (EVERY - 1800.0))  # no run lasts until midnight: each day has three
    pods, seconds = _lives(end)
    manifest = argo(task("extract"), task("transform", "extract", **reads("extract")), task("load", "transform"))
    manifest["metadata"] = {"name": "etl", "namespace": NAMESPACE, "labels": {"team": "data"}}
    file = tmp_path_factory.mktemp("manifests") / "all.yaml"
    file.write_text(yaml.safe_dump_all([manifest, POLICY]))
    risen = {**manifest, "metadata": {"name": "etl", "namespace": RISEN}}
    file.with_name("risen.yaml").write_text(yaml.safe_dump_all([risen, ROLES]))
    server = PrometheusServer([])
    try:
        other = _failing_more_often(end)
        text = list(render([*pods, *other], Grid(end - 14 * 86400.0, end)))
        server.load_openmetrics(_with_amounts(text, [p for p in other if p.uid.endswith("transform")]))
        with server:
            yield Harness(server.url, seconds, file)
    finally:
        server.close()


@pytest.fixture(scope="module")
def analysis(harness: Harness) -> dict[str, Any]:
    """What ``analyze -o json`` says of the workflow."""
    (found,) = harness.json("analyze")["workflows"]
    return dict(found)


def _steps(analysis: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {step["name"]: step for step in analysis["steps"]}


def test_time_success_and_errors_of_a_workflow(harness: Harness, analysis: dict[str, Any]) -> None:
    runs = analysis["runs"]
    assert (runs["total"], runs["succeeded"], runs["failed"], runs["unknown"]) == (RUNS, RUNS - 2, 2, 0)
    assert analysis["successRate"] == pytest.approx(1 - 2 / RUNS, abs=1e-3)
    good = [
        sum(of.values()) + 14.0 for n, of in enumerate(harness.seconds) if n not in FAILED
    ]  # three pods need 4, 5, 5 s
    assert analysis["makespanSeconds"]["mean"] == pytest.approx(statistics.mean(good), rel=0.01)


def test_runs_beyond_the_limit_of_an_analysis_are_not_left_out_silently(
    harness: Harness, analysis: dict[str, Any], tmp_path: Path
) -> None:
    assert analysis["runs"]["limitedTo"] is None
    manifests = [*yaml.safe_load_all(harness.manifests.read_text())][:1]
    file = tmp_path / "limited.yaml"
    file.write_text(yaml.safe_dump_all([*manifests, {**POLICY, "spec": {"analysis": {"maxRuns": 10}}}]))
    words = ("analyze", "--definitions", str(file))
    (limited,) = json.loads(harness.ask(*words, "-o", "json", definitions=False))["workflows"]
    assert (limited["runs"]["total"], limited["runs"]["limitedTo"]) == (10, 10)
    assert "  the newest 10 runs in " in harness.ask(*words, definitions=False)


def test_time_of_every_step_with_spread_and_count(harness: Harness, analysis: dict[str, Any]) -> None:
    for name in ("extract", "transform"):
        known, shown = [of[name] for of in harness.seconds], _steps(analysis)[name]["durationSeconds"]
        assert shown["count"] == RUNS
        assert (shown["min"], shown["max"]) == (min(known), max(known))
        assert shown["mean"] == pytest.approx(statistics.mean(known), rel=1e-3)
        assert shown["variance"] == pytest.approx(statistics.variance(known), rel=0.01)
        assert shown["p50"] == pytest.approx(statistics.median(known), rel=1e-3)


def test_use_of_cpu_and_memory(analysis: dict[str, Any]) -> None:
    for name, step in _steps(analysis).items():
        (container,) = step["containers"]
        assert container["cpuMeanCores"] == pytest.approx(CORES[name], rel=0.02)
        assert container["memoryPeakBytes"] == pytest.approx(PEAK[name], rel=0.01)


def test_failures_that_become_more_frequent_have_a_date_and_a_step(harness: Harness) -> None:
    (found,) = harness.json("analyze", namespace=RISEN)["workflows"]
    drop = found["insights"]["successDrop"]
    assert drop["step"] == "load"
    assert (drop["failedBefore"], drop["failedAfter"]) == (0, len(MORE_OFTEN))
    assert WELL <= drop["runsBefore"] <= MORE_OFTEN[0]
    said = next(line for line in found["insightSentences"] if "runs failed since" in line)
    assert said.startswith(f"{len(MORE_OFTEN)} of ") and "most of them at load" in said
    assert {r["id"] for r in found["recommendations"]} & {"retry-policy.load", "failing-step.load"}


def test_items_errors_and_tokens_reach_objectives_rates_and_batches(harness: Harness) -> None:
    (found,) = harness.json("analyze", namespace=RISEN)["workflows"]
    assert {o["name"]: o["actual"] for o in found["objectives"]}["errors per item"] == "5.0%"
    (line,) = [s for s in found["insightSentences"] if "pages" in s and s.startswith("A run works on ")]
    assert "EUR each (medians)" in line
    every = [*found["recommendations"], *found["minor"]]
    (batches,) = [r for r in every if r["id"] == "batch-small-steps.transform.tokens"]
    assert "each call takes 2,000 tokens whatever it works on and 100 for each" in batches["because"]


def test_the_input_of_a_step_is_that_of_the_step_alone(harness: Harness) -> None:
    (found,) = harness.json("analyze", namespace=RISEN)["workflows"]
    given = {name: step["input"] for name, step in _steps(found).items()}
    assert given["extract"] is None and given["load"] is None, given
    known = given["transform"]
    assert (known["unit"], known["runs"]) == ("rows", WELL + 14)
    assert 25_000 < known["max"] <= 30_000, "the most pages of a call, a thousand rows each"


def test_marks_of_steps(analysis: dict[str, Any]) -> None:
    marks = {name: step["marks"] for name, step in _steps(analysis).items()}
    assert {name: {mark for mark, is_set in of.items() if is_set is True} for name, of in marks.items()} == {
        "extract": {"overAllocated"},
        "transform": {"slowOutlier", "inconsistent"},
        "load": {"underAllocated"},
    }
    assert marks["extract"]["overAllocatedResources"] == ["cpu", "memory"]
    assert marks["load"]["underAllocatedResources"] == ["memory"]


def test_failures_by_kind_and_step(analysis: dict[str, Any]) -> None:
    assert {name: step["failureClasses"] for name, step in _steps(analysis).items()} == {
        "extract": {},
        "transform": {},
        "load": {"Application": 2},
    }


def test_critical_path_and_order_of_steps(analysis: dict[str, Any]) -> None:
    steps = _steps(analysis)
    assert [steps[name]["dependsOn"] for name in steps] == [[], ["extract"], ["transform"]]
    assert all(step["criticalShare"] == 1.0 for step in steps.values())
    assert max(steps, key=lambda name: steps[name]["dragSeconds"]) == "transform"


def test_the_score_is_the_sum_of_its_parts(analysis: dict[str, Any]) -> None:
    parts = [p for p in analysis["scoreParts"] if not p["deducted"]]
    assert {p["name"] for p in parts} >= {"success", "stability", "efficiency", "waiting"}
    lost = sum(p["weight"] * (1 - p["value"]) for p in analysis["scoreParts"] if p["deducted"])
    whole = 100 * sum(p["weight"] * p["value"] for p in parts) / sum(p["weight"] for p in parts)
    assert analysis["score"] == pytest.approx(whole - lost, abs=1.0)


def test_every_objective_has_a_verdict(analysis: dict[str, Any]) -> None:
    assert {o["name"]: o["verdict"] for o in analysis["objectives"]} == {
        "duration p50": "Met",
        "duration p95": "Missed",
        "queue time p95": "Met",
        "success": "Missed",
        "step failure (load)": "Unknown",  # 2 of 30 attempts, which chance explains at the target of 5%
        "cost per run": "Met",
        "throughput per hour": "Met",
        "CPU utilization": "Missed",
        "memory utilization": "Missed",
    }


def test_targets_by_type_of_workflow(harness: Harness, tmp_path: Path) -> None:
    spec = {"objectives": {"durationByType": {}}}
    manifests = [*yaml.safe_load_all(harness.manifests.read_text())][:1]
    file = tmp_path / "typed.yaml"
    file.write_text(yaml.safe_dump_all([*manifests, {**POLICY, "spec": spec}]))
    answer = json.loads(harness.ask("analyze", "-o", "json", "--definitions", str(file), definitions=False))
    targets = {o["target"] for o in answer["workflows"][0]["objectives"] if o["name"].startswith("duration")}
    assert "30s" in targets  # a chain of steps


def test_cost_of_a_run_follows_the_prices(harness: Harness, analysis: dict[str, Any]) -> None:
    reserved = statistics.mean(sum(of.values()) for of in harness.seconds)
    assert analysis["cost"]["currency"] == "EUR"
    assert analysis["cost"]["perRun"]["requested"] == pytest.approx(reserved * 3.6 / 3600, rel=0.05)


def test_trends_count_every_run_once(harness: Harness) -> None:
    (found,) = harness.json("analyze", "--trends")["workflows"]
    for length in ("hourly", "daily", "weekly", "monthly"):
        periods = [p for p in found["trends"][length]["periods"] if p["runs"] is not None]
        assert sum(p["runs"]["total"] for p in periods) == RUNS, length
        assert sum(p["runs"]["failed"] for p in periods) == len(FAILED), length


def test_trends_have_the_figures_of_each_period_and_compare_the_last_two(harness: Harness) -> None:
    (found,) = harness.json("analyze", "--trends")["workflows"]
    known = [of["transform"] for of in harness.seconds]
    for length in ("hourly", "daily", "weekly", "monthly"):
        figures = [p["figures"]["durationSeconds"] for p in found["trends"][length]["steps"]["transform"]["periods"]]
        assert sum(f["count"] for f in figures) == RUNS, length
        mean = sum(f["mean"] * f["count"] for f in figures) / RUNS
        assert mean == pytest.approx(statistics.mean(known), rel=1e-3), length
        assert (min(f["min"] for f in figures), max(f["max"] for f in figures)) == (min(known), max(known)), length
        assert all(f["min"] <= f["p50"] <= f["p95"] <= f["p99"] <= f["max"] for f in figures), length
    compared = found["trends"]["daily"]["comparison"]
    last, before = (date.fromisoformat(compared[name].split()[0]) for name in ("period", "before"))
    assert last - before == timedelta(days=1)
    duration = compared["figures"]["durationSeconds"]
    assert duration["low"] < duration["ratio"] < duration["high"]


def test_the_report_has_savings_and_costs(harness: Harness, analysis: dict[str, Any]) -> None:
    report = harness.json("report", "--days", "14", "--by", "team")
    assert (report["summary"]["workflows"], report["summary"]["runs"], report["summary"]["failedRuns"]) == (1, RUNS, 2)
    assert [e["id"] for e in report["top"]][:2] == ["retry-policy.load", "bottleneck.transform"]
    assert report["summary"]["available"]["money"]["EUR"] > 0
    assert report["costByStep"] and report["costByNamespace"] and report["costByWorkflow"]
    assert "compute" in {row["name"] for row in report["costByComponent"]}
    assert report["summary"]["costPerMonth"]["EUR"] == pytest.approx(analysis["cost"]["perMonth"], rel=0.05)
    page = harness.ask("report", "--days", "14", "-o", "html")
    assert "Optimize transform" in page and "<script" not in page


def test_runs_are_listed_and_the_slow_one_is_explained(harness: Harness) -> None:
    listed = harness.json("runs", "etl")
    assert listed["total"] == RUNS
    assert {r["run"] for r in listed["runs"] if r["outcome"] == "Failed"} == {f"etl-{n:05}" for n in FAILED}
    compared = harness.json("compare", f"etl-{SLOW - 1:05}", f"etl-{SLOW:05}", "--workflow", "etl")
    assert compared["steps"][0]["step"] == "transform"
    more = harness.seconds[SLOW]["transform"] - harness.seconds[SLOW - 1]["transform"]
    assert compared["steps"][0]["extraSeconds"] == pytest.approx(more, abs=2.0)


def test_a_change_is_tried_on_the_past(harness: Harness) -> None:
    answer = harness.ask("what-if", "etl", "--scale", "transform=0.5")
    shorter = re.search(r"(\d+)m(\d+)s \(\d+%\) shorter per run", answer)
    assert shorter, answer
    good = [of["transform"] for n, of in enumerate(harness.seconds) if n not in FAILED]
    assert int(shorter[1]) * 60 + int(shorter[2]) == pytest.approx(statistics.mean(good) / 2, rel=0.05)


def test_records_hold_what_an_analysis_needs(harness: Harness, analysis: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "facts.jsonl.gz"
    harness.ask("record", str(file))
    answer = CliRunner().invoke(cli, ["analyze", "--facts", str(file), "-o", "json"])
    assert answer.exit_code == 0, answer.output
    (again,) = json.loads(answer.stdout)["workflows"]
    for figure in ("runs", "successRate", "makespanSeconds", "cost", "scoreParts"):
        assert again[figure] == analysis[figure], figure


@pytest.fixture(scope="module")
def api(harness: Harness) -> Iterator[Callable[[str], Any]]:
    """The JSON API of a dashboard of its own, over the metrics."""
    port = free_port()
    words = ["dashboard", "--no-open", "--port", str(port), "--prometheus", harness.url, "-n", NAMESPACE]
    words += ["--definitions", str(harness.manifests)]
    command = [sys.executable, "-m", "concertmaster", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            said, token = "", None
            while token is None:
                line = process.stdout.readline()
                assert line, f"the dashboard ended: {said}"
                said += line
                token = re.search(r"token=([\w-]+)", line)

            def get(path: str) -> Any:
                headers = {"Authorization": f"Bearer {token[1]}"}
                request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1{path}", headers=headers)
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return json.load(answer)

            yield get
        finally:
            process.terminate()


def test_the_api_has_every_view_by_name(api: Callable[[str], Any]) -> None:
    (row,) = api("/workflows")["items"]
    place = f"/workflows/{NAMESPACE}/{row['profile']}"
    assert api("/summary")["runs"] == RUNS
    assert {"retry-policy.load", "bottleneck.transform"} <= {i["id"] for i in api("/recommendations")["items"]}
    nodes = {n["name"] for n in api(f"{place}/nodes")}
    assert nodes == {"extract", "transform", "load"}
    assert api(f"{place}/bottlenecks")[0]["name"] == "transform"
    assert {row["step"]: row["hits"] for row in api(f"{place}/cache")} == dict.fromkeys(nodes, 0)
    days = api(f"{place}/trends?period=daily")["trends"]["daily"]["periods"]
    assert sum(day["runs"]["total"] for day in days if day["runs"]) == RUNS
