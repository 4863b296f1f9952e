"""The examples for engines without pods, with a small exporter and a real Prometheus: runs come, go, and are known."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.api.resolve import resolve
from concertmaster.cli import cli
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.collection.user_queries import UserQueries
from concertmaster.core.model import Outcome, RunRecord, WorkflowDefinition
from concertmaster.engines import define
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.settings import MetricsSource
from testbed.services.prometheus import PrometheusServer, Scrape
from tests.support.cluster.operator_bed import wait_for
from tests.support.local_server import QuietHandler, local_server

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMESPACE = "ml"
RUNS = {
    "scheduled-1": {"extract": 60.0, "clean": 120.0, "enrich": 200.0, "load": 30.0},
    "scheduled-2": {"extract": 65.0, "clean": 130.0, "enrich": 90.0, "load": 31.0},
}
AGENT = {"plan": (2.0, 800), "retrieve": (6.0, 1500), "answer": (9.0, 4200)}  # seconds, tokens
COST, HITS, REQUESTS = 0.031, 2, 5
FAILED = ("agent-1", "answer")
NIGHT = {"load": (-400.0, -340.0, 1), "publish": (-340.0, -310.0, 3)}  # begin, end (seconds from now), attempts
TIMED: dict[str, object] = {
    "apiVersion": "concertmaster.dev/v1alpha1",
    "kind": "WorkflowProfile",
    "metadata": {"name": "night", "namespace": NAMESPACE},
    "spec": {
        "graph": {
            "seriesRunLabel": "run",
            "steps": [
                {
                    "name": name,
                    **({"dependsOn": ["load"]} if name == "publish" else {}),
                    **{
                        f"{what}Query": f'max by (run) (last_over_time(job_{what}{{step="{name}"}}[$window]))'
                        for what in ("start", "end", "attempts", "outcome")
                    },
                }
                for name in NIGHT
            ],
        }
    },
}


def airflow_page(run: str, steps: Mapping[str, float]) -> str:
    return "".join(
        f'airflow_task_duration_seconds{{dag_id="sales",task_id="{step}",run_id="{run}"}} {seconds}\n'
        for step, seconds in steps.items()
    )


def agent_page(run: str) -> str:
    lines = []
    for step, (seconds, tokens) in AGENT.items():
        where = f'{{run="{run}",step="{step}"}}'
        lines += [f"agent_step_seconds{where} {seconds}", f"llm_tokens_total{where} {tokens}"]
        lines.append(f"agent_step_success{where} {int((run, step) != FAILED)}")
    lines.append(f'llm_cost_usd_total{{run="{run}",step="answer"}} {COST}')
    lines.append(f'llm_cache_hits_total{{run="{run}",step="retrieve"}} {HITS}')
    lines.append(f'llm_requests_total{{run="{run}",step="retrieve"}} {REQUESTS}')
    return "\n".join(lines) + "\n"


def night_page(run: str, now: float) -> str:
    lines = []
    for step, (begin, end, attempts) in NIGHT.items():
        amounts = {"start": now + begin, "end": now + end, "attempts": attempts, "outcome": 1}
        lines += [f'job_{what}{{run="{run}",step="{step}"}} {amount}' for what, amount in amounts.items()]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def client() -> Iterator[PrometheusClient]:
    """A store in which all runs have come and gone."""
    page = ""  # what is exported: series of a run end when the next one begins, as with real short-lived work

    class Exporter(QuietHandler):
        def do_GET(self) -> None:
            self.answer(200, page.encode(), {"Content-Type": "text/plain; version=0.0.4"})

    with local_server(Exporter) as address:
        target = address.removeprefix("http://")
        with PrometheusServer(
            [Scrape("exporter", target, interval="1s", labels={"namespace": NAMESPACE})]
        ) as prometheus:
            for number, (run, steps) in enumerate(RUNS.items()):
                page = airflow_page(run, steps) + agent_page(f"agent-{number}")
                page += night_page(f"night-{number}", time.time()) if number else ""
                wait_for(f"a scrape of {run}", lambda: scraped(prometheus) == {run})  # noqa: B023 - called at once
            page = ""
            wait_for("a scrape of nothing", lambda: scraped(prometheus) == set())
            yield PrometheusClient(MetricsSource.model_validate({"name": "default", "url": prometheus.url}))


def scraped(prometheus: PrometheusServer) -> set[str]:
    """Runs whose series are there now."""
    return {row["metric"]["run_id"] for row in prometheus.query("airflow_task_duration_seconds")}


def example(name: str) -> tuple[WorkflowProfile, WorkflowDefinition]:
    """The profile of an example as the API server would take it, and its definition."""
    raw = yaml.safe_load((EXAMPLES / name / "profile.yaml").read_text())
    definition = define(raw)
    assert definition is not None and definition.graph.problems == ()
    return WorkflowProfile.model_validate(raw), definition


def records(client: PrometheusClient, name: str) -> list[RunRecord]:
    """What the operator's own path makes of the example's runs: durations kept in the history, extra metrics joined."""
    return kept(client, *example(name))


def kept(client: PrometheusClient, profile: WorkflowProfile, definition: WorkflowDefinition) -> list[RunRecord]:
    now = time.time() + client.source.delay_seconds  # nothing more is coming
    keeper = HistoryProvider(":memory:")
    try:
        queries = UserQueries(keeper, most=100)
        queries.begin()
        assert queries.durations(client, [definition], now=now, reach=3600.0) == {definition.key}
        assert queries.problems([definition]) == {}
        runs = keeper.runs(definition, limit=10, since=0.0, as_of=now + 86_400)
        runs, problem = queries.extras(
            client, definition, resolve(profile, None).extra_metrics, runs, now=now, window=3600.0
        )
    finally:
        keeper.close()
    assert problem == ""
    return sorted(runs, key=lambda r: r.run)


def test_task_durations_of_airflow(client: PrometheusClient) -> None:
    found = records(client, "airflow")
    assert [r.run for r in found] == list(RUNS)
    for record, steps in zip(found, RUNS.values(), strict=True):
        assert record.outcome is Outcome.ENDED, "no query says how its tasks ended"
        assert {e.step: e.duration for e in record.steps} == pytest.approx(steps)
        longest = steps["extract"] + max(steps["clean"], steps["enrich"]) + steps["load"]
        assert record.makespan == pytest.approx(longest)
        by_name = {e.step: e for e in record.steps}
        assert by_name["clean"].ready == by_name["enrich"].ready == by_name["extract"].finished
        assert by_name["load"].ready == max(by_name[name].finished or 0.0 for name in ("clean", "enrich"))


def test_an_agent_with_tokens_cost_and_cache_hits(client: PrometheusClient) -> None:
    found = records(client, "llm-agent")
    assert [r.run for r in found] == ["agent-0", "agent-1"]
    for record in found:
        assert record.extra == pytest.approx(
            {"tokens": sum(t for _, t in AGENT.values()), "cost": COST, "cache-hits": 100 * HITS / REQUESTS}
        )
        assert {e.step: e.extra["tokens"] for e in record.steps} == {step: t for step, (_, t) in AGENT.items()}
        assert record.makespan == pytest.approx(sum(seconds for seconds, _ in AGENT.values()))
    assert [r.outcome for r in found] == [Outcome.SUCCEEDED, Outcome.FAILED]


def test_begin_end_and_attempts_are_what_the_queries_of_a_step_say(client: PrometheusClient) -> None:
    definition = define(TIMED)
    assert definition is not None and definition.graph.problems == ()
    (record,) = kept(client, WorkflowProfile.model_validate(TIMED), definition)
    assert record.outcome is Outcome.SUCCEEDED
    last = {e.step: e for e in record.steps}
    begin = last["load"].started or 0.0
    assert abs(time.time() - begin) < 1000.0
    for step, (started, finished, attempts) in NIGHT.items():
        assert last[step].finished == pytest.approx(begin + finished - NIGHT["load"][0], abs=0.01)
        assert record.makespan == pytest.approx(NIGHT["publish"][1] - NIGHT["load"][0], abs=0.01)
        mine = [e for e in record.steps if e.step == step]
        assert [e.outcome for e in mine] == [Outcome.FAILED] * (attempts - 1) + [Outcome.SUCCEEDED]
        assert mine[0].started == pytest.approx(begin + started - NIGHT["load"][0], abs=0.01)


def test_record_and_analyze_read_the_queries_of_a_profile(client: PrometheusClient, tmp_path: Path) -> None:
    """The agent is known by its queries alone: there is no pod."""
    file, profile = tmp_path / "facts", EXAMPLES / "llm-agent" / "profile.yaml"
    source = ["--prometheus", client.source.url, "-n", NAMESPACE, "--definitions", str(profile), "--window", "1h"]
    recorded = CliRunner().invoke(cli, ["record", str(file), *source], catch_exceptions=False)
    assert recorded.exit_code == 0 and "values of extra metrics and queries" in recorded.output
    for options in (source, ["--facts", str(file)]):
        analyzed = CliRunner().invoke(cli, ["analyze", *options, "-o", "json"], catch_exceptions=False)
        (found,) = json.loads(analyzed.output)["workflows"]
        assert (found["runs"]["succeeded"], found["runs"]["failed"], found["successRate"]) == (1, 1, 0.5)
        assert {s["name"] for s in found["steps"]} == set(AGENT)
        objectives = {o["name"]: o["actual"] for o in found["objectives"]}
        assert objectives["cache hits (cache-hits)"].startswith(f"{100 * HITS / REQUESTS:.0f}")
        assert objectives["tokens per run"] == f"{sum(t for _, t in AGENT.values()):g}"


def test_without_a_window_a_finished_run_would_be_invisible(client: PrometheusClient) -> None:
    """Why $window is mandatory."""
    at = time.time()
    assert client.instant("sum by (run) (llm_tokens_total)", at, name="test").rows == ()
    assert len(client.instant("sum by (run) (last_over_time(llm_tokens_total[1h]))", at, name="test").rows) == 2
