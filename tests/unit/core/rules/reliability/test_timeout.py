"""``timeout``: a limit where executions hang, a wider one where it kills, and one quiet line for all the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import ContainerFact, Level, Outcome
from concertmaster.core.model.policy import AnalysisSettings, Policy, RuleSettings
from concertmaster.core.rules import Evidence, recommend
from concertmaster.core.rules.intervals import share_interval
from concertmaster.core.rules.reliability.hangs import DeadlineSpan
from concertmaster.core.rules.reliability.timeout import _apart, _Times
from concertmaster.core.rules.reliability.tolerance_bound import recommended_timeout
from tests.support.builders import NOW, container
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, Scenario, Work, argo, cron_job, noise, scenario, task


def _used(cpu: float | None, sampled: float = 10800.0) -> tuple[ContainerFact, ...]:
    """The container of a pod that spent these CPU seconds in the sampled part (s) of its time."""
    return (container(cpu_seconds=cpu, cpu_sampled_seconds=sampled),)


def _idle(seconds: float, usual: float) -> Pod:
    """A pod that succeeds in the end, with the CPU of a usual one."""
    return Pod(seconds, containers=_used(0.9 * usual, seconds))


def test_a_hang_gets_a_limit_its_siblings_never_reach() -> None:
    found = scenarios.timeout().recommended("timeout")
    item = next(r for r in found if r.id == "timeout.transform")
    assert "1 of 42 executions hung, the longest for 3h00m" in item.because
    limit = int(item.edits[0].proposed or "")
    assert item.edits[0].pointer == "/spec/templates/2/activeDeadlineSeconds"
    assert 1.5 * 320 <= limit <= 600  # above every healthy run with headroom, far below the hang
    assert "earlier" in item.expected


@pytest.mark.parametrize(("hung", "found"), [((30,), 1), ((), 0)])
def test_a_hang_is_found_where_only_pods_are_known(hung: tuple[int, ...], found: int) -> None:
    """Of a workflow known by labels of its pods nobody knows the limits, only that none ended the hang."""
    value = noise()
    made = scenario(
        scenarios.etl(),
        42,
        lambda i: {"extract": 60.0, "transform": _idle(10800.0, 300) if i in hung else value(300), "load": 30.0},
    )
    known = made.definition
    bare = tuple(replace(s, has_timeout=None, pointer=None, declared={}) for s in known.graph.steps)
    of = replace(known, graph=replace(known.graph, steps=bare))
    items = [
        r for r in recommend(Evidence(analyze(of, made.runs, now=NOW, policy=Policy()), "wfp")) if r.rule == "timeout"
    ]
    assert [(r.id, r.current, r.edits) for r in items] == [("timeout.transform", "none below 3h00m", ())] * found


@pytest.mark.parametrize(
    ("long", "hangs"),
    [
        (Pod(10800), False),
        (Pod(10800, containers=_used(None)), False),
        (Pod(10800, containers=_used(0.9 * 200, sampled=200)), False),
        (_idle(10800, 300), True),
        (
            replace(
                _idle(10800, 300),
                containers=(*_used(270), container(name="proxy", cpu_seconds=540.0, cpu_sampled_seconds=10800.0)),
            ),
            True,
        ),
        (Pod(10800, fails="Error"), True),
        (replace(_idle(10800, 300), size=36e9), False),
        (replace(_idle(10800, 300), size=2e9), True),
        (Pod(10800, fails="Error", size=36e9), False),
        (Pod(300, wait=10500), False),
    ],
    ids=[
        "busy",
        "CPU unknown",
        "busy while it was sampled",
        "idle",
        "idle beside a busy sidecar",
        "failed",
        "idle, with as much more input",
        "idle, with little more input",
        "failed, with as much more input",
        "pending",
    ],
)
@pytest.mark.parametrize(
    "limits",
    [{"activeDeadlineSeconds": 21600}, {"timeout": "6h"}, None],
    ids=["pod's limit", "template's limit", "Job"],
)
def test_a_long_execution_hung_if_it_did_not_end_or_was_idle(
    long: Pod, hangs: bool, limits: dict[str, object] | None
) -> None:
    value = noise()
    of = argo(task("job"), templates={"job": limits}) if limits else cron_job(activeDeadlineSeconds=21600)
    named = "main" if limits else "report"

    def work(i: int) -> Work:
        pod = long if i == 30 else Pod(value(300), size=1e9 if long.size else None)
        mine = tuple(replace(c, name=named) if c.name == "main" else c for c in pod.containers)
        return {"job": replace(pod, containers=mine)}

    found = scenario(of, 42, work).recommended("timeout")
    assert ["1 of 42 executions hung" in r.because for r in found] == [True] * hangs


def test_a_limit_stays_above_a_full_load() -> None:
    value = noise()
    long = {5: Pod(7200), 30: _idle(72000, 300)}
    of = argo(task("a"))
    item = scenario(of, 42, lambda i: {"a": long.get(i, value(300))}).one("timeout")
    assert "1 of 42 executions hung, the longest for 20h00m" in item.because
    assert int(item.edits[0].proposed or "") >= 1.5 * 7200


@pytest.mark.parametrize(
    ("of", "least", "most"),
    [(argo(task("job")), 450, 900), (cron_job(), 1200, 2400)],
    ids=["pod: its wait does not count", "Job: it does"],
)
def test_a_limit_covers_what_counts_against_it(of: dict[str, object], least: int, most: int) -> None:
    value = noise()
    item = scenario(of, 42, lambda i: {"job": Pod(value(300), wait=500 if i == 30 else 1.0)}).one("timeout")
    assert least <= int(item.edits[0].proposed or "") <= most


@pytest.mark.parametrize(
    ("large", "hangs"), [(4, False), (None, True)], ids=["always the same item", "another each time"]
)
def test_an_item_that_always_takes_long_does_not_hang(large: int | None, hangs: bool) -> None:
    of = argo(task("split"), task("search", "split", withItems=list("abcdefgh")), task("join", "search"))
    value = noise()

    def work(i: int) -> Work:
        long = large if large is not None else i % 8
        search = [_idle(value(1500), 100) if k == long else value(100) for k in range(8)]
        return {"split": value(20), "search": search, "join": value(30)}

    found = scenario(of, 40, work).recommended("timeout")
    assert any(r.id == "timeout.search" for r in found) is hangs


def test_steps_without_a_limit_share_one_quiet_line() -> None:
    value = noise()
    of = argo(task("a"), task("b", "a"), templates={"b": {"activeDeadlineSeconds": 600}})
    item = scenario(of, 20, lambda _: {"a": value(60), "b": value(60)}).one("timeout")
    assert (item.id, item.minor) == ("timeout", True)
    assert item.action == "Set a time limit for a"
    assert [e.pointer for e in item.edits] == ["/spec/templates/1/activeDeadlineSeconds"]


def test_a_limit_that_kills_is_raised_in_its_own_notation() -> None:
    value = noise(spread=0.1)
    of = argo(task("a"), templates={"a": {"timeout": "100s"}})

    def work(i: int) -> dict[str, Pod]:
        return {"a": Pod(100, fails="DeadlineExceeded") if i % 6 == 0 else Pod(min(99.0, value(80)))}

    item = scenario(of, 42, work).one("timeout")
    assert "7 of 42 executions were stopped by it" in item.because
    assert (item.edits[0].pointer, item.edits[0].current) == ("/spec/templates/1/timeout", '"100s"')
    assert item.edits[0].proposed in ('"150s"', '"180s"')


@pytest.mark.parametrize(
    ("limits", "changed"),
    [
        ({"timeout": "10m", "activeDeadlineSeconds": 100}, {"activeDeadlineSeconds": "100"}),
        ({"timeout": "100s", "activeDeadlineSeconds": "600"}, {"timeout": '"100s"'}),
        ({"timeout": "110s", "activeDeadlineSeconds": 100}, {"timeout": '"110s"', "activeDeadlineSeconds": "100"}),
    ],
)
def test_of_two_limits_those_are_raised_that_would_stop_it(limits: dict[str, object], changed: dict[str, str]) -> None:
    value = noise(spread=0.1)
    of = argo(task("a"), templates={"a": limits})

    def work(i: int) -> dict[str, Pod]:
        return {"a": Pod(100, fails="DeadlineExceeded") if i % 6 == 0 else Pod(min(95.0, value(80)))}

    edits = scenario(of, 42, work).one("timeout").edits
    assert {e.pointer.rpartition("/")[2]: e.current for e in edits} == changed
    assert {e.proposed.strip('"').removesuffix("s") for e in edits if e.proposed} <= {"150", "180"}


def test_a_limit_of_the_defaults_of_all_templates_is_not_raised_beside_it() -> None:
    """A template with another kind of limit would still be stopped by it."""
    value = noise(spread=0.1)
    of = argo(task("a"), templateDefaults={"timeout": "100s"})

    def work(i: int) -> dict[str, Pod]:
        return {"a": Pod(100, fails="DeadlineExceeded") if i % 6 == 0 else Pod(min(99.0, value(80)))}

    item = scenario(of, 42, work).one("timeout")
    assert item.action.startswith("Raise time limit of a: 1m40s")
    assert item.edits == ()


@pytest.mark.parametrize("helps", [True, False], ids=["a retry that helps", "no retry that helps"])
def test_only_runs_that_failed_count_as_failures_avoided(helps: bool) -> None:
    value = noise(spread=0.1)
    of = argo(task("a"), templates={"a": {"timeout": "100s", "retryStrategy": {"limit": 1}}})

    def work(i: int) -> dict[str, Pod]:
        if i % 6:
            return {"a": Pod(min(99.0, value(80)))}
        stopped = ((100.0, "DeadlineExceeded"),)
        return {"a": Pod(80, failures=stopped) if helps else Pod(100, failures=stopped, fails="DeadlineExceeded")}

    avoided = scenario(of, 42, work).one("timeout").failures_avoided
    assert (avoided is None) if helps else (avoided is not None and avoided.likely == pytest.approx(7 / 42))


def test_a_limit_with_room_is_left_alone() -> None:
    value = noise()
    of = argo(task("a"), templates={"a": {"activeDeadlineSeconds": 600}})
    assert scenario(of, 42, lambda _: {"a": value(60)}).recommended("timeout") == []


def test_a_job_is_limited_as_a_whole() -> None:
    value = noise()
    item = scenario(cron_job(), 42, lambda _: {"job": value(60)}).one("timeout")
    assert item.edits[0].pointer == "/spec/jobTemplate/spec/activeDeadlineSeconds"
    item = scenario(cron_job(activeDeadlineSeconds=65), 42, lambda _: {"job": value(60)}).one("timeout")
    assert item.action.startswith("Raise time limit of report: 1m05s")


def test_the_headroom_is_a_setting_and_few_runs_are_silent() -> None:
    base = scenarios.timeout()
    tight, wide = (
        int(next(r for r in base.recommended("timeout", headroomPercent=h) if r.step).edits[0].proposed or "")
        for h in ("10", "100")
    )
    assert tight < wide
    few = replace(base, runs=base.runs[:8], options=AnalysisSettings(min_runs=5))
    assert few.recommended("timeout") == []


def test_several_hangs_do_not_hide_each_other() -> None:
    value = noise()
    of = argo(task("a"), task("b", "a"))
    hung = {i: _idle(seconds, 60) for i, seconds in ((9, 9000.0), (20, 12000.0), (31, 15000.0))}
    found = scenario(of, 42, lambda i: {"a": hung.get(i, value(60)), "b": value(60)}).recommended("timeout")
    item = next(r for r in found if r.id == "timeout.a")
    assert "3 of 42 executions hung, the longest for 4h10m" in item.because
    assert int(item.edits[0].proposed or "") < 300


@pytest.mark.parametrize(
    ("idle", "unknown", "busy", "hung"),
    [
        pytest.param((5, 12, 20, 30), (35,), (), "5 of 42 executions hung (of 1 it is not known", id="most are known"),
        pytest.param((5, 12), (35,), (), "3 of 42 executions hung (of 1 it is not known", id="two of three"),
        pytest.param((5, 12, 20), (), (), "3 of 42 executions hung, the longest", id="all"),
        pytest.param((5,), (12, 20, 35), (), None, id="one of four"),
        pytest.param((5,), (12,), (), None, id="one of two"),
        pytest.param((5, 12, 20), (30,), (35,), None, id="one was busy"),
        pytest.param((), (5, 12, 20), (), None, id="none is known"),
    ],
)
def test_hangs_of_unknown_use_are_judged_by_those_that_are_known(
    idle: tuple[int, ...], unknown: tuple[int, ...], busy: tuple[int, ...], hung: str | None
) -> None:
    value = noise()
    dark = Pod(10800, containers=(container(cpu_seconds=None, cpu_sampled_seconds=1.0, samples=0),))

    def work(i: int) -> Work:
        pods = {
            **dict.fromkeys(idle, _idle(10800, 300)),
            **dict.fromkeys(unknown, dark),
            **dict.fromkeys(busy, Pod(10800)),
        }
        return {"extract": 60.0, "transform": pods.get(i, Pod(value(300))), "load": 30.0}

    found = [r for r in scenario(scenarios.etl(), 42, work).recommended("timeout") if r.step == "transform"]
    assert [r.because.partition(" whether")[0][: len(hung or "")] for r in found] == ([hung] if hung else [])
    for item in found:
        assert item.risk is Level.MEDIUM
        assert item.gain_seconds is not None
        known = share_interval(len(idle), 42)
        assert known is not None
        assert item.gain_seconds.low / item.gain_seconds.likely == pytest.approx(
            known.low / ((len(idle) + len(unknown)) / 42)
        )


@pytest.mark.parametrize(("cores", "hangs"), [(0.02, False), (0.2, True)], ids=["it always waits", "it works"])
@pytest.mark.parametrize("fails", [None, "Error"])
@pytest.mark.parametrize("pending", [1.0, 1800.0])
def test_a_long_wait_of_a_step_that_always_waits_is_a_hang_only_if_it_failed(
    cores: float, hangs: bool, fails: str | None, pending: float
) -> None:
    value = noise()

    def work(i: int) -> Work:
        usual = value(300)
        long = 10800.0 if i in (5, 12, 30) else usual
        fail, used = fails if long > usual else None, _used(cores * usual, long)
        return {"a": Pod(long, wait=pending, fails=fail, containers=used)}

    of = argo(task("a"), templates={"a": {"timeout": "24h"}})  # which begins with the creation of the pod
    found = scenario(of, 42, work).recommended("timeout")
    assert any("3 of 42 executions hung" in r.because for r in found) is (hangs or fails is not None)


@pytest.mark.parametrize(
    ("fails", "retries", "late"),
    [(None, None, True), (None, {"limit": 2}, False), ("Error", None, False)],
    ids=["succeeds in the end", "is retried", "fails"],
)
def test_a_limit_that_will_fail_what_succeeded_in_the_end_says_so(
    fails: str | None, retries: dict[str, int] | None, late: bool
) -> None:
    value = noise()
    of = argo(task("a"), templates={"a": {"retryStrategy": retries} if retries else {}})
    hung = replace(_idle(10800, 300), fails=fails)
    (item,) = scenario(of, 42, lambda i: {"a": hung if i == 30 else value(300)}).recommended("timeout")
    assert ("1 of 1 succeeded in the end, and would fail at this limit" in item.expected) is late
    assert item.risk is (Level.MEDIUM if late else Level.LOW)


@pytest.mark.parametrize("cpu", [270.0, None, 9720.0])
def test_a_long_execution_whose_end_was_not_seen_may_have_succeeded(cpu: float | None) -> None:
    value = noise()

    def work(i: int) -> Work:
        long = Pod(10800, containers=_used(cpu)) if i in (5, 12, 30) else Pod(value(300))
        return {"extract": 60.0, "transform": long, "load": 30.0}

    of = scenario(scenarios.etl(), 42, work)
    runs = tuple(
        replace(
            r,
            outcome=Outcome.UNKNOWN,
            steps=tuple(
                replace(e, outcome=Outcome.UNKNOWN, reason="Vanished") if e.step == "transform" else e for e in r.steps
            ),
        )
        if i in (5, 12, 30)
        else r
        for i, r in enumerate(of.runs)
    )
    found = replace(of, runs=runs).recommended("timeout")
    assert ["hung" in r.because for r in found if r.step == "transform"] == [True] * (cpu == 270.0)


def _whole(limit: int | None, *, own: bool = False, kind: str = "WorkflowTemplate", seed: int = 1) -> Scenario:
    """Three steps of ten minutes in all, more or less; the workflow is stopped after ``limit`` seconds, while its last step
    runs. ``own``: the steps have limits that are never reached."""
    size, value = noise(seed, spread=0.17), noise(seed + 1, spread=0.03)
    names = ("a", "b", "c")
    templates = {name: {"activeDeadlineSeconds": 3600} for name in names} if own else {}
    flow = argo(task("a"), task("b", "a"), task("c", "b"), templates=templates)
    if limit is not None:
        flow["spec"]["activeDeadlineSeconds"] = limit
    if kind == "CronWorkflow":
        flow = {**flow, "kind": kind, "spec": {"schedule": "0 * * * *", "workflowSpec": flow["spec"]}}

    def work(_: int) -> Work:
        long, spent, steps = size(200), 0.0, dict[str, Pod]()
        for name in names:
            seconds = value(long)
            left = (limit or 1e9) - spent - 3.0
            late = seconds > left
            steps[name] = Pod(min(seconds, left), fails="DeadlineExceeded" if late else None)
            if late:
                break
            spent += seconds + 3.0
        return steps

    return scenario(flow, 200, work, every=3600.0)


@pytest.mark.parametrize("kind", ["WorkflowTemplate", "CronWorkflow"])
@pytest.mark.parametrize("own", [False, True])
def test_a_limit_of_the_workflow_that_stops_runs_is_to_be_raised(kind: str, own: bool) -> None:
    made = _whole(800, kind=kind, own=own)
    stopped = sum(run.outcome is Outcome.FAILED for run in made.runs)
    assert 5 < stopped < 40, "the case must tempt the rule"
    (item,) = [r for r in made.recommended("timeout") if not r.minor]
    assert item.id == "timeout.workflow"
    assert item.action == "Raise time limit of the workflow: 13m20s -> 24m00s"
    assert item.because.startswith(f"{stopped} of 200 runs were stopped by it")
    (edit,) = item.edits
    at = "/spec/workflowSpec" if kind == "CronWorkflow" else "/spec"
    assert (edit.pointer, edit.current, edit.proposed) == (f"{at}/activeDeadlineSeconds", "800", "1440")
    assert item.failures_avoided is not None
    assert item.failures_avoided.low < stopped / 200 < item.failures_avoided.high
    assert made.recommended("retry-policy") == [], "it leaves no time for retries"


def test_a_limit_of_the_workflow_that_no_run_reaches_is_silent() -> None:
    assert [r for r in _whole(3600).recommended("timeout") if r.id == "timeout.workflow"] == []


class _Copied(list[DeadlineSpan]):
    """A list that counts how many of its rows slices copy."""

    rows = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        self.rows += len(found) if isinstance(key, slice) else 0
        return found


@pytest.mark.parametrize(
    "seconds", [lambda i: 0.0, lambda i: 30.0 + i, lambda i: 600.0], ids=["none", "rising", "equal"]
)
def test_hangs_are_looked_for_beyond_gaps_only(seconds: Callable[[int], float]) -> None:
    """Not beyond each execution, however many a fan-out has. Timestamps are whole seconds: many items take none."""
    evidence = Evidence(scenarios.timeout().analysis(), "wfp", RuleSettings())
    step = evidence.analysis.steps[0]
    ended = _Copied(DeadlineSpan(step.step, None, seconds(i), 0.0, True, ()) for i in range(2000))
    assert step.spec is not None
    assert _apart(evidence, _Times(step, step.spec, ended, [], (), recommended_timeout([], headroom=0.5), None)) is None
    assert ended.rows == 0
