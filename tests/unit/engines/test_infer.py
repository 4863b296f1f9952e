"""Workflows read off the facts when nobody declared them."""

from __future__ import annotations

from dataclasses import replace

from concertmaster.api.resolve import resolve
from concertmaster.core.model import PodFact, Source, StepExecution, WorkflowDefinition, WorkflowGraph
from concertmaster.core.pipeline import analyze_workflow
from concertmaster.engines import assign, complete, define, infer_definitions
from concertmaster.engines.argo.traits import ARGO
from concertmaster.engines.jobset.traits import JOBSET
from tests.support.builders import build_run, build_runs, run_record
from tests.support.engines.argo_oracle import Controller, leaf, pods

SPEC = {
    "entrypoint": "main",
    "templates": [
        {
            "name": "main",
            "dag": {
                "tasks": [
                    {"name": "extract", "template": "extract"},
                    {"name": "clean", "template": "clean", "dependencies": ["extract"]},
                    {"name": "train", "template": "train", "dependencies": ["clean"], "withItems": ["a", "b"]},
                    {"name": "report", "template": "report", "dependencies": ["clean"]},
                    {"name": "ship", "template": "ship", "dependencies": ["train", "report"]},
                ]
            },
        },
        leaf("extract"),
        leaf("clean", retryStrategy={"limit": 2}),
        leaf("train"),
        leaf("report"),
        leaf("ship"),
    ],
}


def argo_runs(count: int = 6) -> list[PodFact]:
    out: list[PodFact] = []
    suffixes = ["x7k2z", "bcdfg", "2h4k6", "zzzzz", "m2m2m", "q9w8v"]
    for n, suffix in enumerate(suffixes[:count]):
        run = f"etl-{suffix}"
        control = Controller(
            SPEC,
            run,
            duration=lambda node, n=n: 5.0 + (len(node) * 7 + n * 13) % 29,  # type: ignore[misc]
            failures=lambda node, n=n: n % 2,  # type: ignore[misc]
            skip=lambda node, n=n: n == 0 and node.endswith(".report"),  # type: ignore[misc]
        )
        out += pods(control.execute(1000.0 + 10_000.0 * n), run)
    return out


def test_steps_and_edges_are_read_off_the_runs() -> None:
    (found,) = infer_definitions(argo_runs())
    assert (str(found.key), found.engine, found.graph.inferred) == ("Workflow/data/etl", ARGO, True)
    edges = {s.name: set(s.depends_on) for s in found.graph.steps}
    assert edges == {
        "extract": set(),
        "clean": {"extract"},
        "train": {"clean"},
        "report": {"clean"},
        "ship": {"train", "report"},
    }
    assert {s.name for s in found.graph.steps if s.fan_out} == {"train"}
    assert {s.name for s in found.graph.steps if s.conditional} == {"report"}


def test_inferred_definitions_place_the_pods_they_came_from() -> None:
    facts = argo_runs()
    definitions = infer_definitions(facts)
    found = assign(facts, definitions)
    assert found.pods == len(facts)
    executions = found.executions[definitions[0].key]["etl-bcdfg"]
    record = build_run(definitions[0].key, "etl-bcdfg", executions, definitions[0])
    assert [(e.step, e.attempt) for e in record.steps][:3] == [("extract", 0), ("clean", 0), ("clean", 1)]
    assert all(e.ready is not None for e in record.steps)


def test_a_graph_is_completed_from_the_records_of_its_runs() -> None:
    facts = argo_runs()
    profile = {
        "apiVersion": "concertmaster.dev/v1alpha1",
        "kind": "WorkflowProfile",
        "metadata": {"name": "adhoc", "namespace": "data"},
        "spec": {"runSelector": {"kind": "Workflow", "namePrefix": "etl-"}},
    }
    bare = define(profile)
    assert bare is not None
    runs = [
        record
        for name, rows in assign(facts, [bare]).executions[bare.key].items()
        for record in build_runs(bare.key, name, rows, bare)
    ]
    definition, completed = complete(bare, runs)
    assert {s.name: set(s.depends_on) for s in definition.graph.steps}["ship"] == {"train", "report"}
    assert all(e.ready is not None for r in completed for e in r.steps)
    again, same = complete(definition, completed)
    assert (again.graph, same) == (definition.graph, completed)


