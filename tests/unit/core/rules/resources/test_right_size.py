"""One right-sizing per workflow: which rows it has, what it saves, and that one patch makes all of it."""

from __future__ import annotations

import json
import math
import random
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.accuracy.proposed_adapters import SizingPolicy
from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.changes.admission.capacity import UNBOUND, Capacity
from concertmaster.core.changes.admission.model import LimitRange
from concertmaster.core.changes.checks import run_checks
from concertmaster.core.changes.ledger import LedgerEntry
from concertmaster.core.changes.operations import written
from concertmaster.core.changes.plan import plan
from concertmaster.core.changes.situation import Situation
from concertmaster.core.changes.verification.prediction_error import reserved_per_month
from concertmaster.core.lifecycle.sizing_history import SizingHistory, sizing_history
from concertmaster.core.model import Category, ContainerFact, ContainerSpec, Level, Recommendation, StepSpec
from concertmaster.core.model.amounts import quantity
from concertmaster.core.model.enums import Verdict
from concertmaster.core.model.policy import (
    AnalysisSettings,
    ApplySettings,
    Bounds,
    Objectives,
    Policy,
    Range,
    RuleSettings,
)
from concertmaster.core.rules import RULES, Evidence, recommend
from concertmaster.core.sizing import plain_memory
from concertmaster.core.units import MIB
from concertmaster.engines import PATCHABLE
from concertmaster.report.costs.components import view
from tests.support.builders import DAY, MI, NOW, container, definition, run, step
from tests.support.core.scenario_builder import Pod, argo, scenario, task
from tests.support.core.scenarios import measured, resources

GI = 1024 * MI
Facts = Callable[[int], ContainerFact]


def spec(name: str, index: int, *, cpu: str | None = "1", memory: str | None = "1Gi", **limits: str) -> StepSpec:
    """A step whose container has these literals."""
    section = {k: v for k, v in (("cpu", cpu), ("memory", memory)) if v is not None}
    held = ContainerSpec(
        "main",
        cpu_request=quantity(cpu),
        memory_request=quantity(memory),
        cpu_limit=quantity(limits.get("cpu_limit")),
        memory_limit=quantity(limits.get("memory_limit")),
        resources_pointer=f"/spec/templates/{index}/container/resources",
        resources={
            k: v
            for k, v in (("requests", section), ("limits", {n.removesuffix("_limit"): x for n, x in limits.items()}))
            if v
        },
    )
    return replace(step(name, index=index), containers=(held,))


def sized(
    specs: list[StepSpec],
    facts: dict[str, Facts],
    count: int = 24,
    sizing: SizingHistory | None = None,
    seconds: Callable[[str, int], float] = lambda _, __: 600.0,
    capacity: Capacity = UNBOUND,
    settings: dict[str, str] | None = None,
    **policy: object,
) -> list[Recommendation]:
    """What right-size says of ``count`` runs of steps of ten minutes (or ``seconds``, by step and run)."""
    of = definition(*specs)
    runs = [
        run(
            of.graph,
            {s.name: seconds(s.name, i) for s in specs},
            number=i,
            start=NOW - (count - i) * DAY / 2,
            containers=lambda name, i=i: (facts[name](i),),  # type: ignore[misc]
        )
        for i in range(count)
    ]
    rules = {r.name: RuleSettings(r.name == "right-size", settings or {}) for r in RULES}
    analysis = analyze(of, runs, now=NOW, policy=Policy(rules=rules, **policy))  # type: ignore[arg-type]
    return recommend(Evidence(analysis, "wfp", sizing=sizing or SizingHistory(), capacity=capacity))


def fact(**values: object) -> Facts:
    """A container with these figures; all of the CPU and memory it requests is used unless given."""
    full = {"cpu_seconds": 95.0, "memory_sampled_peak": 980 * MI}
    return lambda _: container(**{**full, **values})


def only(found: list[Recommendation]) -> Recommendation:
    assert [r.id for r in found] == ["right-size"]
    return found[0]


def test_a_request_of_zero_is_raised_to_what_is_used() -> None:
    used = {"a": fact(memory_request=0.0, memory_sampled_peak=600 * MI)}
    item = only(sized([spec("a", 0, memory="0")], used))
    assert [(i.field, i.old) for i in item.items] == [("requests.memory", "0")]
    assert 600 * MI <= (quantity(item.items[0].new) or 0.0) <= 1200 * MI
    (patch,) = [p for p in json.loads(shlex.split(item.how)[-1]) if p["op"] != "test"]
    assert (patch["op"], patch["path"]) == ("replace", item.edits[0].pointer)
    assert [r.id for r in sized([spec("a", 0, cpu="0")], {"a": fact(cpu_request=0.0)})] in ([], ["right-size"])


@pytest.mark.parametrize("declares", [{"pointer": "/spec/templates/1"}, {"template_in": "WorkflowTemplate lib"}, {}])
def test_a_template_without_a_container_has_no_size_to_set(declares: dict[str, str]) -> None:
    """Argo's own container does the work of ``resource`` and ``data`` templates; its size is a setting of the controller.
    Of a step that no template declares, sizes are shown: whoever describes its pods knows where they are set."""
    steps = [spec("a", 0, cpu="4"), replace(spec("b", 1), containers=(), **declares)]  # type: ignore[arg-type]
    used = {"a": fact(cpu_request=4.0), "b": fact(cpu_request=4.0)}
    assert {i.step for i in only(sized(steps, used)).items} == ({"a"} if declares else {"a", "b"})


