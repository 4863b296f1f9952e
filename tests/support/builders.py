"""Builders of run records for tests: workflows with known truth, in a few lines each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from concertmaster.core.model import (
    Category,
    ContainerFact,
    ContainerSpec,
    Level,
    Outcome,
    Recommendation,
    RunRecord,
    Severity,
    Source,
    StepExecution,
    StepSpec,
    WorkflowDefinition,
    WorkflowGraph,
    WorkflowKey,
)
from concertmaster.engines import RunBuilder
from concertmaster.engines.argo.traits import ARGO

MI = 1024.0**2
DAY = 86400.0
NOW = 1_760_000_000.0
KEY = WorkflowKey("demo", "WorkflowTemplate", "nightly-etl")


def container(**overrides: object) -> ContainerFact:
    """A healthy, fully sampled main container: 1 core and 1 GiB requested, 0.5 cores and 600 MiB used."""
    fact = ContainerFact(
        name="main",
        image="registry.example/etl:1",
        cpu_request=1.0,
        memory_request=1024 * MI,
        cpu_seconds=50.0,
        cpu_sampled_seconds=100.0,
        memory_sampled_peak=600 * MI,
        samples=10,
        expected_samples=10,
    )
    return replace(fact, **overrides)  # type: ignore[arg-type]


def step(name: str, after: Sequence[str] = (), index: int = 0, **overrides: object) -> StepSpec:
    """A step of an Argo template with one patchable main container of 1 core and 1 GiB."""
    pointer = f"/spec/templates/{index}/container/resources"
    spec = StepSpec(
        name=name,
        depends_on=tuple(after),
        template=name,
        containers=(
            ContainerSpec(
                "main",
                cpu_request=1.0,
                memory_request=1024 * MI,
                resources_pointer=pointer,
                resources={"requests": {"cpu": "1", "memory": "1Gi"}},
            ),
        ),
    )
    return replace(spec, **overrides)  # type: ignore[arg-type]


def definition(*steps: StepSpec, **overrides: object) -> WorkflowDefinition:
    """A workflow of these steps."""
    return replace(WorkflowDefinition(KEY, ARGO, WorkflowGraph(tuple(steps))), **overrides)  # type: ignore[arg-type]


def run(
    graph: WorkflowGraph,
    seconds: Mapping[str, float],
    *,
    number: int = 0,
    start: float = NOW - DAY,
    outcome: Outcome = Outcome.SUCCEEDED,
    containers: Callable[[str], tuple[ContainerFact, ...]] = lambda _: (container(),),
    wait: float = 1.0,
    startup: float = 2.0,
) -> RunRecord:
    """One run: every step starts ``wait`` + ``startup`` seconds after its dependencies have ended."""
    ends: dict[str, float] = {}
    executions: list[StepExecution] = []
    for spec in graph.steps:
        ready = max((ends[d] for d in spec.depends_on), default=start)
        begun = ready + wait + startup
        ends[spec.name] = begun + seconds[spec.name]
        executions.append(
            StepExecution(
                step=spec.name,
                pod=f"run-{number}-{spec.name}",
                uid=f"uid-{number}-{spec.name}",
                ready=ready,
                created=ready,
                scheduled=ready + wait,
                started=begun,
                finished=ends[spec.name],
                outcome=Outcome.SUCCEEDED,
                containers=tuple(
                    replace(c, started=begun, finished=ends[spec.name], cpu_sampled_seconds=seconds[spec.name])
                    if c.cpu_sampled_seconds is None
                    else c
                    for c in containers(spec.name)
                ),
            )
        )
    return RunRecord(KEY, f"run-{number}", start, max(ends.values()), outcome, Source.HISTORY, tuple(executions))


def run_record(
    steps: Sequence[StepExecution] = (),
    *,
    workflow: WorkflowKey = KEY,
    run: str = "r",
    start: float | None = None,
    end: float | None = None,
    outcome: Outcome = Outcome.SUCCEEDED,
    source: Source = Source.HISTORY,
    **overrides: object,
) -> RunRecord:
    """One run of exactly these executions; times are None unless given."""
    found = RunRecord(workflow, run, start, end, outcome, source, tuple(steps))
    return replace(found, **overrides)  # type: ignore[arg-type]


def build_run(
    key: WorkflowKey,
    run: str,
    executions: Sequence[StepExecution],
    definition: WorkflowDefinition | None = None,
    *,
    as_of: float | None = None,
) -> RunRecord:
    """One run from its executions, as the history builds it."""
    return RunBuilder(key, definition, as_of).run(run, executions)


def build_runs(
    key: WorkflowKey, run: str, executions: Sequence[StepExecution], definition: WorkflowDefinition | None = None
) -> list[RunRecord]:
    """All runs that used the name ``run``, as the history builds them."""
    return RunBuilder(key, definition, None).runs(run, executions)


def daily(
    graph: WorkflowGraph, count: int, seconds: Callable[[int], Mapping[str, float]], **options: object
) -> list[RunRecord]:
    """One run a day up to yesterday; ``seconds`` returns the step durations of run i (0 is the oldest)."""
    return [
        run(graph, seconds(i), number=i, start=NOW - (count - i) * DAY, **options)  # type: ignore[arg-type]
        for i in range(count)
    ]


def recommendation(identifier: str = "variance.load", **fields: object) -> Recommendation:
    """A recommendation of that id, "<rule>.<step>" or "<rule>"; what ``fields`` do not say says nothing."""
    rule, _, about = identifier.partition(".")
    made = Recommendation(
        id=identifier,
        rule=rule,
        step=about or None,
        action="Do it",
        because="it is so",
        otherwise="it stays so",
        category=Category.PERFORMANCE,
        severity=Severity.LOW,
        risk=Level.LOW,
        effort=Level.LOW,
        current="1",
        proposed="2",
        expected="each run 20% shorter",
        how="kubectl",
        confidence=0.5,
    )
    return replace(made, **fields)  # type: ignore[arg-type]