def test_a_daemon_is_known_by_what_its_controller_said() -> None:
    def ran(step: str, begin: float, end: float, **more: float) -> StepExecution:
        return StepExecution(step, pod=step, created=begin, started=begin, finished=end, **more)  # type: ignore[arg-type]

    bare = replace(infer_definitions(argo_runs(1))[0], graph=WorkflowGraph(inferred=True))
    rows = (ran("db", 0.0, 60.0, serving=4.0), ran("load", 5.0, 20.0), ran("query", 21.0, 58.0))
    graph = complete(bare, [run_record(rows, workflow=bare.key, source=Source.LIVE)])[0].graph
    assert [(s.name, s.daemon, s.depends_on) for s in graph.steps] == [
        ("db", True, ()),
        ("load", False, ("db",)),
        ("query", False, ("load",)),
    ]


def test_recommendations_on_runs_without_a_template_rests_on_the_graph_they_show() -> None:
    facts = argo_runs()
    bare = replace(infer_definitions(facts)[0], graph=WorkflowGraph(inferred=True))
    runs = [
        record
        for name, rows in assign(facts, [bare]).executions[bare.key].items()
        for record in build_runs(bare.key, name, rows, bare)
    ]
    found = analyze_workflow(*complete(bare, runs), resolve(None, None), profile="adhoc", now=70_000.0)
    assert {s.name for s in found.analysis.definition.graph.steps} == {"extract", "clean", "train", "report", "ship"}
    assert found.analysis.definition.graph.inferred


def test_one_run_is_enough_to_say_something() -> None:
    (found,) = infer_definitions(argo_runs(1))
    assert next(s.name for s in found.graph.steps) == "extract"


def test_jobs_and_scheduled_runs_are_grouped_by_what_made_their_names() -> None:
    def pod(kind: str, owner: str) -> PodFact:
        return PodFact("ops", f"{owner}-7", owner, owner_kind=kind, owner_name=owner, created=0.0, finished=1.0)

    facts = [
        pod("Job", "backup-29333333"),
        pod("Job", "backup-29333393"),
        pod("Job", "load-x7k2z"),
        pod("Job", "once"),
        pod("Workflow", "nightly-1760000000"),
        pod("ReplicaSet", "web-1"),
    ]
    assert [str(d.key) for d in infer_definitions(facts)] == [
        "CronJob/ops/backup",
        "Job/ops/load",
        "Job/ops/once",
        "Workflow/ops/nightly",
    ]
    assert assign(facts, infer_definitions(facts)).pods == 5


def test_nothing_in_nothing_out() -> None:
    assert infer_definitions([]) == []


def test_a_part_that_waits_for_the_start_of_another_gets_no_edge_to_one_that_happened_to_end_before() -> None:
    """The first part of a JobSet that starts in order ended while the second still started, in every run."""

    def steps(offset: float) -> tuple[StepExecution, ...]:
        times = {
            "first": (0.0, 19.0, 36.0),
            "second": (20.0, 38.0 + offset, 48.0),
            "third": (41.0 + offset, 54.0, 61.0),
        }
        return tuple(
            StepExecution(name, created=created, started=started, finished=finished)
            for name, (created, started, finished) in times.items()
        )

    runs = [run_record(run=f"r{n}", steps=steps(2.0 * n)) for n in range(3)]
    for kind, edges in ((JOBSET, ()), (ARGO, ("first",))):
        definition = WorkflowDefinition(runs[0].workflow, kind, WorkflowGraph(inferred=True))
        graph = complete(definition, runs)[0].graph
        assert {s.name: s.depends_on for s in graph.steps} == {"first": (), "second": (), "third": edges}
