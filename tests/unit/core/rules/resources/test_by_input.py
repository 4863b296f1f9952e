"""Sizes by input: memory that follows its input is requested by input, runs with larger inputs are no slower ones."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from concertmaster.core import pipeline
from concertmaster.core.model import InputSource, InputUnit, Recommendation
from concertmaster.core.model.inputs import ExtraMetric, MetricRole
from concertmaster.core.model.policy import AnalysisSettings, Policy
from concertmaster.report import result
from tests.support.builders import MI, NOW, container
from tests.support.core import scenario_builder as builder

BYTES = Policy(inputs=(InputSource(parameter="size"),))
ROWS = Policy(extra_metrics=(ExtraMetric("rows", "rows[$window]", unit="rows", role=MetricRole.INPUT_SIZE),))


def analyzed(
    size: Callable[[int], float],
    peak: Callable[[float], float] = lambda size: 200 * MI,
    seconds: Callable[[float], float] = lambda size: 300.0,
    policy: Policy = BYTES,
    limit: float | None = None,
) -> pipeline.AnalysisResult:
    """60 runs of a workflow whose step transform works on inputs of these sizes; above ``limit`` it is killed."""
    value = builder.noise(spread=0.02)

    def work(i: int) -> builder.Work:
        given = size(i)
        needed = peak(given) * value(1.0)
        killed = limit is not None and needed > limit
        fact = container(
            memory_sampled_peak=limit if killed else needed,
            memory_request=limit or 8192 * MI,
            memory_limit=limit,
            cpu_sampled_seconds=None,
            cpu_seconds=None,
        )
        pod = builder.Pod(value(seconds(given)), size=given, containers=(fact,), fails="OOMKilled" if killed else None)
        return {"extract": 60.0, "transform": pod, "load": 30.0}

    memory = f"{limit / MI:.0f}Mi" if limit is not None else "8Gi"
    resources = {"requests": {"cpu": "1", "memory": memory}, **({"limits": {"memory": memory}} if limit else {})}
    templates = {"transform": {"container": {"image": "x", "resources": resources}}}
    manifest = builder.argo(
        builder.task("extract"),
        builder.task("transform", "extract"),
        builder.task("load", "transform"),
        templates=templates,
    )
    scenario = builder.scenario(manifest, 60, work, every=builder.DAY / 5)
    return pipeline.analyze_workflow(scenario.definition, scenario.runs, policy, profile="p", now=NOW)


def right_size(found: pipeline.AnalysisResult) -> Recommendation:
    return next(r for r in (*found.recommendations, *found.minor) if r.id == "right-size")


def two_kinds(i: int) -> float:
    """Small and large inputs by turns."""
    chance = random.Random(i)
    return chance.uniform(0.5e9, 0.98e9) if i % 3 else chance.uniform(6e9, 7.9e9)


def test_memory_that_follows_its_input_is_sized_by_input() -> None:
    found = analyzed(two_kinds, peak=lambda size: 250 * MI + 0.2 * size)
    (line,) = [e for e in right_size(found).evidence if "follows its input" in e]
    assert line == "memory of transform follows its input (60 runs): 480Mi up to 969 MB of input, 1984Mi up to 7.84 GB"
    assert any(
        "(request 480Mi up to 969 MB, 1984Mi up to 7.84 GB)" in s for s in result.view(found)["insightSentences"]
    )


def test_things_counted_have_their_name() -> None:
    found = analyzed(lambda i: two_kinds(i) / 1e6, peak=lambda size: 250 * MI + 0.2e6 * size, policy=ROWS)
    assert any(e.endswith("480Mi up to 969 rows of input, 1984Mi up to 7,840 rows") for e in right_size(found).evidence)
    items = Policy(inputs=(InputSource(InputUnit.COUNT, parameter="n"),))
    assert items.input_unit("transform") == "items"


def test_a_proxy_is_called_one() -> None:
    """In the sizes, in insights, and where longer runs are explained by it."""
    proxy = Policy(inputs=(InputSource(bytes_read=True),))
    found = analyzed(two_kinds, peak=lambda size: 250 * MI + 0.2 * size, policy=proxy)
    (line,) = [e for e in right_size(found).evidence if "follows its" in e]
    assert line == (
        "memory of transform follows its bytes read (a proxy for input) (60 runs): 480Mi up to 969 MB, 1984Mi up to 7.84 GB"
    )
    assert any(
        s.startswith("transform follows its bytes read (a proxy for input)")
        for s in result.view(found)["insightSentences"]
    )
    chance = random.Random(4)
    grown = analyzed(
        lambda i: (2e9 if i >= 40 else 1e9) * chance.lognormvariate(0, 0.2),
        seconds=lambda size: size / 4e6,
        policy=proxy,
    )
    assert any("because their bytes read (a proxy for input) grew" in s for s in result.view(grown)["insightSentences"])


@pytest.mark.parametrize("known", [True, False])
def test_memory_that_does_not_follow_its_input_is_one_size(known: bool) -> None:
    found = analyzed(two_kinds if known else lambda i: 1e9)
    assert not any("follows its input" in e for e in right_size(found).evidence)


def test_growing_peaks_say_until_when_the_size_lasts() -> None:
    found = analyzed(lambda i: 1e9 + 2e7 * i, peak=lambda size: 250 * MI + 0.2 * size)
    assert any(
        "grow from run to run: at this rate" in e and "lasts until about 20" in e for e in right_size(found).evidence
    )
    assert "of later attempts run out of memory while growing peaks stay below it" in right_size(found).expected
    assert any(line.endswith("needed, or continue their growth") for line in right_size(found).evidence)
    steady = analyzed(lambda i: 1e9)
    assert "while growing" not in right_size(steady).expected
    assert not any("grow from run to run" in e for e in right_size(steady).evidence)


def test_runs_that_take_longer_for_larger_inputs_are_no_degradation() -> None:
    chance = random.Random(4)
    found = analyzed(
        lambda i: (2e9 if i >= 40 else 1e9) * chance.lognormvariate(0, 0.2), seconds=lambda size: size / 4e6
    )
    assert not any(r.rule == "degradation" for r in (*found.recommendations, *found.minor))
    (line,) = [s for s in result.view(found)["insightSentences"] if s.startswith("Runs take")]
    assert "because their input grew from 9" in line and "(medians); at equal input they are as fast as before" in line


def test_a_step_that_got_slower_at_equal_input_is_one() -> None:
    chance = random.Random(4)
    slow = [1.0] * 40 + [1.5] * 20
    turn = iter(slow)
    found = analyzed(lambda i: 1e9 * chance.lognormvariate(0, 0.2), seconds=lambda size: size / 4e6 * next(turn))
    assert [r.id for r in found.recommendations if r.rule == "degradation"] == ["degradation.transform"]
    assert not any(s.startswith("Runs take") for s in result.view(found)["insightSentences"])


def test_the_detail_of_a_step_has_its_input() -> None:
    steps = {s["name"]: s["input"] for s in result.view(analyzed(two_kinds))["steps"]}
    assert steps["extract"] is None
    assert (steps["transform"]["unit"], steps["transform"]["runs"]) == ("bytes", 60)
    assert 0.5e9 < steps["transform"]["p50"] < 1e9 < 6e9 < steps["transform"]["max"] < 8e9


def test_a_killed_step_whose_memory_follows_its_input_says_what_larger_inputs_need() -> None:
    found = analyzed(two_kinds, peak=lambda size: 250 * MI + 0.2 * size, limit=1500 * MI)
    item = next(r for r in found.recommendations if r.rule == "memory-request")
    assert any("follows its input" in e and "up to 7.84 GB" in e for e in item.evidence)


def test_the_failure_bound_of_the_policy_sets_how_much_room_a_size_has() -> None:
    chance = random.Random(4)
    wide = [200 * MI * chance.lognormvariate(0.0, 0.5) for _ in range(60)]

    def headroom(bound: float) -> float:
        found = right_size(
            analyzed(float, lambda i: wide[int(i)], policy=Policy(analysis=AnalysisSettings(max_failure=bound)))
        )
        return next(
            float(i.headroom.rstrip("%")) for i in found.items if (i.step, i.field) == ("transform", "requests.memory")
        )

    assert headroom(0.001) > headroom(0.05) + 20


def test_runs_whose_input_was_not_read_yet_make_no_degradation() -> None:
    chance = random.Random(4)
    found = analyzed(
        lambda i: (2e9 if i >= 40 else 1e9) * chance.lognormvariate(0, 0.2), seconds=lambda size: size / 4e6
    )
    late = [
        replace(r, steps=tuple(replace(e, input_size=None) for e in r.steps)) if i > 50 else r
        for i, r in enumerate(found.analysis.runs)
    ]
    again = pipeline.analyze_workflow(found.analysis.definition, late, BYTES, profile="p", now=NOW)
    assert again.analysis.trend.adjusted
    assert not any(r.rule == "degradation" for r in (*again.recommendations, *again.minor))


@pytest.mark.parametrize("slower", [1.0, 1.6])
def test_start_up_beside_the_input_is_distinguished_from_a_slowdown(slower: float) -> None:
    """Runs of 4 s and 3 s for each GB: twice the input is less than twice the time, by how much depends on the input."""
    chance = random.Random(4)
    sizes = [chance.uniform(0.5e9, 1e9) if i < 30 else chance.uniform(5e9, 8e9) for i in range(60)]
    turn = iter([1.0] * 45 + [slower] * 15)
    found = analyzed(lambda i: sizes[i], seconds=lambda size: (40 + 30 * size / 1e9) * next(turn))
    assert [r.id for r in found.recommendations if r.rule == "degradation"] == (
        ["degradation.transform"] if slower > 1 else []
    )