def test_all_that_is_off_is_one_table_one_sum_and_one_patch() -> None:
    steps = [spec("a", 0, cpu="4"), spec("b", 1, memory="8Gi"), spec("c", 2)]
    item = only(
        sized(
            steps,
            {
                "a": fact(cpu_request=4.0, cpu_seconds=95.0),
                "b": fact(memory_request=8 * GI, memory_sampled_peak=600 * MI),
                "c": fact(),
            },
        )
    )
    assert [(i.step, i.container, i.field, i.old) for i in item.items] == [
        ("a", "main", "requests.cpu", "4"),
        ("b", "main", "requests.memory", "8Gi"),
    ]
    cpu, memory = (quantity(i.new) or 0.0 for i in item.items)
    assert 0.95 <= cpu <= 1.3
    assert 600 * MI <= memory <= 800 * MI
    assert item.saving_per_month is not None
    # 60 runs of 600 s a month
    expected = 10.0 * ((4 - cpu) * 0.031 + (8 * GI - memory) / GI * 0.004)
    assert item.saving_per_month.likely == pytest.approx(expected, rel=0.1)
    assert item.saving_per_month.low > 0
    patch = json.loads(shlex.split(item.how)[-1])
    assert [p["path"] for p in patch if p["op"] == "replace"] == [e.pointer for e in item.edits]
    assert item.category is Category.COST
    assert item.automatic
    assert item.action == "Right-size 2 requests of a and b (lower 2)"


def test_every_text_has_the_value_that_the_patch_sets() -> None:
    """1152Mi is not 1.1Gi: who types what a table rounded sets another value than the one that was sized."""
    wide = sized([spec("a", 0, memory="8Gi")], {"a": fact(memory_request=8 * GI, memory_sampled_peak=1000 * MI)})
    item = only(wide)
    (row,), (edit,) = item.items, item.edits
    assert row.new == edit.proposed == "1152Mi"
    assert item.action == "Right-size memory request of a: 8Gi -> 1152Mi"
    assert item.proposed == "a/main memory 1152Mi"


def test_use_at_the_target_is_healthy_and_small_differences_are_left_alone() -> None:
    assert sized([spec("a", 0)], {"a": fact(cpu_seconds=72.0, memory_sampled_peak=780 * MI)}) == []
    assert sized([spec("a", 0)], {"a": fact(cpu_seconds=40.0)}) != []


@pytest.mark.parametrize(("target", "rows"), [(0.5, ["a"]), (0.9, ["a", "b"])])
def test_use_at_the_target_of_the_policy_is_healthy_beside_a_container_that_is_far_off(
    target: float, rows: list[str]
) -> None:
    facts = {"a": fact(memory_sampled_peak=100 * MI), "b": fact(memory_sampled_peak=560 * MI)}
    goals = Objectives(target_cpu_utilization=target, target_memory_utilization=target)
    found = only(sized([spec("a", 0), spec("b", 1)], facts, objectives=goals))
    assert sorted(i.step for i in found.items) == rows


@pytest.mark.parametrize("used", [47, 50, 60, 70, 80, 90, 95, 104])
def test_a_workflow_that_uses_half_to_all_of_what_it_requests_is_healthy(used: int) -> None:
    facts = fact(cpu_seconds=min(95.0, used), memory_sampled_peak=used / 100 * 1024 * MI)
    assert sized([spec("a", 0)], {"a": facts}) == []


def test_applying_it_ends_it() -> None:
    facts = {"cpu_seconds": 20.0, "memory_sampled_peak": 200 * MI}
    item = only(sized([spec("a", 0)], {"a": fact(**facts)}))
    new = {i.field: i.new for i in item.items}
    cpu, memory = new["requests.cpu"], new["requests.memory"]
    after = fact(**facts, cpu_request=quantity(cpu), memory_request=quantity(memory))
    assert sized([spec("a", 0, cpu=cpu, memory=memory)], {"a": after}) == []


def test_sizes_stay_inside_the_bounds_of_the_policy() -> None:
    tiny = fact(cpu_seconds=0.5, memory_sampled_peak=9 * MI)
    item = only(sized([spec("a", 0)], {"a": tiny}))
    assert {i.field: i.new for i in item.items} == {"requests.cpu": "50m", "requests.memory": "64Mi"}
    low = ApplySettings(bounds=Bounds(memory=Range(512 * MI, 4 * GI)))
    item = only(sized([spec("a", 0)], {"a": tiny}, apply=low))
    assert {i.field: i.new for i in item.items}["requests.memory"] == "512Mi"


def sizes_with(**settings: str) -> dict[str, float]:
    """What is proposed, as a multiple of the largest peak, for a step that requests four times as much, and of what a step
    without requests uses."""
    large = fact(memory_request=4 * GI, memory_sampled_peak=GI, cpu_request=4.0, cpu_seconds=100.0)
    bare = fact(memory_request=None, memory_sampled_peak=GI, cpu_request=None, cpu_seconds=100.0)
    steps = [spec("a", 0, cpu="4", memory="4Gi"), spec("b", 1, cpu=None, memory=None)]
    item = only(sized(steps, {"a": large, "b": bare}, settings=settings))
    used = {"requests.memory": GI, "requests.cpu": 1.0}
    return {f"{i.step} {i.field}": (quantity(i.new) or 0.0) / used[i.field] for i in item.items}


def test_the_headroom_is_what_the_policy_asks_for() -> None:
    usual = sizes_with()
    assert all(1.15 <= share < 1.3 for share in usual.values()), usual
    roomy = sizes_with(memoryHeadroomPercent="60", cpuHeadroomPercent="40")
    assert {name: share for name, share in roomy.items() if "memory" in name} == {
        "a requests.memory": pytest.approx(1.6, abs=0.1),
        "b requests.memory": pytest.approx(1.6, abs=0.1),
    }
    assert roomy["a requests.cpu"] == roomy["b requests.cpu"] == pytest.approx(1.4, abs=0.1)
    least = sizes_with(memoryHeadroomPercent="0", cpuHeadroomPercent="0")
    assert all(1.0 <= share < usual[name] for name, share in least.items() if "cpu" in name)
    assert all(1.0 < share < usual[name] for name, share in least.items() if "memory" in name), "the bound on failures"


@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_the_benchmark_scores_what_is_proposed(spread: float) -> None:
    peaks = [GI * (1.0 + spread * random.Random(i).random()) for i in range(24)]
    scored = SizingPolicy()
    for peak in peaks:
        scored.observe(peak, math.nan, 600.0, 8 * GI)

    def used(i: int) -> ContainerFact:
        return container(cpu_seconds=95.0, memory_sampled_peak=peaks[i], memory_request=8 * GI)

    item = only(sized([spec("a", 0, memory="8Gi")], {"a": used}))
    assert quantity(item.items[0].new) == scored.allocate(None, 8 * GI)


