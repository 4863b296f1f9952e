"""``overlapping-runs``: starts that are due while a run is in progress."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from concertmaster.core import text
from concertmaster.core.analysis.insights import insights
from concertmaster.core.analysis.runs.starts import starts_of
from concertmaster.core.model import Outcome, RunRecord, Severity
from concertmaster.core.model.policy import Objectives
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.scheduling.overlap_slowdown import slowdown
from concertmaster.core.rules.scheduling.overlapping_runs import evaluate
from concertmaster.core.schedules.starts import widened
from concertmaster.engines.define import define_all
from concertmaster.report.status.insights import sentences
from tests.support.builders import DAY, NOW
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Scenario, argo, cron_job, define, noise, simulate, task
from tests.support.core.scenarios import every_ten_minutes

DUE = NOW - NOW % 600


def cron(policy: str | None, schedule: str = "*/10 * * * *") -> dict[str, Any]:
    """The CronJob ``report`` with that concurrencyPolicy."""
    made = cron_job(schedule=schedule)
    return {**made, "spec": {**made["spec"], **({"concurrencyPolicy": policy} if policy else {})}}


def of(manifest: dict[str, Any], starts: list[float], lengths: list[float], **more: Any) -> Scenario:
    """Runs of one pod that began then and took so long."""
    graph = define(manifest).graph
    name = graph.steps[0].name
    runs = [
        simulate(graph, {name: s}, number=i, start=b, **more)
        for i, (b, s) in enumerate(zip(starts, lengths, strict=True))
    ]
    return Scenario(manifest, tuple(runs))


def one_after_the_other(count: int = 40, seconds: float = 1080.0) -> Scenario:
    """As the CronJob controller does with Forbid: the newest start that was missed begins when the run before ends."""
    at, starts = DUE - count * 1300, []
    at -= at % 600
    for _ in range(count):
        starts.append(at + 2)
        end = at + seconds + 5
        at = max(end, at - at % 600 + 600)
    return of(cron("Forbid"), starts, [seconds] * count)


def test_starts_that_forbid_skips_are_counted_and_an_interval_that_fits_is_named() -> None:
    item = scenarios.overlapping_runs().one("overlapping-runs")
    assert item.because.startswith("41 of 83 scheduled starts were skipped in 42 runs")
    assert item.proposed == "*/20 * * * *"
    (edit,) = item.edits
    assert (edit.pointer, edit.proposed) == ("/spec/schedule", '"*/20 * * * *"')
    assert (item.severity, item.minor) == (Severity.LOW, False)  # no run more takes place
    assert "no start skipped in 95% of cases, instead of 46 to 52%" in item.expected


def forbidden(lengths: Callable[[int], float], count: int = 200) -> Scenario:
    """Runs of so many seconds as they are due (``lengths`` by the number of the start), which Forbid starts only while none
    is in progress."""
    value, ends, starts, seconds = noise(), 0.0, [], []
    for i in range(count):
        at = DUE - (count - i) * 600 + 2.0
        if at > ends:
            starts.append(at)
            seconds.append(value(lengths(i)))
            ends = at + seconds[-1] + 5.0
    return of(cron("Forbid"), starts, seconds)


def test_starts_that_were_skipped_until_a_change_are_not_said_to_be_skipped_still() -> None:
    """Two of three were, until runs became three times as fast."""
    assert forbidden(lambda i: 1300.0 if i < 140 else 400.0).recommended("overlapping-runs") == []


def test_starts_that_are_skipped_since_a_change_are_counted_since_then() -> None:
    item = forbidden(lambda i: 400.0 if i < 140 else 1300.0).one("overlapping-runs")
    assert "(66% of its starts are skipped)" in item.action
    assert item.because.startswith("38 of 58 scheduled starts were skipped in 20 runs (10h)")


@pytest.mark.parametrize(("ended", "says"), [(4, 0), (5, 1)])
def test_an_interval_is_not_named_from_fewer_runs_that_ended_than_are_required(ended: int, says: int) -> None:
    """The pods of all others were deleted before their end was seen, as where their image cannot be pulled."""
    made = one_after_the_other()
    runs = [replace(r, outcome=Outcome.UNKNOWN) if i < 40 - ended else r for i, r in enumerate(made.runs)]
    assert len(replace(made, runs=tuple(runs)).recommended("overlapping-runs")) == says


@pytest.mark.parametrize("policy", ["Forbid", "Replace", "Allow"])
def test_a_suspended_schedule_starts_nothing_that_could_overlap(policy: str) -> None:
    starts = [DUE - (60 - n) * 600 + 2 for n in range(60)]
    made = of(cron(policy), starts[::2], [1000.0] * 30)
    if policy == "Allow":
        made = of(cron(policy), starts, [1000.0] * 60)
    if policy == "Replace":
        made = of(cron(policy), starts, [598.0] * 60, outcome=Outcome.FAILED)
    evidence = Evidence(made.analysis(), "wfp")
    assert list(evaluate(evidence))
    held = replace(evidence.analysis.definition, suspended=True)
    assert not list(evaluate(replace(evidence, analysis=replace(evidence.analysis, definition=held))))


def test_a_cron_job_starts_late_and_skips_the_rest() -> None:
    made = one_after_the_other()
    found = starts_of(made.definition, made.runs)
    assert found is not None
    assert {o.met for o in found.overlaps} == {0}
    assert len(found.behind) >= 30  # all but those that end as the next is due
    assert len(found.due) == pytest.approx(40 * 1085 / 600, abs=2)
    assert len(found.skipped) == len(found.due) - 40
    item = made.one("overlapping-runs")
    assert item.proposed == "*/20 * * * *"
    waits = list(found.behind.values())
    late = f"{len(waits)} starts had to wait for the run before, {text.duration(sum(waits) / len(waits))}"
    assert f"{late} on average" in item.evidence


def test_the_time_a_start_is_late_is_a_part_of_the_time_split_before_the_run() -> None:
    made = one_after_the_other()
    split = insights(made.analysis()).split
    assert split is not None
    waits = [(r.start or 0.0) % 600 for r in made.runs]  # each begins for the newest start that was missed
    assert split.late == pytest.approx(sum(w for w in waits if w > 30) / len(waits), abs=3.0)
    assert split.late > 240
    assert split.total == pytest.approx(1080.0, rel=0.02)  # the run itself is no longer for it
    (line,) = [s for s in sentences(insights(made.analysis()), 40) if s.startswith("An average run takes ")]
    assert line.endswith(f"; not included: {text.duration(split.late)} late behind the run before it")
    first, second = made.analysis().executed[:2]
    assert (first.late, second.late) == (0.0, pytest.approx(485.0, abs=5.0))
    on_time = of(cron("Forbid"), [DUE - i * 3600 for i in range(30, 0, -1)], [300.0] * 30)
    assert insights(on_time.analysis()).split.late == 0.0  # type: ignore[union-attr]


def test_the_deadline_of_a_start_is_named() -> None:
    deadline = cron("Forbid")
    deadline["spec"]["startingDeadlineSeconds"] = 900
    item = replace(one_after_the_other(), manifest=deadline).one("overlapping-runs")
    assert "startingDeadlineSeconds is 900: a start that has to wait longer is skipped" in item.evidence


def test_nothing_is_counted_while_no_run_was_in_progress() -> None:
    """A schedule that was suspended over the day skipped nothing."""
    rests = of(cron("Forbid"), [DUE - i * 3600 for i in range(30, 0, -1)], [300.0] * 30)
    found = starts_of(rests.definition, rests.runs)
    assert found is not None
    assert (len(found.due), found.skipped, found.behind) == (30, (), {})
    assert rests.recommended("overlapping-runs") == []


def replacing(count: int = 40, each: int = 3, until: int | None = None) -> Scenario:
    """Every third run (``each``), ``until`` some run from which on all are quick, would take longer than ten minutes, and is
    deleted when the next one is due."""
    value, last = noise(), count if until is None else until
    of_them = of(
        cron("Replace"),
        [DUE - (count - i) * 600 + 2.0 for i in range(count)],
        [
            200.0 if i >= last else 590.0 if i % each == 1 else 200.0 if until is None else value(500.0)
            for i in range(count)
        ],
    )
    runs = tuple(
        replace(r, outcome=Outcome.UNKNOWN, end=(r.end or 0.0) - 20) if i % each == 1 and i < last else r
        for i, r in enumerate(of_them.runs)
    )
    return replace(of_them, runs=runs)


def test_runs_that_are_replaced_should_end() -> None:
    item = replacing().one("overlapping-runs")
    assert item.because.startswith("13 of 40 runs (7h) were stopped after 9m")
    (edit,) = item.edits
    assert (edit.pointer, edit.current, edit.proposed) == ("/spec/concurrencyPolicy", '"Replace"', '"Forbid"')
    assert item.failures_avoided is not None
    assert item.failures_avoided.likely == pytest.approx(13 / 40)
    assert item.saving_per_month is not None


@pytest.mark.parametrize(("runs", "found"), [(70, 1), (120, 0)])
def test_runs_that_were_replaced_until_a_change_are_not_said_to_be_replaced_still(runs: int, found: int) -> None:
    """50 more runs that take less than half of the time follow."""
    assert len(replacing(runs, until=70).recommended("overlapping-runs")) == found


@pytest.mark.parametrize(("objective", "found"), [(0.95, 1), (0.9, 0)])
def test_few_replaced_runs_matter_where_too_few_succeed(objective: float, found: int) -> None:
    """One in 13, of which no other rule speaks."""
    made = replacing(count=130, each=13)
    runs = tuple(replace(r, outcome=Outcome.FAILED) if r.outcome is Outcome.UNKNOWN else r for r in made.runs)
    given = replace(made, runs=runs, objectives=Objectives(min_success=objective))
    assert len(given.recommended("overlapping-runs")) == found


@pytest.mark.parametrize(("policy", "rule"), [("Replace", "overlapping-runs"), ("Forbid", "failing-step")])
def test_a_run_that_is_replaced_is_no_failure_of_the_step_it_was_at(policy: str, rule: str) -> None:
    """Argo stops the pods of a run that it replaces, and they fail."""
    runs = tuple(
        replace(
            r,
            outcome=Outcome.FAILED,
            end=(r.start or 0.0) + 590,
            steps=tuple(replace(e, outcome=Outcome.FAILED, reason="Error") for e in r.steps),
        )
        if i % 3 == 1 or i >= 30
        else r
        for i, r in enumerate(replacing().runs)
    )
    made = replace(replacing(), manifest=cron(policy), runs=runs)
    rules = ("overlapping-runs", "failing-step", "retry-policy")
    assert [name for name in rules if made.recommended(name)] == [rule]


def test_runs_that_fail_by_themselves_are_not_replaced() -> None:
    """They end long before the next start; under another policy even an end at that moment is none of its doing."""
    early = [replace(r, end=(r.start or 0.0) + 200) for r in replacing().runs]
    assert replace(replacing(), runs=tuple(early)).recommended("overlapping-runs") == []
    assert replace(replacing(), manifest=cron("Forbid")).recommended("overlapping-runs") == []


def beside(factor: float, policy: str | None = None) -> Scenario:
    """Every fourth run takes 14 min, so that the next one begins beside it; both then take so many times as long."""
    value = noise()
    lengths = [value({1: 840 * factor, 2: 400 * factor}.get(i % 4, 400.0)) for i in range(80)]
    return of(cron(policy), [DUE - (80 - i) * 600 + 2.0 for i in range(80)], lengths)


def test_runs_beside_another_are_kept_apart() -> None:
    item = beside(1.3).one("overlapping-runs")
    assert item.because.startswith("20 of 80 runs (13h) began while another was in progress, up to 2 at once")
    (edit,) = item.edits
    assert (edit.pointer, edit.current, edit.proposed) == ("/spec/concurrencyPolicy", None, '"Forbid"')
    assert item.gain_seconds is not None
    assert item.gain_seconds.low > 0


def test_a_run_that_is_overlapped_because_it_is_long_is_slowed_by_nobody() -> None:
    """Every fourth run takes 14 min by itself and slows the next one: at the least, that one's loss is the gain."""
    value = noise()
    lengths = [value({1: 840.0, 2: 560.0}.get(i % 4, 400.0)) for i in range(80)]
    item = of(cron("Allow"), [DUE - (80 - i) * 600 + 2.0 for i in range(80)], lengths).one("overlapping-runs")
    assert item.gain_seconds is not None
    assert 0 < item.gain_seconds.low < 160 / 4 < item.gain_seconds.likely < item.gain_seconds.high


