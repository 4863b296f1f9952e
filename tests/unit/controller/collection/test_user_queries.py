"""Users' own queries: fenced, bounded, kept once seen, and nobody else's problem."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.collection.query_pool import QueryPool
from concertmaster.controller.collection.user_queries import UserQueries
from concertmaster.controller.source_report import CollectionRequest
from concertmaster.core.model import RunRecord, StepExecution, WorkflowDefinition, WorkflowKey
from concertmaster.core.model.enums import MetricRole, Per
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.engines import define
from concertmaster.prometheus.client.errors import MetricsError, PartialAnswer, SourceUnreachable, TimedOut, TooLarge
from concertmaster.prometheus.client.vector import Vector
from concertmaster.settings.source import LabelNames
from tests.support.builders import run_record
from tests.support.controller.harness import Bed, report, run
from tests.support.waiting import until

NOW = 1_760_000_000.0
DAY = 86400.0
QUERY = 'max by (run) (last_over_time(my_step_seconds{step="train"}[$window]))'


@dataclass
class FakeSource:
    name: str = "default"
    delay_seconds: int = 0
    extra_matchers: Mapping[str, str] = field(default_factory=dict)
    labels: LabelNames = field(default_factory=LabelNames)


@dataclass
class FakeClient:
    """Answers with ``rows(since, until)``; remembers what was asked."""

    rows: Callable[[float, float], list[tuple[tuple[str, ...], float]]]
    columns: tuple[str, ...] = ("run",)
    source: FakeSource = field(default_factory=FakeSource)
    asked: list[str] = field(default_factory=list)
    error: Exception | None = None
    requests: int = 0

    def instant(
        self, query: str, at: float, *, limit: int | None = None, name: str = "", of_user: bool = False
    ) -> Vector:
        assert of_user
        if self.error is not None:
            raise self.error
        self.asked.append(query)
        window = re.search(r"\[(\d+)s\]", query)
        span = float(window.group(1)) if window else _seconds(query)
        rows = self.rows(at - span, at)
        return Vector(self.columns, tuple(r for r, _ in rows), [v for _, v in rows])


def _seconds(query: str) -> float:
    units = {"d": DAY, "h": 3600.0, "m": 60.0, "s": 1.0}
    found = re.search(r"\[((?:\d+[dhms])+)\]", query)
    assert found is not None, query
    return sum(float(n) * units[u] for n, u in re.findall(r"(\d+)([dhms])", found.group(1)))


def graph(query: str = QUERY, *, name: str = "g", namespace: str = "demo", steps: int = 1) -> WorkflowDefinition:
    described = [{"name": f"train{n}" if n else "train", "durationQuery": query} for n in range(steps)]
    found = define(
        {
            "apiVersion": "concertmaster.dev/v1alpha1",
            "kind": "WorkflowProfile",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"graph": {"steps": described}},
        }
    )
    assert found is not None
    return found


def durations_at(times: Mapping[str, float]) -> Callable[[float, float], list[tuple[tuple[str, ...], float]]]:
    """Runs whose duration (100 s) appeared at a time."""
    return lambda since, until: [((name,), 100.0) for name, t in times.items() if since < t <= until]


@pytest.fixture
def keeper(tmp_path: Path) -> HistoryProvider:
    return HistoryProvider(str(tmp_path / "history.db"))


def read(queries: UserQueries, client: Any, *definitions: WorkflowDefinition, now: float = NOW) -> set[WorkflowKey]:
    queries.begin()
    return queries.durations(client, definitions, now=now, reach=3 * DAY)


def ends(keeper: HistoryProvider, definition: WorkflowDefinition) -> dict[str, float]:
    return {r.run: r.end or 0.0 for r in keeper.store.runs(definition.key, definition=definition)}


def test_durations_are_read_back_and_forward_and_kept_once_seen(keeper: HistoryProvider) -> None:
    times = {"old": NOW - 2.5 * DAY, "recent": NOW - 100.0}
    client, queries, definition = FakeClient(durations_at(times)), UserQueries(keeper, 100), graph()
    assert read(queries, client, definition) == {definition.key}
    assert ends(keeper, definition) == {"old": NOW - 2 * DAY, "recent": NOW}
    asked = len(client.asked)
    times["new"] = NOW + 50.0
    assert read(queries, client, definition, now=NOW + 300.0) == {definition.key}
    assert len(client.asked) == asked + 1
    assert ends(keeper, definition)["new"] == NOW + 300.0
    assert read(queries, client, definition, now=NOW + 320.0) == set()  # seen again within the overlap
    assert ends(keeper, definition)["new"] == NOW + 300.0


def test_what_was_read_once_is_not_asked_again(keeper: HistoryProvider) -> None:
    client, queries = FakeClient(durations_at({})), UserQueries(keeper, 100)
    read(queries, client, graph())
    client.asked.clear()
    for minutes in (5, 10, 15):
        read(queries, client, graph(), now=NOW + 60.0 * minutes)
    assert [_seconds(query) for query in client.asked] == [420.0] * 3  # five minutes, and the overlap


def test_a_new_process_knows_what_the_last_one_kept(keeper: HistoryProvider) -> None:
    client, definition = FakeClient(durations_at({"a": NOW - 10.0})), graph()
    read(UserQueries(keeper, 100), client, definition)
    assert read(UserQueries(keeper, 100), client, definition, now=NOW + 60.0) == set()


def test_a_changed_graph_is_read_anew(keeper: HistoryProvider) -> None:
    client, queries = FakeClient(durations_at({"a": NOW - 2.5 * DAY})), UserQueries(keeper, 100)
    read(queries, FakeClient(durations_at({})), graph())
    changed = graph(QUERY.replace("my_step_seconds", "other_seconds"))
    assert read(queries, client, changed) == {changed.key}


def test_the_number_of_queries_is_bounded_and_the_rest_follows(keeper: HistoryProvider) -> None:
    client, queries, definition = FakeClient(durations_at({"old": NOW - 2.5 * DAY})), UserQueries(keeper, 2), graph()
    assert read(queries, client, definition) == set()
    assert len(client.asked) == 2
    assert read(queries, client, definition) == {definition.key}


def test_every_query_is_confined_to_the_profile_s_namespace(keeper: HistoryProvider) -> None:
    client = FakeClient(durations_at({}))
    read(UserQueries(keeper, 10), client, graph())
    assert client.asked
    assert all('namespace="demo"' in q for q in client.asked)


@pytest.mark.parametrize(
    "query",
    [
        'max by (run) (last_over_time({step="a" or namespace="other"}[$window]))',
        "max by (run) (last_over_time(my_step_seconds[$window])",
        "info(last_over_time(my_step_seconds[$window]))",
        QUERY.replace("{step", '{namespace="other",step'),
    ],
)
def test_a_query_that_cannot_be_confined_is_never_sent(keeper: HistoryProvider, query: str) -> None:
    client, queries, definition = FakeClient(durations_at({})), UserQueries(keeper, 10), graph(query)
    read(queries, client, definition)
    assert client.asked == []
    assert "durationQuery of step train" in queries.problems([definition])[definition.key]


def test_a_mended_query_loses_its_problem(keeper: HistoryProvider) -> None:
    client, queries = FakeClient(durations_at({})), UserQueries(keeper, 10)
    broken, mended = graph("sum("), graph()
    read(queries, client, broken)
    assert queries.problems([broken])
    read(queries, client, mended)
    assert queries.problems([mended]) == {}


def test_a_problem_goes_with_the_query(keeper: HistoryProvider) -> None:
    """Its author has removed it: the condition must not name it for another hundred cycles."""
    queries, broken = UserQueries(keeper, 10), graph("sum(")
    read(queries, FakeClient(durations_at({})), broken)
    steps = tuple(replace(step, queries={}) for step in broken.graph.steps)
    without = replace(broken, graph=replace(broken.graph, steps=steps))
    assert queries.problems([without]) == {}


def test_durations_are_read_again_after_a_clock_that_ran_ahead(keeper: HistoryProvider) -> None:
    times = {"r1": NOW - 100.0}
    client, queries, definition = FakeClient(durations_at(times)), UserQueries(keeper, 100), graph()
    read(queries, client, definition)
    read(queries, client, definition, now=NOW + DAY)
    times["r2"] = NOW + 50.0
    for seconds in (120.0, 180.0):
        read(queries, client, definition, now=NOW + seconds)
    assert ends(keeper, definition) == {"r1": NOW, "r2": NOW + 120.0}
    asked = len(client.asked)
    read(queries, client, definition, now=NOW + 240.0)
    assert len(client.asked) == asked + 1


@pytest.mark.parametrize(
    "error",
    [TimedOut("too slow"), PartialAnswer("the store warns"), TooLarge("a million series"), SourceUnreachable("cut")],
)
def test_what_goes_wrong_with_a_query_is_its_authors_problem_and_rests(
    keeper: HistoryProvider, error: MetricsError
) -> None:
    queries, client = UserQueries(keeper, 10), FakeClient(durations_at({"r1": NOW - 100}), error=error)
    read(queries, client, graph())
    assert queries.problems([graph()]) == {graph().key: str(error)}
    client.error = None
    read(queries, client, graph(), now=NOW + 60)
    assert client.asked == []
    assert queries.problems([graph()]) == {graph().key: str(error)}
    read(queries, client, graph(), now=NOW + 180)
    assert client.asked != []
    assert queries.problems([graph()]) == {}
    client.error, client.asked = error, []
    read(queries, client, graph(), now=NOW + 240)
    client.error = None
    read(queries, client, graph(), now=NOW + 240 + 150)
    assert client.asked != [], "it rests no longer than after its first failure"


def test_a_changed_query_is_asked_at_once(keeper: HistoryProvider) -> None:
    queries, client = UserQueries(keeper, 10), FakeClient(durations_at({}), error=TimedOut("too slow"))
    read(queries, client, graph())
    client.error = None
    read(queries, client, graph(QUERY.replace("max", "min")), now=NOW + 60)
    assert client.asked != []


def test_one_namespace_does_not_use_up_the_number_of_queries(keeper: HistoryProvider) -> None:
    greedy = [graph(name=f"g{n}") for n in range(20)]
    modest = graph(namespace="modest")
    client, queries = FakeClient(durations_at({})), UserQueries(keeper, 10)
    for cycle in range(3):
        read(queries, client, *greedy, modest, now=NOW + 300.0 * cycle)
    asked = [q for q in client.asked if 'namespace="modest"' in q]
    assert len(asked) >= 3  # its whole past, while the greedy one goes on reading


def test_a_workflow_with_as_many_queries_as_a_cycle_has_takes_turns_with_other_namespaces(
    keeper: HistoryProvider,
) -> None:
    greedy, modest = graph(steps=10), graph(namespace="modest")
    client, queries = FakeClient(durations_at({})), UserQueries(keeper, 10)
    asked = []
    for cycle in range(8):
        client.asked.clear()
        read(queries, client, greedy, modest, now=NOW + 300.0 * cycle)
        asked.append({space: sum(f'"{space}"' in q for q in client.asked) for space in ("demo", "modest")})
    assert [c["demo"] for c in asked].count(10) >= 3
    assert sum(c["modest"] > 0 for c in asked) >= 3


def test_metrics_of_a_namespace_have_their_share_beside_such_a_workflow(keeper: HistoryProvider) -> None:
    metric = ExtraMetric(name="tokens", query="sum by (run) (last_over_time(llm_tokens_total[$window]))")
    client, queries = FakeClient(lambda *_: [(("r1",), 7.0)]), UserQueries(keeper, 10)
    greedy, modest = graph(steps=10), graph(namespace="modest")
    problems = []
    for cycle in range(4):
        now = NOW + 300.0 * cycle
        read(queries, client, greedy, now=now)
        found: Any = client
        problems.append(queries.extras(found, modest, [metric], [record("r1")], now=now, window=DAY)[1])
    assert problems.count("") >= 2


def test_more_queries_than_a_cycle_allows_are_reported_to_their_author(keeper: HistoryProvider) -> None:
    client, queries, definition = FakeClient(durations_at({})), UserQueries(keeper, 10), graph(steps=11)
    assert read(queries, client, definition) == set()
    assert client.asked == []
    assert "limits.extraQueriesPerCycle allows 10" in queries.problems([definition])[definition.key]


def test_sources_share_the_number_of_queries_of_a_cycle(keeper: HistoryProvider) -> None:
    queries = UserQueries(keeper, 4)
    clients: list[Any] = [FakeClient(durations_at({}), source=FakeSource(name)) for name in ("a", "b")]
    queries.begin()
    for client in clients:
        request = CollectionRequest(client.source.name, (graph(name=client.source.name),), DAY, NOW)
        queries.add_to(report(), client, request, 3 * DAY)
    assert sum(len(client.asked) for client in clients) == 4


def test_a_slow_duration_query_is_taken_up_in_a_later_cycle_with_its_own_span(keeper: HistoryProvider) -> None:
    gate = threading.Event()
    client = FakeClient(durations_at({"r1": NOW - 100.0, "r2": NOW + 100.0}))
    rows, client.rows = client.rows, lambda since, until: (gate.wait(20), rows(since, until))[1]  # type: ignore[misc]
    queries = UserQueries(keeper, 100, impatient())
    begun = time.monotonic()
    assert read(queries, client, graph()) == set()
    assert read(queries, client, graph(), now=NOW + 300.0) == set()
    assert time.monotonic() - begun < 10  # the query takes 20 s
    assert queries.problems([graph()]) == {}
    gate.set()
    until(lambda: bool(queries.arrived()))
    assert read(queries, client, graph(), now=NOW + 600.0) == {graph().key}
    assert ends(keeper, graph())["r1"] == NOW
    until(lambda: (read(queries, client, graph(), now=NOW + 600.0), "r2" in ends(keeper, graph()))[1])
    assert ends(keeper, graph()) == {"r1": NOW, "r2": NOW + 600.0}


def test_a_slow_metric_comes_later_and_calls_for_a_new_analysis(keeper: HistoryProvider) -> None:
    metric = ExtraMetric(name="tokens", query="sum by (run) (last_over_time(llm_tokens_total[$window]))")
    gate, value = threading.Event(), [5.0]
    gate.set()
    client = FakeClient(lambda *_: (gate.wait(20), [(("r1",), value[0])])[1])  # type: ignore[func-returns-value]
    queries = UserQueries(keeper, 10, impatient())

    def look() -> tuple[Any, str]:
        queries.begin()
        (found,), problem = queries.extras(client, graph(), [metric], [record("r1")], now=NOW, window=DAY)
        return found.extra.get("tokens"), problem

    until(lambda: look() == (5.0, ""))
    queries.arrived()
    gate.clear()
    value[0] = 7.0
    assert look() == (None, "")  # what the history has of it is not asked for here
    assert queries.arrived() == set()
    gate.set()
    until(lambda: queries.arrived() == {graph().key})
    assert queries.arrived() == set()  # said once
    assert look() == (7.0, "")


def test_a_metric_that_failed_rests(keeper: HistoryProvider) -> None:
    metric = ExtraMetric(name="tokens", query="sum by (run) (last_over_time(llm_tokens_total[$window]))")
    client, queries = FakeClient(lambda *_: [(("r1",), 5.0)], error=TimedOut("too slow")), UserQueries(keeper, 10)

    def look(now: float) -> str:
        queries.begin()
        _, problem = queries.extras(client, graph(), [metric], [record("r1")], now=now, window=DAY)
        return str(problem)

    assert look(NOW) == "too slow."
    client.error = None
    assert look(NOW + 60) == "too slow."
    assert client.asked == []
    assert look(NOW + 180) == ""


def impatient() -> QueryPool:
    return QueryPool(100, patience=0.3)


KEY = WorkflowKey("demo", "CronJob", "etl")


def record(name: str) -> RunRecord:
    steps = (
        StepExecution("a", uid=f"{name}-a0", started=1.0, finished=2.0),
        StepExecution("a", uid=f"{name}-a1", attempt=1, started=2.0, finished=3.0),
        StepExecution("b", uid=f"{name}-b", started=3.0, finished=4.0),
    )
    return run_record(steps, workflow=KEY, run=name, start=1.0, end=4.0)


def extras(keeper: HistoryProvider, client: Any, metric: ExtraMetric, *runs: RunRecord, most: int = 10) -> Any:
    queries = UserQueries(keeper, most)
    return queries.extras(client, graph(), [metric], runs, now=NOW, window=14 * DAY)


def test_a_metric_per_run_reaches_its_runs_and_no_others(keeper: HistoryProvider) -> None:
    metric = ExtraMetric(name="tokens", query="sum by (run) (last_over_time(llm_tokens_total[$window]))")
    client = FakeClient(lambda *_: [(("r1",), 5.0), (("stranger",), 9.0)])
    found, problem = extras(keeper, client, metric, record("r1"), record("r2"))
    assert problem == ""
    assert [dict(r.extra) for r in found] == [{"tokens": 5.0}, {}]


def test_a_metric_per_step_belongs_to_the_step_once_and_adds_up(keeper: HistoryProvider) -> None:
    query = "sum by (run, step) (last_over_time(llm_tokens_total[$window]))"
    metric = ExtraMetric(name="tokens", per=Per.STEP, query=query)
    client = FakeClient(lambda *_: [(("r1", "a"), 5.0), (("r1", "b"), 7.0)], columns=("run", "step"))
    (found,), _ = extras(keeper, client, metric, record("r1"))
    assert [dict(e.extra) for e in found.steps] == [{"tokens": 5.0}, {}, {"tokens": 7.0}]
    assert found.extra == {"tokens": 12.0}


def test_an_input_size_is_the_run_s_and_its_steps_and_outlives_the_series(keeper: HistoryProvider) -> None:
    metric = ExtraMetric("bytes", "max by (run) (last_over_time(input_bytes[$window]))", role=MetricRole.INPUT_SIZE)
    rows = {"r1": 5e9, "r2": 7e9, "of-somebody-else": 1.0}
    client = FakeClient(lambda since, until: [((run,), size) for run, size in rows.items()])
    found, _ = extras(keeper, client, metric, record("r1"), record("r2"))
    assert [(r.input_size, {e.input_size for e in r.steps}, r.extra) for r in found] == [
        (5e9, {5e9}, {}),
        (7e9, {7e9}, {}),
    ]
    keeper.store.add({graph().key: {"r1": [StepExecution("train", uid="a", finished=NOW)]}})
    asking = replace(graph(), metrics=(metric,))
    assert [r.input_size for r in keeper.store.runs(graph().key, definition=asking)] == [5e9]
    other = replace(metric, query="max by (run) (last_over_time(other_bytes[$window]))")
    renamed = replace(graph(), metrics=(other,))
    assert [r.input_size for r in keeper.store.runs(graph().key, definition=renamed)] == [None]
    extras(keeper, FakeClient(lambda since, until: []), other, record("r1"))
    assert [r.input_size for r in keeper.store.runs(graph().key, definition=asking)] == [5e9], (
        "another profile may ask it"
    )


def test_an_input_size_of_a_step_is_that_of_its_first_item(keeper: HistoryProvider) -> None:
    columns, rows = ("run", "step"), [(("r1", "a"), 5.0), (("r1", "b"), 7.0)]
    metric = ExtraMetric(
        "rows", "max by (run, step) (last_over_time(rows[$window]))", per=Per.STEP, role=MetricRole.INPUT_SIZE
    )
    steps = [StepExecution("a", item=item, attempt=n) for item, n in (("0", 0), ("0", 1), ("1", 0))]
    found, _ = extras(
        keeper,
        FakeClient(lambda since, until: rows, columns),
        metric,
        run_record([*steps, StepExecution("b")], run="r1"),
    )
    assert [e.input_size for e in found[0].steps] == [5.0, 5.0, None, 7.0]
    assert (found[0].input_size, found[0].input_total) == (None, 12.0)


def test_a_refused_metric_is_reported_even_before_there_are_runs(keeper: HistoryProvider) -> None:
    metric = ExtraMetric(name="tokens", query='sum by (run) (x{a="b" or c="d"})')
    client = FakeClient(lambda *_: [])
    runs, problem = extras(keeper, client, metric)
    assert (list(runs), client.asked) == ([], [])
    assert "extraMetrics tokens" in problem


def test_a_metric_with_several_series_per_run_is_refused_as_a_whole(keeper: HistoryProvider) -> None:
    metric = ExtraMetric(name="tokens", query="last_over_time(llm_tokens_total[$window])")
    client = FakeClient(lambda *_: [(("r1",), 5.0), (("r1",), 6.0)])
    (found,), problem = extras(keeper, client, metric, record("r1"))
    assert found.extra == {}
    assert "sum by (run)" in problem


def test_a_slow_answer_is_analysed_although_the_runs_are_as_they_were() -> None:
    bed = Bed()
    bed.cronjob()
    bed.profile()
    bed.history.runs_of["etl"] = [run("etl", 1)]
    bed.policy(extraMetrics=[{"name": "tokens", "query": "sum(x[$window])"}])
    for _ in range(3):
        bed.run(seconds=300.0)
    bed.analyzer.requests.clear()
    bed.sources.answered.add(KEY)
    bed.run(seconds=300.0)
    assert len(bed.analyzer.requests) == 1
    bed.run(seconds=300.0)
    assert len(bed.analyzer.requests) == 1  # once for each answer


def test_a_bad_query_leaves_the_rest_of_the_analysis_alone() -> None:
    bed = Bed()
    bed.cronjob()
    bed.profile()
    bed.history.runs_of["etl"] = [run("etl", 1)]
    bed.policy(extraMetrics=[{"name": "tokens", "query": "sum(x[$window])"}])
    bed.sources.extra_problem = "extraMetrics tokens: not PromQL. Change the query."
    bed.run()
    assert bed.status()["advice"] == ["1 runs"]
    assert bed.state()["Ready"] == ("True", "Analyzed")
    assert bed.state()["MetricsAvailable"] == ("False", "QueryInvalid")
    bed.writes()
    bed.run(seconds=300.0)
    assert bed.writes() == []
    bed.sources.reports["default"] = report(query_problems={KEY: "durationQuery of step a: refused."})
    bed.run(seconds=300.0)
    assert "durationQuery" in bed.message("MetricsAvailable")


def test_workflows_that_are_gone_are_forgotten(keeper: HistoryProvider) -> None:
    """Whoever makes and deletes profiles must not fill the operator's memory with what was wrong with them."""
    queries, client = UserQueries(keeper, 100), FakeClient(durations_at({}))
    read(queries, client, *(graph("up", name=f"g{n}") for n in range(50)))
    assert len(queries._problems) == 50
    stays = graph("up")
    for _ in range(200):
        read(queries, client, stays)
    assert set(queries._problems) == {stays.key}
    assert set(queries._seen) == {stays.key}
    assert queries._known.keys() <= {(stays.key, stays.fingerprint)}