@pytest.mark.parametrize(
    ("percent", "limits", "published", "kept"),
    [
        ("0", {}, 0.51, True),
        ("15", {}, 0.51, False),
        ("50", {"cpu_limit": "4", "memory_limit": "1Gi"}, 0.68, True),
        ("0", {"cpu_limit": "4", "memory_limit": "1Gi"}, 0.52, False),
    ],
    ids=["less than usual", "usual", "more, with a limit", "none, with a limit"],
)
def test_a_published_size_is_not_moved_by_the_headroom_of_new_ones(
    percent: str, limits: dict[str, str], published: float, *, kept: bool
) -> None:
    """A size without headroom was proposed anew in each analysis, and one whose limit moves, with each larger peak. What is
    used at most is 0.5 cores."""
    had = {name: quantity(literal) for name, literal in limits.items()}
    used = fact(cpu_request=4.0, cpu_seconds=50.0, cpu_peak_cores=0.5, **had)
    item = only(
        sized(
            [spec("a", 0, cpu="4", **limits)],
            {"a": used},
            sizing=SizingHistory(proposed={("a", "main", "cpu"): published}),
            settings={"cpuHeadroomPercent": percent},
        )
    )
    assert ([quantity(i.new) for i in item.items if i.field == "requests.cpu"] == [published]) is kept


@pytest.mark.parametrize(("share", "says"), [(0.01, "at most 1% of later"), (0.015, "at most 1.5% of later")])
def test_the_headroom_of_memory_names_the_bound_it_serves(share: float, says: str) -> None:
    settings = AnalysisSettings(max_failure=share)
    facts = {"a": fact(memory_sampled_peak=200 * MI)}
    assert any(says in line for line in only(sized([spec("a", 0)], facts, analysis=settings)).evidence)
    bounded = ApplySettings(bounds=Bounds(memory=Range(512 * MI, 4 * GI)))
    limited = only(sized([spec("a", 0)], facts, analysis=settings, apply=bounded))
    assert not any("headroom" in line for line in limited.evidence), "where a bound of the policy says what it is"
    rests = next(line for line in only(sized([spec("a", 0)], facts)).evidence if "headroom" in line)
    assert re.search(r"; assumes that later runs need what those of the last \d+[dhm] needed$", rests)
    cpu = only(sized([spec("a", 0)], {"a": fact(cpu_seconds=20.0)}, analysis=settings))
    assert not any("headroom" in line for line in cpu.evidence)


def test_a_lower_memory_request_says_what_it_promises_where_all_of_them_keep_it() -> None:
    facts = {"a": fact(memory_sampled_peak=200 * MI), "b": fact(memory_sampled_peak=600 * MI)}
    bounded = ApplySettings(bounds=Bounds(memory=Range(512 * MI, 4 * GI)))
    promise = "at most 1% of later attempts run out of memory"
    assert promise in only(sized([spec("a", 0)], facts)).expected
    assert promise not in only(sized([spec("a", 0)], facts, apply=bounded)).expected
    both = only(sized([spec("a", 0), spec("b", 1)], facts, apply=bounded))
    assert len(both.items) == 2
    assert promise not in both.expected


def test_what_kills_throttles_or_is_unknown_has_no_row() -> None:
    killed = fact(reason="OOMKilled", memory_sampled_peak=200 * MI)
    assert sized([spec("a", 0)], {"a": lambda i: killed(i) if i % 4 == 0 else fact()(i)}) == []
    throttled = fact(cpu_limit=1.0, cpu_seconds=20.0, throttled_share=0.4)
    rows = only(sized([spec("a", 0, cpu_limit="1")], {"a": fact(memory_sampled_peak=100 * MI)})).items
    assert {i.field for i in rows} == {"requests.memory"}
    own = {r.name: RuleSettings(enabled=r.name in ("right-size", "cpu-request")) for r in RULES}
    assert all("cpu" not in e.pointer for r in _with(own, throttled) if r.rule == "right-size" for e in r.edits)
    assert sized([spec("a", 0)], {"a": fact(cpu_seconds=None, memory_sampled_peak=None)}) == []


def _with(rules: dict[str, RuleSettings], made: Facts) -> list[Recommendation]:
    of = definition(spec("a", 0, cpu_limit="1"))
    runs = [
        run(of.graph, {"a": 600.0}, number=i, start=NOW - (24 - i) * DAY / 2, containers=lambda _: (made(0),))
        for i in range(24)
    ]
    return recommend(Evidence(analyze(of, runs, now=NOW, policy=Policy(rules=rules)), "wfp"))


def test_a_first_request_fits_what_was_measured_and_no_limit_is_passed() -> None:
    bare = spec("a", 0, cpu=None, memory=None, cpu_limit="333m", memory_limit="650Mi")
    made = fact(
        cpu_request=None, memory_request=None, cpu_limit=0.333, memory_limit=650 * MI, cpu_seconds=33.3,
        memory_sampled_peak=600 * MI,
    )  # fmt: skip
    item = only(sized([bare], {"a": made}))
    new = {i.field: (i.old, quantity(i.new) or 0.0) for i in item.items}
    assert new["requests.cpu"][0] is None
    assert new["requests.cpu"][1] <= 0.333
    assert 600 * MI <= new["requests.memory"][1] <= 650 * MI
    assert item.category is Category.RELIABILITY


def test_limits_go_with_requests_where_the_quality_of_service_is_guaranteed() -> None:
    pod = {"cpu_limit": 1.0, "memory_limit": GI}
    item = only(
        sized([spec("a", 0, cpu_limit="1", memory_limit="1Gi")], {"a": fact(**pod, memory_sampled_peak=410 * MI)})
    )
    assert {e.pointer.split("/")[-2] for e in item.edits} == {"requests", "limits"}
    row, limit = item.items
    assert [(i.field, i.old) for i in item.items] == [("requests.memory", "1Gi"), ("limits.memory", "1Gi")]
    assert limit.new == row.new
    assert (quantity(row.new) or 0.0) >= 1.2 * 410 * MI  # beyond the limit the container is killed; 480Mi would do else
    assert not item.automatic  # a change sets no limit: nothing of the table is left for one


