"""Requests that the metrics source did not have: from other runs and the definition, and nothing where there are none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.core.analysis.data_warnings import data_warnings
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.runs.requests import with_requests
from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import RunRecord, StepSpec, WorkflowDefinition
from tests.support.builders import MI, NOW, container, daily, definition, step

ONE = definition(step("load"), fingerprint="new")
NONE = replace(ONE.graph.steps[0].containers[0], cpu_request=None, memory_request=None, resources={})
UNKNOWN = container(cpu_request=None, memory_request=None)


def runs(*requests: float | None, of: WorkflowDefinition = ONE, **more: object) -> list[RunRecord]:
    """A run a day whose container has a request of so many cores; None: no requests at all."""
    facts = [UNKNOWN if cpu is None else container(cpu_request=cpu) for cpu in requests]
    made = daily(of.graph, len(facts), lambda _: {s.name: 3600.0 for s in of.graph.steps})
    rows = [tuple(replace(e, containers=(fact,)) for e in r.steps) for r, fact in zip(made, facts, strict=True)]
    return [replace(r, steps=steps, **more) for r, steps in zip(made, rows, strict=True)]  # type: ignore[arg-type]


def cores(found: tuple[RunRecord, ...]) -> list[float | None]:
    return [r.steps[0].containers[0].cpu_request for r in found]


def completed(*requests: float | None, of: WorkflowDefinition = ONE) -> list[float | None]:
    return cores(with_requests(of, runs(*requests, of=of), RunFigures()))


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        ((2.0, 2.0), [2.0, 2.0]),  # of the runs, also where the definition has been changed since
        ((None, None, None), [1.0, 1.0, 1.0]),  # of the definition
        ((None, None, 2.0), [2.0, 2.0, 2.0]),  # of the next run that is known
        ((None, 3.0, None, 2.0), [3.0, 3.0, 2.0, 2.0]),
        ((2.0, None, None), [2.0, 1.0, 1.0]),  # a new definition
    ],
)
def test_unknown_requests_are_those_of_the_nearest_run_or_of_the_definition(
    seen: tuple[float | None, ...], found: list[float | None]
) -> None:
    assert completed(*seen) == found


def test_newest_runs_have_what_others_of_the_definition_have() -> None:
    """Something else may set it after the definition."""
    assert cores(with_requests(ONE, runs(2.0, None, fingerprint="new"), RunFigures())) == [2.0, 2.0]
    edited = [*runs(2.0, fingerprint="old"), *runs(None, fingerprint="new")]
    assert cores(with_requests(ONE, edited, RunFigures())) == [2.0, 1.0]


def test_complete_runs_and_those_without_any_requests_stay_the_same_records() -> None:
    free = definition(StepSpec("load", containers=(NONE,)))
    for of, given in ((ONE, runs(1.0, 2.0)), (free, runs(None, None, of=free))):
        assert all(a is b for a, b in zip(with_requests(of, given, RunFigures()), given, strict=True))


def test_a_container_without_requests_beside_one_with_some_has_none() -> None:
    two = definition(step("load"), step("free", ["load"], containers=(NONE,)))
    (known,) = runs(1.0, of=two)
    bare = replace(known.steps[1], containers=(UNKNOWN,))
    mixed = replace(known, steps=(known.steps[0], bare))
    (found,) = with_requests(two, [mixed], RunFigures())
    assert found is mixed
    unseen = replace(mixed, steps=(replace(mixed.steps[0], containers=(UNKNOWN,)), bare))
    (found,) = with_requests(two, [unseen], RunFigures())
    assert [e.containers[0].cpu_request for e in found.steps] == [1.0, None]


def test_runs_of_another_template_may_have_had_none() -> None:
    """Requests have been set lately, as recommended."""
    before, after = runs(None, None, fingerprint="old"), runs(2.0, 2.0, fingerprint="new")
    assert cores(with_requests(ONE, [*before, *after], RunFigures())) == [None, None, 2.0, 2.0]
    assert cores(with_requests(ONE, before, RunFigures())) == [None, None]
    assert data_warnings(ONE, [*before, *before], NOW, RunFigures()) == ()


def test_containers_that_the_definition_does_not_have_are_completed_from_other_runs() -> None:
    """A proxy that a service mesh adds."""
    proxy = container(name="proxy", cpu_request=0.25)
    dark = replace(proxy, cpu_request=None, memory_request=None)
    old, new = runs(None, 1.0)
    old = replace(old, steps=(replace(old.steps[0], containers=(UNKNOWN, dark)),))
    new = replace(new, steps=(replace(new.steps[0], containers=(container(), proxy)),))
    for given in ([old, new], [new, replace(old, run="later")]):
        found = with_requests(ONE, given, RunFigures())
        assert [[c.cpu_request for c in r.steps[0].containers] for r in found] == [[1.0, 0.25], [1.0, 0.25]]


@pytest.mark.parametrize("unknown", [5, 10])
def test_the_cost_of_runs_does_not_shrink_with_what_is_not_known(unknown: int) -> None:
    whole = analyze(ONE, runs(*[1.0] * 10), now=NOW).cost.per_run
    seen = analyze(ONE, runs(*[None] * unknown, *[1.0] * (10 - unknown)), now=NOW).cost.per_run
    assert seen == whole
    assert whole is not None


def test_missing_requests_are_reported_where_the_definition_has_some() -> None:
    (found,) = data_warnings(ONE, runs(1.0, None, None, None), NOW, RunFigures())
    assert found.startswith("kube_pod_container_resource_requests: requests are unknown in the newest 3 runs")
    assert "kube-state-metrics" in found
    assert data_warnings(ONE, runs(None, None, None, 1.0), NOW, RunFigures()) == (), "they are there again"
    assert data_warnings(ONE, runs(None, None), NOW, RunFigures()) == ()
    free = definition(StepSpec("load", containers=(NONE,)))
    assert data_warnings(free, runs(*[None] * 9, of=free), NOW, RunFigures()) == ()


def test_requests_of_memory_alone_are_requests() -> None:
    memory = container(cpu_request=None, memory_request=512 * MI)
    (known,) = runs(1.0)
    record = replace(known, steps=(replace(known.steps[0], containers=(memory,)),))
    (found,) = with_requests(ONE, [record], RunFigures())
    assert found is record
