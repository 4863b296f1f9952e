"""Ten typical workflows with synthetic runs: the output for users, pinned in golden files."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from concertmaster.api.models.policy import OptimizationPolicy
from concertmaster.api.resolve import resolve
from concertmaster.core.model import (
    ContainerFact,
    ContainerSpec,
    Outcome,
    RunRecord,
    StepExecution,
    StepSpec,
    WorkflowDefinition,
    WorkflowGraph,
)
from concertmaster.core.pipeline import AnalysisResult, Environment, analyze_workflow
from concertmaster.core.rules import DataGaps
from concertmaster.engines import complete
from tests.support.builders import DAY, MI, NOW, container, definition, run

POLICY = OptimizationPolicy.model_validate(
    {
        "metadata": {"name": "team-data", "namespace": "demo"},
        "spec": {"objectives": {"duration": {"p95": "10m"}, "minSuccessPercent": "95"}},
    }
)


@dataclass(frozen=True)
class Case:
    """One workflow: its definition, its runs, and the data that the metrics source lacks."""

    name: str
    definition: WorkflowDefinition
    runs: tuple[RunRecord, ...]
    missing: tuple[str, ...] = ()

    def analysed(self) -> AnalysisResult:
        """The analysis as performed by the operator."""
        policy = resolve(None, POLICY)
        definition, runs = complete(self.definition, self.runs)
        return analyze_workflow(
            definition, runs, policy, profile=self.name, now=NOW, environment=Environment(DataGaps(self.missing))
        )


def _step(name: str, after: tuple[str, ...], index: int, **resources: object) -> StepSpec:
    cpu, memory = resources.get("cpu", 1.0), resources.get("memory", 640 * MI)
    limit = resources.get("cpu_limit")
    assert isinstance(cpu, float | None)
    assert isinstance(memory, float | None)
    assert isinstance(limit, float | None)
    requests = ({"cpu": f"{cpu:g}"} if cpu else {}) | ({"memory": f"{memory / MI:.0f}Mi"} if memory else {})
    literal = ({"requests": requests} if requests else {}) | ({"limits": {"cpu": f"{limit:g}"}} if limit else {})
    return StepSpec(
        name,
        depends_on=after,
        template=name,
        fan_out=bool(resources.get("fan_out")),
        containers=(
            ContainerSpec(
                "main",
                image="registry.example/etl:1",
                cpu_request=cpu,
                cpu_limit=limit,
                memory_request=memory,
                resources_pointer=f"/spec/templates/{index}/container/resources",
                resources=literal,
            ),
        ),
    )


def _chain(**middle: object) -> WorkflowDefinition:
    return definition(
        _step("extract", (), 1), _step("transform", ("extract",), 2, **middle), _step("load", ("transform",), 3)
    )


def _fit(**overrides: object) -> ContainerFact:
    """Usage that fits a request of one core and 640 MiB."""
    base: dict[str, object] = {"cpu_seconds": 95.0, "cpu_sampled_seconds": 100.0, "memory_sampled_peak": 600 * MI}
    return container(**{**base, "memory_request": 640 * MI, **overrides})


Facts = Callable[[str, int], ContainerFact]


def _runs(
    of: WorkflowDefinition,
    count: int,
    seconds: dict[str, float],
    facts: Facts = lambda step, i: _fit(),
    spread: float = 0.03,
    factor: Callable[[int], float] = lambda i: 1.0,
    slow: str = "transform",
) -> list[RunRecord]:
    chance = random.Random(11)
    found = []
    for i in range(count):
        drawn = {
            k: v * chance.lognormvariate(0, spread) * (factor(i) if k == slow else 1.0) for k, v in seconds.items()
        }
        found.append(
            run(
                of.graph,
                drawn,
                number=i,
                start=NOW - (count - i) * 13 * DAY / count,
                containers=lambda step, i=i: (facts(step, i),),  # type: ignore[misc]
            )
        )
    return found


def _failed(record: RunRecord, step: str, reason: str) -> RunRecord:
    steps = tuple(
        replace(e, outcome=Outcome.FAILED, containers=tuple(replace(c, reason=reason) for c in e.containers))
        if e.step == step
        else e
        for e in record.steps
        if e.step != "load"
    )
    return replace(record, outcome=Outcome.FAILED, steps=steps, end=max(e.finished or 0.0 for e in steps))


EVEN = {"extract": 60.0, "transform": 70.0, "load": 50.0}
HEAVY = {"extract": 60.0, "transform": 300.0, "load": 50.0}


def _over_requested() -> Case:
    of = _chain(cpu=4.0, memory=8192 * MI)
    usage = _fit(cpu_request=4.0, memory_request=8192 * MI)
    return Case("over-requested", of, tuple(_runs(of, 30, HEAVY, lambda s, i: usage if s == "transform" else _fit())))


def _oom() -> Case:
    of = _chain()
    chance = random.Random(5)
    peaks = [480 * MI * chance.lognormvariate(0, 0.15) for _ in range(40)]
    runs = _runs(
        of,
        30,
        HEAVY,
        lambda s, i: (
            _fit(memory_sampled_peak=min(peaks[i], 640 * MI), memory_limit=640 * MI) if s == "transform" else _fit()
        ),
    )
    return Case("oom", of, tuple(_failed(r, "transform", "OOMKilled") if i % 8 == 3 else r for i, r in enumerate(runs)))


def _throttled() -> Case:
    of = _chain(cpu_limit=1.0)
    usage = _fit(cpu_limit=1.0, throttled_share=0.42, cpu_seconds=98.0)
    return Case("limit-too-low", of, tuple(_runs(of, 30, HEAVY, lambda s, i: usage if s == "transform" else _fit())))


def _regression() -> Case:
    of = _chain()
    runs = _runs(
        of,
        30,
        HEAVY,
        lambda s, i: _fit(image=f"registry.example/etl:{2 if i >= 20 and s == 'transform' else 1}"),
        factor=lambda i: 1.5 if i >= 20 else 1.0,
    )
    return Case("regression", of, tuple(replace(r, fingerprint="b" if i >= 20 else "a") for i, r in enumerate(runs)))


def _no_metrics() -> Case:
    of = _chain()
    bare = _fit(cpu_seconds=None, cpu_sampled_seconds=None, memory_sampled_peak=None, samples=None)
    missing = ("container_memory_working_set_bytes: memory use stays unknown; keep it in the metric allow-list.",)
    return Case("no-metrics", of, tuple(_runs(of, 30, EVEN, lambda s, i: bare)), missing)


def _fan_out() -> Case:
    of = definition(_step("split", (), 1), _step("work", ("split",), 2, fan_out=True), _step("join", ("work",), 3))
    chance = random.Random(8)
    found = []
    for record in _runs(of, 20, {"split": 20.0, "work": 100.0, "join": 20.0}, slow="work"):
        (work,) = [e for e in record.steps if e.step == "work"]
        assert work.started is not None
        items: list[StepExecution] = []
        for n in range(300):
            seconds = 100.0 * chance.lognormvariate(0, 0.1)
            items.append(
                replace(
                    work, item=str(n), pod=f"{record.run}-{n}", uid=f"{record.run}-{n}", finished=work.started + seconds
                )
            )
        end = max(e.finished or 0.0 for e in items)
        join = [
            replace(e, ready=end, created=end, scheduled=end + 1, started=end + 3, finished=end + 23)
            for e in record.steps
            if e.step == "join"
        ]
        split = [e for e in record.steps if e.step == "split"]
        found.append(replace(record, steps=(*split, *items, *join), end=end + 23))
    return Case("huge-fan-out", of, tuple(found))


def _flaky() -> Case:
    of = _chain()
    runs = _runs(of, 30, EVEN)
    return Case("flaky", of, tuple(_failed(r, "transform", "Error") if i % 6 == 2 else r for i, r in enumerate(runs)))


def cases() -> list[Case]:
    """All ten cases, deterministic."""
    plain = _chain()
    return [
        Case("healthy", plain, tuple(_runs(plain, 30, EVEN))),
        Case("slow-step", plain, tuple(_runs(plain, 30, HEAVY))),
        _oom(),
        _flaky(),
        _over_requested(),
        _throttled(),
        _regression(),
        Case("too-little-data", plain, tuple(_runs(plain, 2, EVEN))),
        _no_metrics(),
        _fan_out(),
    ]


def graph_of(case: Case) -> WorkflowGraph:
    """The declared graph of a case."""
    return case.definition.graph