@pytest.mark.parametrize(
    ("cpu", "memory_limit", "says"), [("1", "1Gi", True), ("900m", "1Gi", False), ("1", "2Gi", False)]
)
def test_a_guaranteed_pod_that_has_whole_cpus_may_lose_them(cpu: str, memory_limit: str, says: bool) -> None:
    """The static policy of the CPU manager gives CPUs to Guaranteed pods, and only whole ones."""
    declared = spec("a", 0, cpu=cpu, cpu_limit=cpu, memory_limit=memory_limit)
    amounts = {"cpu_request": quantity(cpu), "cpu_limit": quantity(cpu), "memory_limit": quantity(memory_limit)}
    item = only(sized([declared], {"a": fact(**amounts, cpu_seconds=20.0, cpu_peak_cores=0.45)}))
    assert ("static CPU manager policy" in "; ".join(item.evidence)) is says
    assert (item.risk is Level.MEDIUM) is says
    if says:
        assert "where that matters, use 1" in "; ".join(item.evidence)


@pytest.mark.parametrize(("declared", "limited"), [(True, False), (True, True), (False, False), (False, True)])
def test_a_pod_is_guaranteed_only_if_all_its_containers_are(declared: bool, limited: bool) -> None:
    """Also those that nothing declares, such as the executor of Argo, which has no limits by default. Those of steps that
    declare none are known from their pods alone."""
    amounts = {"cpu_limit": 1.0, "memory_limit": GI}
    (work,) = measured(**amounts, cpu_seconds=150.0, cpu_sampled_seconds=600.0)
    wait = replace(work, name="wait", **({} if limited else {"cpu_limit": None}))
    sizes = {"cpu": "1", "memory": "1Gi"}
    of = argo(task("a"), templates={"a": resources(requests=sizes, limits=sizes)})
    found = scenario(of, 24, lambda _: {"a": Pod(600.0, containers=(work, wait))})
    graph = found.definition.graph
    steps = graph.steps if declared else tuple(replace(s, containers=(), pointer=None) for s in graph.steps)
    analysis = analyze(replace(found.definition, graph=replace(graph, steps=steps)), found.runs, now=NOW)
    (item,) = (r for r in recommend(Evidence(analysis, "wfp")) if r.rule == "right-size")
    assert ("static CPU manager policy" in "; ".join(item.evidence)) is limited


def test_a_lowered_memory_limit_lowers_what_follows_it() -> None:
    own = {"cpu_limit": 1.0, "memory_limit": GI, "memory_sampled_peak": 410 * MI}
    item = only(sized([spec("a", 0, cpu_limit="1", memory_limit="1Gi")], {"a": fact(**own)}))
    assert "what follows the limit is lowered with it, such as the heap of a JVM" in "; ".join(item.evidence)
    item = only(sized([spec("a", 0)], {"a": fact(memory_sampled_peak=410 * MI)}))
    assert "JVM" not in "; ".join(item.evidence)


@pytest.mark.parametrize(
    ("bursts", "throttled", "least"),
    [
        (None, lambda i: 0.0, 0.24),  # nothing says how much it uses at once
        (0.45, lambda i: 0.0, 0.54),
        (0.95, lambda i: 0.0, None),
        (None, lambda i: 0.5 if i % 5 == 0 else 0.0, None),  # the limit throttled some runs
        (None, lambda i: 0.08, None),
    ],
)
def test_a_limit_that_goes_with_the_request_has_room_for_bursts(
    bursts: float | None, throttled: Callable[[int], float], least: float | None
) -> None:
    """It uses a fifth of its core on average."""
    declared = spec("a", 0, cpu_limit="1", memory_limit="1Gi")
    used = fact(cpu_limit=1.0, memory_limit=GI, cpu_seconds=20.0, cpu_peak_cores=bursts)
    found = sized([declared], {"a": lambda i: replace(used(i), throttled_share=throttled(i))})
    if least is None:
        assert found == []
    else:
        limit = next(quantity(i.new) or 0.0 for i in only(found).items if i.field == "limits.cpu")
        assert least <= limit <= 1.3 * least


@pytest.mark.parametrize(("burst", "limit"), [(0.45, 0.55), (0.47, 0.55), (0.49, 0.6)])
def test_a_proposed_limit_stays_while_it_has_room_for_bursts(burst: float, limit: float) -> None:
    """Each new highest use would otherwise be another proposal, a little larger than that of the day before."""
    declared = spec("a", 0, cpu_limit="1", memory_limit="1Gi")
    used = fact(cpu_limit=1.0, memory_limit=GI, cpu_seconds=20.0, cpu_peak_cores=burst)
    item = only(sized([declared], {"a": used}, sizing=SizingHistory(proposed={("a", "main", "cpu"): 0.55})))
    assert [quantity(i.new) for i in item.items if i.field == "limits.cpu"] == [pytest.approx(limit)]


@pytest.mark.parametrize(("mark", "says"), [(420, False), (900, True)])
def test_a_limit_below_the_mark_of_the_kernel_is_to_be_checked_first(mark: float, says: bool) -> None:
    """What the kernel counted beyond the samples is page cache, or a peak between two of them."""
    declared = spec("a", 0, cpu_limit="1", memory_limit="1Gi")
    used = fact(cpu_limit=1.0, memory_limit=GI, memory_sampled_peak=400 * MI, memory_kernel_peak=mark * MI)
    item = only(sized([declared], {"a": used}))
    assert (
        "check a/main first: its memory with page cache reached 900Mi, above its new limit" in item.expected
    ) is says
    assert ("of later attempts run out of memory" in item.expected) is not says
    assert (item.risk is Level.MEDIUM) is says
    plain = only(sized([spec("a", 0)], {"a": fact(memory_sampled_peak=400 * MI, memory_kernel_peak=mark * MI)}))
    assert "check" not in plain.expected  # no limit moves