def test_long_runs_that_overlap_the_next_one_without_effect_gain_nothing() -> None:
    item = beside(1.0).one("overlapping-runs")
    assert item.gain_seconds is None
    assert item.minor
    assert item.expected.endswith("no gain in time was measured")


def test_an_effect_is_found_where_hardly_a_run_ends_before_the_next_begins() -> None:
    """Chains of six: runs of about 660 s, of which those that begin beside another take half as long again."""
    value = noise(spread=0.2)
    lengths = [value(500.0 if i % 6 == 5 else 660.0) * (1.5 if i % 6 else 1.0) for i in range(180)]
    starts = [DUE - (180 - i - i // 6) * 600 + 2.0 for i in range(180)]
    item = of(cron("Allow"), starts, lengths).one("overlapping-runs")
    assert item.gain_seconds is not None
    assert item.gain_seconds.low > 0


def paced(count: int, usual: Callable[[int], float], slowing: float) -> Scenario:
    """Runs every ten minutes, of which each takes longer by that share of the time for which the one before is beside it."""
    value, lengths = noise(seed=2, spread=0.15), [0.0]
    for i in range(count):
        lengths.append(value(usual(i)) + slowing * max(0.0, lengths[-1] - 600.0))
    return of(cron("Allow"), [DUE - (count - i) * 600 + 2.0 for i in range(count)], lengths[1:])


def test_an_effect_is_found_where_nearly_all_runs_overlap() -> None:
    item = paced(150, lambda _: 650.0, 0.6).one("overlapping-runs")
    assert item.gain_seconds is not None
    assert item.gain_seconds.low > 0
    assert not item.minor


def following(seed: int) -> Scenario:
    """200 runs every ten minutes of eight minutes each, which vary by 40%, each as the one before to 60% of that, whether
    this is still in progress or not."""
    chance, own, lengths = random.Random(seed), 0.0, []
    for _ in range(200):
        own = 0.6 * own + 0.8 * chance.gauss(0.0, 0.4)
        lengths.append(480.0 * math.exp(own))
    return of(cron("Allow"), [DUE - (200 - i) * 600 + 2.0 for i in range(200)], lengths)


@pytest.mark.parametrize("seed", [0, 2, 4, 5, 6, 8, 10])
def test_runs_that_follow_each_other_without_effect_are_not_slowed(seed: int) -> None:
    made = following(seed)
    found = starts_of(made.definition, made.runs)
    assert found is not None
    assert slowdown(found, {}) is None


def test_runs_that_overlap_at_one_time_lose_no_less_than_nothing() -> None:
    """Eight pairs of 200 runs, in two tenths of the time: how often there will be such a time is not known."""
    value = noise(seed=4, spread=0.05)
    kinds = [i % 5 if 60 <= i < 100 else 2 for i in range(200)]
    lengths = [900.0 if k == 0 else value(400.0) * (1.5 if k == 1 else 1.0) for k in kinds]
    made = of(cron("Allow"), [DUE - (200 - i) * 600 + 2.0 for i in range(200)], lengths)
    starts = starts_of(made.definition, made.runs)
    assert starts is not None
    found = slowdown(starts, {})
    assert found is not None
    assert found.seconds.low == 0.0 < found.seconds.likely


def test_runs_lose_no_more_than_all_of_their_time() -> None:
    """One that begins beside another takes twelve times as long, and how often that happens is hardly known."""
    chance, value, starts = (
        random.Random(1),
        noise(seed=1, spread=0.05),
        [DUE - (24 - i) * 600 + 2.0 for i in range(24)],
    )
    lengths: list[float] = []
    for i, begin in enumerate(starts):
        own = value(1600.0 if chance.random() < 0.1 else 400.0)
        busy = any(b + seconds > begin + 5 for b, seconds in zip(starts[:i], lengths, strict=True))
        lengths.append(own * (12.0 if busy else 1.0))
    item = of(cron("Allow"), starts, lengths).one("overlapping-runs")
    assert item.expected.startswith("each run 39 to 100% shorter, likely 78%")


@pytest.mark.parametrize(
    "usual",
    [
        lambda i: 450.0 if i < 75 else 700.0,  # since a change
        lambda i: 450.0 + 2.0 * i,  # growth
        lambda i: 800.0 if i % 50 in range(8) else 450.0,  # outages
        lambda i: 600.0 + 150.0 * math.sin(math.pi * i / 72),  # the hour of the day
    ],
)
def test_runs_that_take_long_at_some_time_are_not_slowed_by_each_other(usual: Callable[[int], float]) -> None:
    item = paced(150, usual, 0.0).one("overlapping-runs")
    assert item.gain_seconds is None


@pytest.mark.parametrize("busy", [1.0, 1.3])
def test_runs_that_overlap_at_some_hours_slow_each_other_down_there(busy: float) -> None:
    """Four days of runs every half an hour that take half as long again beside another, and ``busy`` times as long from 9 to
    17: rows of runs that overlap fill some hours more than others, which is no effect of these hours."""
    value, lengths, lost, free = noise(seed=6, spread=0.15), [], [], 0.0
    starts = [DUE - DUE % 1800 - (200 - i) * 1800 + 2.0 for i in range(200)]
    for begin in starts:
        own = value(1500.0 * (busy if 9 <= begin % DAY / 3600 < 17 else 1.0))
        lengths.append(own * (1.5 if begin < free else 1.0))
        lost.append(lengths[-1] - own)
        free = max(free, begin + lengths[-1])
    made = of(cron("Allow", "*/30 * * * *"), starts, lengths)
    found = starts_of(made.definition, made.runs)
    effect = slowdown(found, {}) if found is not None else None
    assert effect is not None
    assert effect.seconds.low < sum(lost) / 200 < effect.seconds.high
    assert effect.seconds.likely == pytest.approx(sum(lost) / 200, rel=0.35)


@pytest.mark.parametrize("seed", [3, 18, 22, 49, 55, 68])
def test_what_runs_of_the_same_hours_do_not_show_is_no_effect(seed: int) -> None:
    """Runs take longer by day, and then overlap the next one. How well an effect is known, runs of the same hours tell: of
    all hours, these six of seventy workflows would have one."""
    value = noise(seed=seed, spread=0.05)
    starts = [DUE - DUE % 1800 - (336 - i) * 1800 + 2.0 for i in range(336)]
    lengths = [value(1500.0 * math.exp(0.4 * math.sin(2.0 * math.pi * begin / DAY))) for begin in starts]
    made = of(cron("Allow", "*/30 * * * *"), starts, lengths)
    found = starts_of(made.definition, made.runs)
    assert found is not None and slowdown(found, {}) is None


@pytest.mark.parametrize("seed", [17, 50, 53, 57, 62])
def test_what_chance_shows_once_in_twenty_workflows_is_no_effect(seed: int) -> None:
    """Every fifth run overlaps the next one by accident. With the usual level of 5% these five of a hundred would gain."""
    value = noise(seed=seed, spread=0.2)
    made = of(cron("Allow"), [DUE - (60 - i) * 600 + 2.0 for i in range(60)], [value(520.0) for _ in range(60)])
    starts = starts_of(made.definition, made.runs)
    assert starts is not None and sum(o.met > 0 for o in starts.overlaps) >= 8
    assert slowdown(starts, {}) is None


@pytest.mark.parametrize("known", [True, False])
def test_runs_that_take_longer_for_larger_inputs_are_not_slowed_by_each_other(known: bool) -> None:
    """Every other of the runs that a long one overlaps has a larger input, and so does the long one."""
    value, sizes = noise(seed=3, spread=0.05), [{1: 2.1, 2: 1.4}.get(i % 4, 1.0) for i in range(80)]
    made = of(cron("Allow"), [DUE - (80 - i) * 600 + 2.0 for i in range(80)], [value(400.0 * s) for s in sizes])
    runs = [
        replace(run, steps=tuple(replace(e, input_size=1e9 * size if known else None) for e in run.steps))
        for run, size in zip(made.runs, sizes, strict=True)
    ]
    starts = starts_of(made.definition, runs)
    assert starts is not None
    assert (slowdown(starts, {}) is None) is known


def test_runs_started_by_hand_are_no_matter_of_the_schedule() -> None:
    """A backfill of twenty runs at once: no concurrencyPolicy keeps them apart, and no schedule."""
    value = noise()
    starts = [DUE - (60 - i) * 600 + 2.0 for i in range(60)]
    backfill = [starts[30] + 60.0 + i for i in range(20)]
    lengths = [value(300.0) for _ in starts] + [value(3000.0) for _ in backfill]
    made = of(cron("Allow"), starts + backfill, lengths)
    assert made.recommended("overlapping-runs") == []
    found = starts_of(made.definition, made.runs)
    assert found is not None
    assert (len(found.scheduled), {o.met for o in found.overlaps}, len(found.company)) == (60, {0}, 26)


def test_how_often_runs_overlap_is_known_from_as_many_events_as_there_were() -> None:
    widths = []
    for count in (24, 240):
        value = noise()
        lengths = [value({1: 840.0, 2: 600.0}.get(i % 4, 400.0)) for i in range(count)]
        item = of(cron("Allow"), [DUE - (count - i) * 600 + 2.0 for i in range(count)], lengths).one("overlapping-runs")
        assert item.gain_seconds is not None
        widths.append(item.gain_seconds.high / item.gain_seconds.likely)
    assert widths[0] > widths[1] > 1.0


def test_runs_that_are_longer_as_more_of_them_overlap_are_no_degradation() -> None:
    """From the middle on every other run takes long enough to slow the next one; before, every eighth."""
    value = noise()

    def lengths(company: float) -> list[float]:
        each = [8 if i < 60 else 2 for i in range(120)]
        return [value({0: 840.0, 1: 400.0 * company}.get(i % n, 400.0)) for i, n in enumerate(each)]

    starts = [DUE - (120 - i) * 600 + 2.0 for i in range(120)]
    crowded = of(cron("Allow"), starts, lengths(2.0))
    assert crowded.analysis().trend.points, "the case must tempt the rule"
    assert crowded.recommended("degradation") == []
    slower = of(cron("Allow"), starts, [s * (1.4 if i >= 60 else 1.0) for i, s in enumerate(lengths(2.0))])
    assert len(slower.recommended("degradation")) == 1


def test_of_many_that_overlap_the_schedule_is_changed() -> None:
    always = of(cron("Allow"), [DUE - (40 - i) * 600 + 2.0 for i in range(40)], [900.0] * 40)
    item = always.one("overlapping-runs")
    (edit,) = item.edits
    assert (edit.pointer, edit.proposed) == ("/spec/schedule", '"*/20 * * * *"')
    assert item.proposed == "*/20 * * * *" in item.action
    assert item.gain_seconds is None  # none ran alone: nothing to compare with
    assert item.minor


def test_runs_that_pile_up_are_published_and_kept_apart() -> None:
    """Each takes two minutes longer than the one before: none runs alone that would tell what this costs."""
    starts = [DUE - (60 - i) * 600 + 2.0 for i in range(60)]
    growing = of(cron("Allow"), starts, [700.0 + 120.0 * i for i in range(60)]).one("overlapping-runs")
    assert (growing.minor, growing.proposed, growing.gain_seconds) == (False, "Forbid", None)
    assert "concurrent runs keep increasing: at most 2 at first, at least 7 now" in growing.because
    steady = of(cron("Allow"), starts, [4000.0] * 60).one("overlapping-runs")
    assert steady.minor
    longer = of(cron("Allow"), starts, [700.0 if i < 30 else 4000.0 for i in range(60)]).one("overlapping-runs")
    assert longer.minor, "a change that is over is none that goes on"


def test_a_cron_workflow_that_only_starts_a_template_is_the_object_to_patch() -> None:
    template = argo(task("fetch"), task("load", "fetch"))
    starter = every_ten_minutes("Forbid")
    spec = {**starter["spec"], "suspend": False, "workflowSpec": {"workflowTemplateRef": {"name": "nightly-etl"}}}
    meta = {"name": "often", "namespace": "demo"}
    found = define_all([template, {**starter, "metadata": meta, "spec": spec}])
    assert [d.key.kind for d in found] == ["WorkflowTemplate"]
    assert found[0].scheduler is not None
    made = Started(template, scenarios.overlapping_runs().runs, found[0])
    item = made.one("overlapping-runs")
    assert item.edits == ()
    assert item.how.startswith("kubectl -n demo patch cronworkflow often --type=json -p ")
    assert '"value":"*/20 * * * *"' in item.how


class Started(Scenario):
    """A scenario whose definition has been read together with what starts it."""

    def __init__(self, manifest: dict[str, Any], runs: tuple[RunRecord, ...], definition: Any) -> None:
        super().__init__(manifest, runs)
        object.__setattr__(self, "_definition", definition)

    @property
    def definition(self) -> Any:
        return self._definition


@pytest.mark.parametrize(
    ("line", "least", "wider"),
    [
        ("*/10 * * * *", 1100, "*/20 * * * *"),
        ("* * * * *", 61, "*/2 * * * *"),
        ("*/5 * * * *", 2000, "0 * * * *"),
        ("*/5 * * * *", 4000, "0 */2 * * *"),
        ("7 * * * *", 4000, "7 */2 * * *"),
        ("7 */4 * * *", 20000, "7 */6 * * *"),
        ("7 */12 * * *", 50000, "7 0 * * *"),
        ("7 */12 * * *", 90000, None),
        ("0 9 * * *", 4000, None),
        ("0 * * * 1-5", 4000, None),
        ("0,30 * * * *", 4000, None),
        ("*/0 * * * *", 4000, None),
        ("@hourly", 4000, None),
        ("*/10 9-17 * * *", 1100, None),
    ],
)
def test_a_plain_line_is_widened(line: str, least: float, wider: str | None) -> None:
    assert widened(line, least) == wider


def test_a_list_of_one_schedule_is_patched_in_its_place() -> None:
    made = scenarios.overlapping_runs()
    spec = {k: v for k, v in made.manifest["spec"].items() if k != "schedule"}
    listed = {**made.manifest, "spec": {**spec, "schedules": ["*/10 * * * *"]}}
    (edit,) = replace(made, manifest=listed).one("overlapping-runs").edits
    assert edit.pointer == "/spec/schedules/0"
    two = {**made.manifest, "spec": {**spec, "schedules": ["*/10 * * * *", "5 * * * *"]}}
    item = replace(made, manifest=two).one("overlapping-runs")
    assert item.edits == ()
    assert item.action.startswith("Start nightly-etl at most every ")
