"""Each change point of a trend, with the step and the change that it coincides with."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from concertmaster.core.analysis.insights import last_change
from concertmaster.core.analysis.runs.changes import POINTS, PointCause, differences, point_causes, released
from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.changepoint import ChangePoint, Direction
from concertmaster.core.model import ContainerSpec, RunRecord, WorkflowDefinition
from concertmaster.core.model.policy import AnalysisSettings, Policy
from tests.support.builders import DAY, NOW, container, definition, run, step

FLOW = definition(step("extract"), step("train", ["extract"], 1))
LONG = Policy(analysis=AnalysisSettings(window_seconds=400 * DAY))


def history(
    count: int, seconds: Callable[[int], dict[str, float]], image: Callable[[int], int] = lambda _: 1
) -> list[RunRecord]:
    """One run a day that varies by 2%; containers of ``train`` have the image of that version."""
    chance = random.Random(5)

    def one(i: int) -> RunRecord:
        made = {
            name: s * chance.lognormvariate(0, 0.02)
            for name, s in ({"extract": 60.0, "train": 600.0} | seconds(i)).items()
        }
        return run(
            FLOW.graph,
            made,
            number=i,
            start=NOW - (count - i) * DAY,
            containers=lambda name: (container(image=f"etl:{image(i) if name == 'train' else 0}"),),
        )

    return [one(i) for i in range(count)]


def found(runs: list[RunRecord]) -> list[tuple[str, str | None, str]]:
    """The run of each change point, with its step and what was changed."""
    at = {r.end: r.run for r in runs}
    return [(at[c.time], c.step, c.what) for c in analyze(FLOW, runs, now=NOW, policy=LONG).causes]


def test_every_change_point_has_its_own_cause() -> None:
    """An image that slows train; then extract alone gets slower; then another image makes train fast again."""

    def seconds(i: int) -> dict[str, float]:
        return {"train": 900.0 if 30 <= i < 90 else 600.0, "extract": 60.0 if i < 60 else 460.0}

    runs = history(120, seconds, image=lambda i: 1 + (i >= 30) + (i >= 90))
    assert found(runs) == [
        ("run-30", "train", "image of train from etl:1 to etl:2"),
        ("run-60", "extract", ""),
        ("run-90", "train", "image of train from etl:2 to etl:3"),
    ]
    (first, *_) = analyze(FLOW, runs, now=NOW, policy=LONG).causes
    assert first.seconds == pytest.approx((600.0, 900.0), rel=0.02)


@pytest.mark.parametrize(
    ("late", "what"), [(0, True), (1, True), (2, True), (-1, True), (-2, True), (4, False), (-4, False)]
)
def test_a_change_some_runs_apart_is_the_cause_only_if_it_is_near(late: int, what: bool) -> None:
    runs = history(60, lambda i: {"train": 600.0 if i < 30 else 900.0}, image=lambda i: 1 + (i >= 30 + late))
    ((at, name, changed),) = found(runs)
    assert (at, name) == ("run-30", "train")
    assert (changed == "image of train from etl:1 to etl:2") is what
    assert bool(changed) is what


def test_the_nearest_of_two_changes_counts() -> None:
    runs = history(60, lambda i: {"train": 600.0 if i < 30 else 900.0})
    runs = [replace(r, fingerprint=f"f{(i >= 28) + (i >= 30)}") for i, r in enumerate(runs)]
    assert found(runs) == [("run-30", "train", "template")]


@pytest.mark.parametrize("each", [1, 2])
@pytest.mark.parametrize("baked", [False, True])
def test_an_image_of_every_run_or_two_is_no_release(each: int, baked: bool) -> None:
    """Whatever changes the run time, an image began beside it. Requests that were changed with one are still named."""
    runs = history(60, lambda i: {"train": 600.0 if i < 30 else 900.0}, image=lambda i: i // each)
    if baked:
        runs = [replace(r, fingerprint=f"f{i // each}") for i, r in enumerate(runs)]
    (cause,) = analyze(FLOW, runs, now=NOW, policy=LONG).causes
    assert (cause.step, cause.what) == ("train", "")
    assert cause.clause == f"; images differ from run to run, the first of these runs had etl:{30 // each}"
    assert last_change(runs, RunFigures(), FLOW.graph) is None
    smaller = [
        replace(
            r, steps=tuple(replace(e, containers=(replace(c, cpu_request=0.5),)) for e in r.steps for c in e.containers)
        )
        if i >= 30
        else r
        for i, r in enumerate(runs)
    ]
    (cause,) = analyze(FLOW, smaller, now=NOW, policy=LONG).causes
    assert cause.what == "requests of extract, requests of train"
    change = last_change(smaller, RunFigures(), FLOW.graph)
    assert change is not None
    assert (change.time, change.what) == (runs[30].end, cause.what)


def test_a_few_releases_after_another_are_releases() -> None:
    runs = history(60, lambda i: {"train": 600.0 if i < 30 else 900.0}, image=lambda i: min(max(i - 29, 0), 5))
    (cause,) = analyze(FLOW, runs, now=NOW, policy=LONG).causes
    assert (cause.what, cause.build) == ("image of train from etl:0 to etl:1", "")


def test_a_step_that_makes_up_little_of_the_change_is_not_named() -> None:
    """The run waits longer between its steps: none of them takes longer."""
    runs = history(60, lambda _: {})
    slow = [replace(r, end=(r.end or 0.0) + (400.0 if i >= 30 else 0.0)) for i, r in enumerate(runs)]
    assert [name for _, name, _ in found(slow)] == [None]


def test_only_the_newest_points_are_worked_out() -> None:
    runs = history(80, lambda i: {"train": 600.0 + 300.0 * (i // 10 % 2)})
    points = [
        ChangePoint(i, runs[i].end or 0.0, 1.5, 1.4, 1.6, Direction.UP if i // 10 % 2 else Direction.DOWN, 1.0)
        for i in range(10, 80, 10)
    ]
    causes = point_causes(runs, points, RunFigures(), FLOW.graph)
    assert [c.time for c in causes] == [p.time for p in points[-POINTS:]]
    assert {c.step for c in causes} == {"train"}
    assert point_causes([], points[:1], RunFigures(), FLOW.graph) == (PointCause(points[0].time),)
    assert point_causes(runs, (), RunFigures(), FLOW.graph) == ()


@pytest.mark.parametrize(("known", "blamed"), [(True, "extract"), (False, "train")])
def test_a_step_that_was_given_more_is_no_cause(known: bool, blamed: str) -> None:
    """Extract takes 300 s longer by itself; train 420 s, because it is given more."""
    chance = random.Random(3)
    given = [chance.uniform(0.8, 1.2) * (1.7 if i >= 30 else 1.0) for i in range(60)]
    runs = history(60, lambda i: {"train": 600.0 * given[i], "extract": 360.0 if i >= 30 else 60.0})
    if known:
        runs = [
            replace(r, steps=tuple(replace(e, input_size=given[i]) if e.step == "train" else e for e in r.steps))
            for i, r in enumerate(runs)
        ]
    assert [step for _, step, _ in found(runs)] == [blamed]


def sized(*memory: float, image: str = "etl:1") -> RunRecord:
    """A run with an item of ``train`` for each of these requests (bytes)."""
    made = run(FLOW.graph, {"extract": 60.0, "train": 600.0})
    extract, train = made.steps
    items = [
        replace(train, item=f"{n}:x", containers=(container(image=image, memory_request=size),))
        for n, size in enumerate(memory)
    ]
    return replace(made, steps=(extract, *items))


def unknown(of: RunRecord) -> RunRecord:
    """The same without the requests of ``train``."""
    extract, *items = of.steps
    bare = (container(image="etl:1", cpu_request=None, memory_request=None),)
    return replace(of, steps=(extract, *[replace(e, containers=bare) for e in items]))


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        (sized(1e9, 2e9, 3e9), sized(3e9, 1e9, 2e9), ""),  # each item gets what it needs, in any order
        (sized(1e9, 2e9, 3e9), sized(1e9, 3e9), ""),
        (sized(1e9, 1e9), sized(1e9, 2e9), "requests of train"),  # changed while the run went on
        (sized(1e9, 2e9), sized(2e9, 2e9), ""),  # and counted with the run in which it appeared
        (sized(1e9, 2e9), sized(4e9, 2e9), "requests of train"),
        (sized(1e9), sized(1e9, image="etl:2"), "image of train from etl:1 to etl:2"),
        (sized(1e9), sized(2e9, image=""), "requests of train"),
        (unknown(sized(1e9, 2e9)), sized(1e9, 2e9), "requests of train"),
        (sized(1e9, 2e9), unknown(sized(1e9, 2e9)), ""),  # the metrics did not show them
    ],
)
def test_where_items_differ_only_what_none_of_them_had_before_is_a_change(
    before: RunRecord, after: RunRecord, what: str
) -> None:
    assert differences(before, after, FLOW.graph) == what


@pytest.mark.parametrize("lacking", [("cpu_request", "memory_request"), ("memory_request",), ("image",)])
def test_a_gap_in_the_metrics_is_no_change_and_hides_none(lacking: tuple[str, ...]) -> None:
    def one(i: int) -> RunRecord:
        made = sized(1e9, 2e9) if i < 6 else sized(1e9, 4e9)
        if i not in (12, 13):
            return made
        extract, *items = made.steps
        bare = [replace(e, containers=(replace(e.containers[0], **dict.fromkeys(lacking)),)) for e in items]
        return replace(made, steps=(extract, *bare))

    runs = [replace(one(i), run=f"run-{i}", end=NOW - (24 - i) * DAY) for i in range(24)]
    change = last_change(runs, RunFigures(), FLOW.graph)
    assert change is not None
    assert (change.time, change.what) == (runs[6].end, "requests of train")


@pytest.mark.parametrize(("each", "kept"), [(1, False), (20, True)])
def test_a_template_that_each_run_has_of_its_own_is_no_release(each: int, kept: bool) -> None:
    settings = frozenset({("train", "main", ("etl:1", 1.0, 2.0**30))})
    given = [(f"f{i // each}", settings) for i in range(60)]
    assert released(given) == (given if kept else [(None, settings)] * 60)


DECLARING = definition(*(replace(s, containers=(ContainerSpec("main"),)) for s in FLOW.graph.steps))


@pytest.mark.parametrize(("name", "flow"), [("istio-proxy", FLOW), ("our-proxy", DECLARING), ("wait", DECLARING)])
@pytest.mark.parametrize("native", [False, True])
def test_another_image_of_what_is_injected_is_no_change_of_the_workflow(
    name: str, flow: WorkflowDefinition, native: bool
) -> None:
    """The mesh was upgraded, or the engine, and the steps take longer since."""

    def one(i: int, run: RunRecord) -> RunRecord:
        beside = container(name=name, image=f"proxy:{1 + (i >= 30)}", sidecar=native, cpu_request=0.1 + (i >= 30))
        return replace(run, steps=tuple(replace(e, containers=(*e.containers, beside)) for e in run.steps))

    def seconds(i: int) -> dict[str, float]:
        return {"train": 600.0 if i < 30 else 900.0}

    runs = [one(i, r) for i, r in enumerate(history(60, seconds))]
    assert last_change(runs, RunFigures(), flow.graph) is None
    assert differences(runs[29], runs[30], flow.graph) == ""
    assert [c.what for c in analyze(flow, runs, now=NOW, policy=LONG).causes] == [""]
    both = [one(i, r) for i, r in enumerate(history(60, seconds, image=lambda i: 1 + (i >= 30)))]
    assert [c.what for c in analyze(flow, both, now=NOW, policy=LONG).causes] == ["image of train from etl:1 to etl:2"]


def test_a_container_that_only_an_earlier_definition_had_is_its_own() -> None:
    renamed = definition(*(replace(s, containers=(ContainerSpec("work"),)) for s in FLOW.graph.steps))
    runs = history(2, lambda _: {}, image=lambda i: i)
    assert differences(*runs, renamed.graph) == "image of train from etl:0 to etl:1"