def test_what_is_reserved_more_is_not_called_less() -> None:
    facts = {"a": fact(cpu_request=0.2, cpu_seconds=150.0), "b": fact(memory_sampled_peak=200 * MI)}
    item = only(sized([spec("a", 0, cpu="200m"), spec("b", 1)], facts))
    saving = item.saving_per_month
    assert saving is not None and saving.likely < 0
    less, more = "0.13 GiB-hours less", "0.26 core-hours more"
    assert item.expected.startswith(f"{less} and {more} reserved per run ({-saving.likely:.3g} USD more a month); ")


@pytest.mark.parametrize("resource", ["cpu", "memory"])
def test_no_maximum_lowers_a_request_below_what_is_needed(resource: str) -> None:
    """A quarter of what is requested is used, and an eighth of it is the most that the policy allows."""
    declared = {"a": spec("a", 0, cpu="40", memory="40Gi")}
    used = fact(cpu_request=40.0, memory_request=40 * GI, cpu_seconds=1000.0, memory_sampled_peak=10 * GI)
    facts = {
        "cpu": {"a": lambda i: replace(used(i), memory_sampled_peak=39 * GI)},
        "memory": {"a": lambda i: replace(used(i), cpu_seconds=3900.0)},
    }
    small = Bounds(cpu=Range(0.1, 5.0), memory=Range(GI, 5 * GI))
    item = only(sized([*declared.values()], facts[resource], apply=ApplySettings(bounds=small)))
    (row,) = item.items
    assert row.field == f"requests.{resource}"
    assert (quantity(row.new) or 0.0) > 10 * (1 if resource == "cpu" else GI)
    assert f"raise apply.bounds.{resource}.max of the policy from " in item.expected
    assert item.edits == ()
    assert not item.automatic


@pytest.mark.parametrize(("ratio", "lowered"), [(None, False), (16.0, False), (4.0, True), (1.5, True), (1.0, True)])
def test_limits_go_with_requests_where_a_limit_range_has_a_ratio(ratio: float | None, lowered: bool) -> None:
    """The limit of 4 cores and 8Gi is within ``ratio`` times what is requested, and not of what is needed."""
    ranges = (LimitRange("burst", "Container", ratio={} if ratio is None else {"cpu": ratio, "memory": ratio}),)
    pod = {"cpu_request": 4.0, "cpu_limit": 4.0, "memory_request": 6 * GI, "memory_limit": 8 * GI}
    declared = spec("a", 0, cpu="4", memory="6Gi", cpu_limit="4", memory_limit="8Gi")
    used = {"a": fact(**pod, cpu_seconds=50.0, memory_sampled_peak=700 * MI)}
    item = only(sized([declared], used, capacity=Capacity(ranges=ranges)))
    values = {i.field: quantity(i.new) or 0.0 for i in item.items}
    assert ("limits.cpu" in values, "limits.memory" in values) == (lowered, lowered)
    peaks = {"cpu": 0.5, "memory": 700.0 * MI}
    for resource in peaks if lowered else ():
        request, limit = values[f"requests.{resource}"], values[f"limits.{resource}"]
        assert peaks[resource] < request <= limit <= (ratio or 0.0) * request * (1 + 1e-9)
        assert limit >= 1.19 * peaks[resource]
        assert limit >= 0.9 * (ratio or 0.0) * request  # no lower than it must be
        reason = f"{resource} of a: the limit is lowered with the request, by maxLimitRequestRatio of LimitRange burst"
        assert reason in item.evidence
    assert written(json.loads(shlex.split(item.how)[-1])).keys() >= {e.pointer for e in item.edits}
    assert item.automatic is not lowered  # a change sets no limit


def test_many_runs_far_below_go_there_in_one_step() -> None:
    wide = {"a": fact(memory_sampled_peak=200 * MI, cpu_seconds=95.0)}
    assert all(e.sure for e in only(sized([spec("a", 0)], wide, count=24)).edits)
    assert not any(e.sure for e in only(sized([spec("a", 0)], wide, count=10)).edits)


def test_a_container_nobody_declared_has_no_field_to_set() -> None:
    assert sized([spec("a", 0)], {"a": fact(name="istio-proxy", memory_sampled_peak=10 * MI)}) == []


def test_unsampled_runs_give_no_size() -> None:
    seldom = {"a": lambda i: fact(memory_sampled_peak=100 * MI if i % 5 == 0 else None, cpu_seconds=None)(i)}
    assert sized([spec("a", 0)], seldom) == []
    assert sized([spec("a", 0)], {"a": fact(memory_sampled_peak=100 * MI, ambiguous=True)}) == []


def _sampled(seen: Callable[[int], bool]) -> dict[str, Callable[[int], ContainerFact]]:
    def of(i: int) -> ContainerFact:
        if seen(i):
            return fact(memory_sampled_peak=200 * MI, cpu_seconds=95.0)(i)
        return fact(memory_sampled_peak=None, cpu_seconds=None, samples=0)(i)

    return {"a": of}


def test_runs_before_the_first_with_samples_do_not_lower_the_coverage() -> None:
    """Sampling was fixed, or usage expires earlier than times: the newest runs are complete."""
    begun = only(sized([spec("a", 0)], _sampled(lambda i: i >= 16), count=24))
    whole = only(sized([spec("a", 0)], _sampled(lambda i: True), count=8))
    assert [e.proposed for e in begun.edits] == [e.proposed for e in whole.edits]
    assert sized([spec("a", 0)], _sampled(lambda i: i >= 21), count=24) == []  # 3 runs, 5 are required


def test_runs_that_are_sampled_by_chance_give_no_size() -> None:
    """Long ones are sampled more often: they do not stand for the others."""
    assert sized([spec("a", 0)], _sampled(lambda i: i >= 6 and i % 3 == 0), count=30) == []


@given(st.floats(1.0, 60.0 * 1024))
@settings(max_examples=200)
def test_plain_figures_are_never_below_the_size_and_never_far_above(mib: float) -> None:
    size = plain_memory(mib * MIB)
    assert size is not None
    assert size >= mib * MIB * (1 - 1e-6)
    assert size <= max(16 * MIB, mib * MIB * 1.125 + 16 * MIB)
    assert plain_memory(size) == size


def _line(verdict: Verdict = Verdict.IMPROVED, **more: object) -> LedgerEntry:
    return LedgerEntry("demo/wfp", "right-size", verdict, NOW - DAY, recommendation="right-size", **more)  # type: ignore[arg-type]


WIDE = {"a": fact(memory_sampled_peak=200 * MI), "b": fact(memory_sampled_peak=200 * MI)}


def test_a_dismissed_or_harmed_step_is_left_out_and_the_rest_stays() -> None:
    steps = [spec("a", 0), spec("b", 1)]
    for decided in (
        sizing_history({"right-size.a": "month end"}, ()),
        sizing_history({"right-size.a.main": "month end"}, ()),
        sizing_history({"memory-request.a": "month end"}, ()),  # as it was called before
        sizing_history({}, [_line(Verdict.WORSE, harmed=("a",))]),
    ):
        item = only(sized(steps, WIDE, sizing=decided))
        assert {i.step for i in item.items} == {"b"}
        assert any(e.startswith("left out: a/main, ") for e in item.evidence)
    assert sized(steps, WIDE, sizing=sizing_history({"right-size.a": "x", "right-size.b": "x"}, ())) == []
    task = sizing_history({"right-size.a": "x"}, (), objects=["a"])
    assert {i.step for i in only(sized(steps, WIDE, sizing=task)).items} == {"a", "b"}


@pytest.mark.parametrize("count", [10, 60])
def test_a_rolled_back_step_stays_left_out_until_its_change_is_gone(count: int) -> None:
    """More runs at the old size are no new evidence: only the removal of the retained change opens the step again. A
    change of it that was verified opens nothing while the other is retained."""
    steps = [spec("a", 0), spec("b", 1)]
    worse = _line(Verdict.WORSE, harmed=("a",))
    for lines in ([worse], [worse, replace(_line(), finished=NOW)]):
        (item,) = sized(steps, WIDE, count=count, sizing=sizing_history({}, lines))
        assert {i.step for i in item.items} == {"b"}
    (item,) = sized(steps, WIDE, count=count, sizing=sizing_history({}, []))
    assert {i.step for i in item.items} == {"a", "b"}


def test_after_one_verified_step_the_next_goes_all_of_the_way() -> None:
    pointer = "/spec/templates/0/container/resources/requests/memory"
    known = sizing_history({}, [_line(stayed=((pointer, "1Gi"),))])
    assert [e.sure for e in only(sized([spec("a", 0)], WIDE, count=10, sizing=known)).edits] == [True]
    other = sizing_history({}, [_line(stayed=((pointer, "2Gi"),))])  # somebody set another value since
    assert [e.sure for e in only(sized([spec("a", 0)], WIDE, count=10, sizing=other)).edits] == [False]


def _object(specs: list[StepSpec]) -> dict[str, Any]:
    """The WorkflowTemplate that declares these steps, each in a template of its own."""
    templates = [{"name": s.name, "container": {"resources": dict(s.containers[0].resources)}} for s in specs]
    meta = {"name": "etl", "namespace": "demo", "uid": "u", "resourceVersion": "1"}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": meta,
        "spec": {"templates": templates},
    }


@pytest.mark.parametrize("count", [10, 24])
def test_from_approval_to_done_takes_two_verifications_at_most(count: int) -> None:
    peaks: dict[str, object] = {"cpu_seconds": 3.0, "memory_sampled_peak": 150 * MI}
    held = {"a": ("4", "8Gi"), "b": ("2", "2Gi")}
    lines: list[LedgerEntry] = []
    for _ in range(4):
        specs = [spec(name, i, cpu=cpu, memory=memory) for i, (name, (cpu, memory)) in enumerate(held.items())]
        facts = {
            name: fact(**peaks, cpu_request=quantity(cpu), memory_request=quantity(memory))
            for name, (cpu, memory) in held.items()
        }
        found = sized(specs, facts, count, sizing=sizing_history({}, lines))
        if not found:
            break
        made = plan(only(found), _object(specs), PATCHABLE, profile="wfp", namespace="demo", bounds=Bounds())
        assert "largest-step" not in {r.check for r in run_checks(made, Situation(NOW)) if not r.passed}
        values = {pointer: str(value) for pointer, value in written(made.patch).items()}
        lines.append(_line(stayed=tuple(values.items())))
        pointer = "/spec/templates/{}/container/resources/requests/{}".format
        held = {
            name: (values.get(pointer(i, "cpu"), cpu), values.get(pointer(i, "memory"), memory))
            for i, (name, (cpu, memory)) in enumerate(held.items())
        }
    assert len(lines) == (1 if count >= 20 else 2)


@pytest.mark.parametrize(("least", "rows"), [(0.2, 1), (0.5, 1), (0.7, 0)])
def test_the_policy_says_how_much_a_size_must_change_to_be_recommended(least: float, rows: int) -> None:
    """`apply.minChangePercent` holds for recommendations as for changes."""
    found = sized([spec("a", 0)], {"a": fact(memory_sampled_peak=400 * MI)}, apply=ApplySettings(min_change=least))
    assert sum(item.field == "requests.memory" for r in found for item in r.items) == rows


@pytest.mark.parametrize(("share", "trimmed"), [(0.19, False), (0.21, True)])
def test_nothing_is_trimmed_by_less_than_a_fifth(share: float, trimmed: bool) -> None:
    """Beside a container that is far off, of a team that wants its memory to be full."""
    facts = {
        "a": fact(memory_request=8 * GI, memory_sampled_peak=600 * MI),
        "b": fact(memory_request=None, memory_sampled_peak=700 * MI),
    }
    full = Objectives(target_memory_utilization=0.95)
    unset = [spec("a", 0, memory="8Gi"), spec("b", 1, memory="2Gi")]
    new = next(i.new for r in sized(unset, facts, objectives=full) for i in r.items if i.step == "b")
    request = f"{round(int(new.removesuffix('Mi')) / (1 - share))}Mi"
    found = sized([spec("a", 0, memory="8Gi"), spec("b", 1, memory=request)], facts, objectives=full)
    assert [(i.old, i.new) for r in found for i in r.items if i.step == "b"] == ([(request, new)] if trimmed else [])


def test_a_proposed_size_moves_only_by_a_material_step() -> None:
    """Peaks differ a little from week to week; what was proposed stands while it is enough and not a fifth too much."""
    steps = [spec("a", 0, memory="8Gi")]
    wide = {"a": fact(memory_request=8 * GI, memory_sampled_peak=600 * MI)}

    def proposed(last: str | None) -> str:
        rows = [("a", "main", "requests.memory", last)] if last is not None else []
        return only(sized(steps, wide, sizing=sizing_history({}, (), published=rows))).items[0].new

    alone = proposed(None)
    assert proposed(alone) == alone
    assert proposed("650Mi") == "650Mi" != alone
    assert proposed("610Mi") == alone, "too little room above the peak"
    assert proposed("1Gi") == alone, "another size by now"


def test_the_saving_holds_every_size_that_the_rule_would_leave_alone() -> None:
    big = fact(memory_request=8 * GI, memory_sampled_peak=1 * GI)
    item = only(sized([spec("a", 0, memory="8Gi")], {"a": big}))
    saving = item.saving_per_month
    assert saving is not None and saving.low < saving.likely < saving.high
    a_month = saving.likely / (8 * GI - (quantity(item.items[0].new) or 0.0))
    assert saving.low == pytest.approx(a_month * (8 * GI - 1 * GI / 0.75), rel=0.01)  # at the target utilization
    assert saving.high == pytest.approx(a_month * (8 * GI - 1.05 * GI), rel=0.01)  # a little above the largest peak


def test_steps_that_take_longer_together_widen_the_saving_more_than_others() -> None:
    specs = [spec("a", 0, memory="80Gi"), spec("b", 1, memory="80Gi")]
    facts = dict.fromkeys("ab", fact(memory_request=80 * GI, memory_sampled_peak=0.1 * GI))
    longer = (400.0, 800.0)

    def width(b: int) -> float:
        of = {"a": 0, "b": b}
        saving = only(sized(specs, facts, seconds=lambda name, i: longer[(i + of[name]) % 2])).saving_per_month
        assert saving is not None
        return (saving.high - saving.low) / saving.likely

    assert width(0) > 3 * width(1)


def test_a_step_that_runs_at_times_saves_an_uncertain_amount_and_surely_some() -> None:
    of = definition(spec("a", 0, memory="8Gi"), spec("b", 1))
    facts = {"a": fact(memory_request=8 * GI, memory_sampled_peak=0.1 * GI), "b": fact()}
    both = {"a": 600.0, "b": 600.0}
    always = [
        run(of.graph, both, number=i, start=NOW - (24 - i) * DAY / 2, containers=lambda name: (facts[name](0),))
        for i in range(24)
    ]
    at_times = [r if i % 3 == 0 else replace(r, steps=r.steps[1:]) for i, r in enumerate(always)]
    rules = {r.name: RuleSettings(enabled=r.name == "right-size") for r in RULES}
    first, second = (
        only(recommend(Evidence(analyze(of, runs, now=NOW, policy=Policy(rules=rules)), "wfp"))).saving_per_month
        for runs in (always, at_times)
    )
    assert first is not None and second is not None
    assert second.likely < first.likely / 2
    assert 0 < second.low < 0.7 * second.likely < 1.3 * second.likely < second.high
    assert first.low > 0.95 * first.likely


@pytest.mark.parametrize(("added", "share"), [(0, 1.0), (16, 1.0), (19, 1.0), (None, 1 / 3)])
def test_a_step_that_was_added_runs_in_every_run_to_come(added: int | None, share: float) -> None:
    """``b`` runs since run ``added`` of 24, or in every third run."""
    of = definition(spec("a", 0), spec("b", 1, memory="8Gi"))
    used = {"a": fact()(0), "b": fact(memory_request=8 * GI, memory_sampled_peak=600 * MI)(0)}
    runs = []
    for i in range(24):
        ran = i % 3 == 0 if added is None else i >= added
        graph = of.graph if ran else definition(spec("a", 0)).graph
        start = NOW - (24 - i) * DAY / 2
        runs.append(run(graph, dict.fromkeys("ab", 600.0), number=i, start=start, containers=lambda n: (used[n],)))
    rules = {r.name: RuleSettings(enabled=r.name == "right-size") for r in RULES}
    item = only(recommend(Evidence(analyze(of, runs, now=NOW, policy=Policy(rules=rules)), "wfp")))
    saving = item.saving_per_month
    new = quantity(item.items[0].new) or 0.0
    assert saving is not None
    assert saving.likely == pytest.approx(share * 10.0 * (8 * GI - new) / GI * 0.004, rel=0.02)  # 60 runs a month


@pytest.mark.parametrize("lacking", [0, 1])
def test_runs_that_end_in_the_same_second_save_as_two(lacking: int) -> None:
    """Also where a step was not part of each run."""
    of = definition(spec("a", 0, memory="80Gi"), spec("b", 1, memory="80Gi"))
    whole = container(memory_request=80 * GI, memory_sampled_peak=0.1 * GI)
    rules = {r.name: RuleSettings(enabled=r.name == "right-size") for r in RULES}

    def width(apart: float) -> float:
        starts = [NOW - (24 - i) * DAY / 2 for i in range(23)]
        runs = [
            run(of.graph, {"a": 600.0, "b": 600.0}, number=i, start=start, containers=lambda _: (whole,))
            for i, start in enumerate([*starts, starts[-1] + apart])
        ]
        runs[:lacking] = [replace(r, steps=r.steps[1:]) for r in runs[:lacking]]
        saving = only(
            recommend(Evidence(analyze(of, runs, now=NOW, policy=Policy(rules=rules)), "wfp"))
        ).saving_per_month
        assert saving is not None
        return (saving.high - saving.low) / saving.likely

    assert width(0.0) == pytest.approx(width(DAY / 2), rel=0.01)


def test_the_shares_of_the_edits_lack_what_no_edit_brings() -> None:
    """``b`` comes from another object, which the patch of this one does not change."""
    facts = dict.fromkeys("ab", fact(memory_request=8 * GI, memory_sampled_peak=1 * GI))
    facts["c"] = fact(cpu_request=0.5)
    own = [spec("a", 0, memory="8Gi"), spec("b", 1, memory="8Gi"), spec("c", 2, cpu="500m")]
    item = only(sized(own, facts))
    shares = {e.pointer.split("/")[3]: e.share or 0.0 for e in item.edits}
    assert sum(shares.values()) == pytest.approx(1.0) and shares["2"] < 0 < shares["0"] == pytest.approx(shares["1"])
    borrowed = replace(own[1], containers=(replace(own[1].containers[0], resources_pointer=None),))
    lacking = only(sized([own[0], borrowed, own[2]], facts))
    assert lacking.saving_per_month == item.saving_per_month
    assert sum(e.share or 0.0 for e in lacking.edits) == pytest.approx(1.0 - shares["1"])
    assert lacking.expected.endswith("; not set by the command: memory of b/main")
    assert "not set by the command" not in item.expected


def read_late(unread: int) -> Facts:
    """Of six runs these newest ones have memory samples, and no two of CPU yet."""
    used: dict[str, object] = {"cpu_request": 4.0, "memory_request": GI, "memory_sampled_peak": 300 * MI}
    return lambda i: container(**used, **({"cpu_seconds": None} if i >= 6 - unread else {"cpu_seconds": 95.0}))


def fields(found: list[Recommendation]) -> list[str]:
    return [i.field for r in found for i in r.items]


def test_memory_is_lowered_together_with_cpu_that_only_the_newest_runs_lack() -> None:
    steps = [spec("a", 0, cpu="4")]
    assert fields(sized(steps, {"a": read_late(2)}, count=6)) == [], "four runs with CPU, five are needed"
    assert fields(sized(steps, {"a": read_late(1)}, count=6)) == ["requests.cpu", "requests.memory"]


@pytest.mark.parametrize("missed", [0, 2, 4])
def test_memory_waits_for_cpu_too_where_an_earlier_run_lacks_it(missed: int) -> None:
    """On a busy machine a scrape is missed now and then: a run of seconds has a peak of memory then, and no rate of CPU."""
    steps, whole = [spec("a", 0, cpu="4")], read_late(0)
    facts = {"a": lambda i: replace(whole(i), cpu_seconds=None) if i == missed else whole(i)}
    assert fields(sized(steps, facts, count=5)) == []
    assert fields(sized(steps, facts, count=6)) == ["requests.cpu", "requests.memory"]


def test_memory_does_not_wait_for_cpu_that_will_not_come() -> None:
    """Ten runs of which four have CPU are a source that lacks it; a request at its use would stay as it is."""
    steps, whole = [spec("a", 0, cpu="4")], read_late(0)
    rarely = {"a": lambda i: whole(i) if i % 3 == 0 else replace(whole(i), cpu_seconds=None)}
    assert fields(sized(steps, rarely, count=9)) == []
    assert fields(sized(steps, rarely, count=10)) == ["requests.memory"]
    assert fields(sized(steps, {"a": read_late(5)}, count=6)) == ["requests.memory"]
    assert fields(sized(steps, {"a": read_late(6)}, count=6)) == ["requests.memory"]
    fits = {"a": lambda i: replace(read_late(2)(i), cpu_request=1.0)}
    assert fields(sized([spec("a", 0)], fits, count=6)) == ["requests.memory"]


def test_memory_is_raised_at_once() -> None:
    short = {"a": lambda i: replace(read_late(2)(i), memory_request=200 * MI)}
    assert "requests.memory" in fields(sized([spec("a", 0, cpu="4", memory="200Mi")], short, count=6))


def test_what_is_saved_is_that_of_the_runs_since_the_run_time_changed() -> None:
    """Ten of 24 runs take 200 s instead of 600, at 60 runs a month; peaks are those of all."""
    facts = {"a": fact(cpu_request=4.0)}
    noise = random.Random(5)
    shorter = [1.0 + 0.02 * noise.random() for _ in range(24)]

    def saved(changed: int) -> tuple[float, str]:
        seconds = lambda _, i: (600.0 if i < changed else 200.0) * shorter[i]  # noqa: E731
        item = only(sized([spec("a", 0, cpu="4")], facts, seconds=seconds))
        assert item.saving_per_month is not None
        return item.saving_per_month.likely, " ".join(item.evidence)

    (long, without), (short, said), (always, _) = saved(24), saved(14), saved(0)
    assert short == pytest.approx(always, rel=0.05)
    assert long > 2.8 * always
    assert "the saving is that in 10 runs (5d), since run times changed" in said
    assert "since run times changed" not in without


def test_a_cost_after_the_patch_and_a_predicted_share_count_the_same_runs_as_the_saving() -> None:
    """Three of four cores go, whatever the run time was: a run then costs a quarter, beside its memory."""
    of = definition(spec("a", 0, cpu="4"))
    used = container(cpu_request=4.0, cpu_seconds=95.0, memory_sampled_peak=980 * MI)
    runs = [
        run(
            of.graph,
            {"a": (200.0 if i < 14 else 600.0) + i % 3},
            number=i,
            start=NOW - (24 - i) * DAY / 2,
            containers=lambda _: (used,),
        )
        for i in range(24)
    ]
    rules = {r.name: RuleSettings(r.name == "right-size") for r in RULES}
    analysis = analyze(of, runs, now=NOW, policy=Policy(rules=rules))
    item = only(recommend(Evidence(analysis, "wfp")))
    (row,) = view(analysis, [item])
    left = ((quantity(item.items[0].new) or 0.0) * 0.031 + 0.004) / (4.0 * 0.031 + 0.004)
    assert row["afterPerMonth"] / row["perMonth"] == pytest.approx(left, rel=0.02)
    held = reserved_per_month(analysis)
    assert held is not None and item.saving_per_month is not None
    assert item.saving_per_month.likely / held == pytest.approx(1.0 - left, rel=0.02)
