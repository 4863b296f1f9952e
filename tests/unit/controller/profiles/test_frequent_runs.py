"""Workflows with more runs than are kept: what rare large runs need is known for as long as the window reaches, and of
exceptional ones for 35 days, of all workflows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.profiles.analysis.analyzer import analyze_profile
from concertmaster.controller.profiles.analysis.long_term import with_days
from concertmaster.controller.profiles.request import AnalysisRequest
from concertmaster.core.model import DailyPeaks, Level, Outcome, Recommendation, WorkflowDefinition
from concertmaster.core.model.amounts import quantity
from concertmaster.core.model.daily import RUN
from concertmaster.core.model.policy import AnalysisSettings, Policy
from concertmaster.core.pipeline import EarlierAnalyses, analyze_workflow
from concertmaster.core.units import DAY, HOUR
from concertmaster.engines import complete
from concertmaster.history.runs import reader
from tests.support.builders import MI, container
from tests.support.controller.harness import Bed, run
from tests.support.core.scenario_builder import argo, define, task
from tests.support.data.history_rows import ran

GI = 1024 * MI
FIRST = 20_000 * DAY  # midnight
KEPT = 16  # runs: of an hourly workflow those of two thirds of a day
DEFINITION = define(
    argo(task("load"), templates={"load": {"container": {"image": "load:1", "resources": {
        "requests": {"cpu": "4", "memory": "8Gi"}, "limits": {"memory": "8Gi"}}}}})
)  # fmt: skip
PREPARED = define(
    argo(task("load"), templates={"load": {"initContainers": [{"name": "fetch", "image": "load:1", "resources": {
        "requests": {"memory": "8Gi"}, "limits": {"memory": "8Gi"}}}]}})
)  # fmt: skip
Use = Callable[[int], Mapping[str, Any]]


@dataclass
class Operator:
    """What a cycle does with an hourly workflow: its runs into the history, analysis, daily rows, retention. ``use``: of its
    only container, or of the init container that the ``definition`` has."""

    history: HistoryProvider
    use: Use
    definition: WorkflowDefinition = DEFINITION
    window: float = 14 * DAY
    kept: int = KEPT
    hours: int = 0
    policy: Policy = field(default_factory=Policy)
    request: AnalysisRequest = field(init=False)

    def __post_init__(self) -> None:
        settings = AnalysisSettings(max_runs=self.kept, window_seconds=self.window)
        self.policy = replace(self.policy, analysis=settings)

    def run(self) -> None:
        """The run of the next hour comes into the history."""
        n, key = self.hours, DEFINITION.key
        begun = FIRST + n * HOUR
        usage: dict[str, Any] = {"cpu_seconds": 95.0, "memory_sampled_peak": 200 * MI, **self.use(n)}
        seconds = usage.pop("seconds", 100.0)
        inside = [container(**{"cpu_request": 4.0, "memory_request": 8 * GI, "memory_limit": 8 * GI, **usage})]
        if self.definition is PREPARED:
            inside = [container(cpu_seconds=95.0), replace(inside[0], name="fetch", init=True, cpu_request=None)]
        pod = ran(str(n), begun, "load", scheduled=begun, started=begun, finished=begun + seconds, containers=inside)
        if inside[-1].reason is not None:
            pod = replace(pod, outcome=Outcome.FAILED, exit_code=137)
        self.history.store.add({key: {f"nightly-etl-{n}": [pod]}})
        self.hours += 1

    def cycle(self, complete: float | None = None) -> None:
        """Analyse after the next run; ``complete``: up to when the metrics are, if they lag behind live runs."""
        self.run()
        key, now = DEFINITION.key, FIRST + self.hours * HOUR
        meta = {"name": "etl", "namespace": key.namespace}
        profile = WorkflowProfile.parse({"metadata": meta, "spec": {"workflowRef": {
            "apiVersion": "argoproj.io/v1alpha1", "kind": key.kind, "name": key.name}}})  # fmt: skip
        runs = self.history.runs(self.definition, limit=self.kept, since=now - self.window, as_of=now)
        cut = len(runs) >= reader.MAX_EXECUTIONS  # of one step each
        request = AnalysisRequest(profile, self.policy, self.definition, runs, now, complete or now, cut=cut)
        self.request = with_days(request, self.history, record=True)
        self.history.record(key, analyze_profile(self.request).figures)
        self.history.tidy({key: (self.kept, self.window)}, now)

    def recommended(self, rule: str) -> list[Recommendation]:
        now = FIRST + self.hours * HOUR
        runs = self.history.runs(self.definition, limit=self.kept, since=now - self.window, as_of=now)
        known, completed = complete(self.definition, runs)
        earlier = EarlierAnalyses(peaks=with_days(replace(self.request, runs=runs), self.history, record=False).peaks)
        found = analyze_workflow(known, completed, self.policy, profile="etl", now=now, earlier=earlier)
        return [r for r in (*found.recommendations, *found.minor) if r.rule == rule]


def operate(tmp_path: Path, use: Use, hours: int, **options: Any) -> Operator:
    operator = Operator(HistoryProvider(str(tmp_path / "history.db")), use, **options)
    for _ in range(hours):
        operator.cycle()
    return operator


def size(item: Recommendation, name: str) -> float:
    return next(quantity(i.new) or 0.0 for i in item.items if i.field == name)


NIGHTLY = {"memory_sampled_peak": 3 * GI, "cpu_seconds": 7500.0, "cpu_sampled_seconds": 3000.0, "seconds": 3000.0}


@pytest.fixture(scope="module")
def nightly(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """At eight in the evening, when the large run of two o'clock is not among the newest 16."""
    return operate(tmp_path_factory.mktemp("nightly"), lambda n: NIGHTLY if n % 24 == 2 else {}, 2 * 24 + 20)


def test_a_request_is_not_lowered_below_what_the_largest_run_of_each_day_needs(nightly: Operator) -> None:
    (item,) = nightly.recommended("right-size")
    assert 1.15 * 3 * GI <= size(item, "requests.memory") < 4 * GI
    assert "load peaked at 3Gi of 8Gi in the largest run of 3 of 3 days (200Mi in the newest runs)" in item.because
    assert 2.5 <= size(item, "requests.cpu") < 3.5
    assert (
        "used at most 2.5 cores of 4 in the largest run of 3 of 3 days (0.95 cores in the newest runs)" in item.because
    )


def test_runs_that_came_while_the_operator_was_stopped_count_by_day(tmp_path: Path) -> None:
    """More of them than one analysis takes, among them the large run of a night and one that was killed."""

    def use(n: int) -> Mapping[str, Any]:
        return NIGHTLY if n == 2 * 24 + 2 else KILL if n == 2 * 24 + 3 else {}

    (steadily := tmp_path / "steady").mkdir()
    operator, steady = (operate(place, use, hours) for place, hours in ((tmp_path, 24), (steadily, 3 * 24 + 20)))
    for _ in range(2 * 24 + 19):
        operator.run()
    operator.cycle()
    days, wanted = (of.history.store.daily for of in (operator, steady))
    assert [(r.day, r.count, r.failed) for r in days.rows(DEFINITION.key)] == [
        (20_000 + day, count, failed) for day, count, failed in ((0, 24, 0), (1, 24, 0), (2, 24, 1), (3, 20, 0))
    ]
    assert days.largest(DEFINITION.key, since=20_001) == wanted.largest(DEFINITION.key, since=20_001)


def test_the_first_analysis_counts_runs_of_the_window_that_it_does_not_take(tmp_path: Path) -> None:
    operator = operate(tmp_path, lambda n: NIGHTLY if n % 24 == 2 else {}, 0)
    for _ in range(2 * 24 + 19):
        operator.run()
    operator.cycle()
    (item,) = operator.recommended("right-size")
    assert size(item, "requests.memory") >= 1.15 * 3 * GI  # 240Mi by the newest 16
    assert "in the largest run of 3 of 3 days" in item.because


def test_live_runs_count_by_day_while_the_metrics_source_is_down(tmp_path: Path) -> None:
    operator = operate(tmp_path, lambda n: {}, 24 + 14)
    down = FIRST + operator.hours * HOUR
    for _ in range(20):
        operator.cycle(down)
    for _ in range(14):
        operator.cycle()
    assert [r.count for r in operator.history.store.daily.rows(DEFINITION.key)] == [24, 24, 24]


def test_days_keep_runs_that_no_longer_fit_into_an_analysis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer runs than ``maxRuns`` are read of a workflow with very many executions."""
    monkeypatch.setattr(reader, "MAX_EXECUTIONS", KEPT)
    operator = operate(tmp_path, lambda n: NIGHTLY if n % 24 == 2 else {}, 2 * 24 + 20, kept=100)
    assert [r.count for r in operator.history.store.daily.rows(DEFINITION.key)] == [24, 24, 20]
    (item,) = operator.recommended("right-size")
    assert size(item, "requests.memory") >= 1.15 * 3 * GI


def test_a_time_limit_does_not_stop_the_longest_run_of_each_day(nightly: Operator) -> None:
    (item,) = nightly.recommended("timeout")
    assert [float(e.proposed or 0) for e in item.edits] == [4500.0]


@pytest.mark.parametrize("kept", [KEPT, 200])
def test_an_exceptional_run_is_known_when_the_window_no_longer_has_it(tmp_path: Path, kept: int) -> None:
    """As that of a month end is not for half of the next month; also where all runs of the window are analysed."""
    operator = operate(tmp_path, lambda n: NIGHTLY if n == 2 else {}, 3 * 24 + 4, window=2 * DAY, kept=kept)
    (item,) = operator.recommended("right-size")
    assert 1.15 * 3 * GI <= size(item, "requests.memory") < 4 * GI
    assert "load peaked at 3Gi of 8Gi in the largest run of 2024-10-04 (200Mi in the newest runs)" in item.because
    known = operator.history.store.daily.largest(DEFINITION.key, since=0).of(["load"], "memory/main")
    assert known == {20_000: 3 * GI} | (dict.fromkeys((20_001, 20_002, 20_003), 200 * MI) if kept == KEPT else {})


@pytest.mark.parametrize("large", [1.1, 1.3])
def test_a_run_within_the_headroom_of_sizes_is_not_exceptional(tmp_path: Path, large: float) -> None:
    use: Use = lambda n: {"memory_sampled_peak": large * 200 * MI} if n == 2 else {}  # noqa: E731
    operator = operate(tmp_path, use, 3 * 24 + 4, window=2 * DAY, kept=200)
    (item,) = operator.recommended("right-size")
    assert ("2024-10-04" in item.because) is (large > 1.15)


def test_a_memory_request_stays_after_a_kill_before_the_window(tmp_path: Path) -> None:
    """What the killed run needed is not known, even if its limit was raised since."""
    had = {"memory_request": 2 * GI, "memory_limit": 2 * GI}
    killed = {**had, "memory_sampled_peak": 2 * GI, "reason": "OOMKilled"}
    operator = operate(tmp_path, lambda n: killed if n == 2 else {}, 3 * 24 + 4, window=2 * DAY, kept=200)
    items = [i.field for r in operator.recommended("right-size") for i in r.items]
    assert items == ["requests.cpu"]


@pytest.mark.parametrize(
    ("kept", "known", "of"),
    [(40, True, DEFINITION), (200, True, DEFINITION), (200, False, DEFINITION), (200, True, PREPARED)],
)
def test_what_a_leaner_release_ended_does_not_come_back(
    tmp_path: Path, kept: int, known: bool, of: WorkflowDefinition
) -> None:
    """Runs show the release for as long as the window reaches, or for some hours."""

    def use(n: int) -> Mapping[str, Any]:
        old = n < 30
        return {
            "memory_sampled_peak": (3 * GI if old else 200 * MI) * (1.0 + 0.01 * (n % 5)),
            "image": f"load:{1 if old or not known else 2}",
        }

    operator = operate(tmp_path, use, 4 * 24 + 6, window=(4 if kept == 40 else 2) * DAY, kept=kept, definition=of)
    (item,) = operator.recommended("right-size")
    assert (size(item, "requests.memory") < GI) is known


KILL = {"memory_sampled_peak": 7.9 * GI, "reason": "OOMKilled"}


def killed(*hours: int) -> Use:
    """At these hours of each day."""
    return lambda n: KILL if n % 24 in hours else {}


@pytest.fixture(scope="module")
def killed_nightly(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """At eight in the evening, when the killed runs of the night are not among the newest 16."""
    return operate(tmp_path_factory.mktemp("killed"), killed(1, 2), 3 * 24 + 20)


def test_a_kill_of_each_night_is_known_all_day(killed_nightly: Operator) -> None:
    (item,) = killed_nightly.recommended("memory-request")
    assert item.action == "Raise memory request and limit of load: 8Gi -> 24Gi"
    assert item.because.startswith("0 of 16 runs were OOM-killed (16h), and 8 earlier ones on 4 of 4 days; ")
    assert "above 8Gi" in item.expected
    months = (3 * 24 + 20) / 730
    assert item.impact.failed_runs is not None
    assert 0.5 * 8 / months < item.impact.failed_runs.likely < 8 / months  # some need more than three times the limit
    assert "about 9% of the runs keep being OOM-killed" in item.otherwise


def test_kills_are_counted_once_while_the_runs_of_their_day_come_and_go(killed_nightly: Operator) -> None:
    known = killed_nightly.history.store.daily.largest(DEFINITION.key, since=0)
    assert known.of(["load"], "killed/main") == dict.fromkeys(range(20_000, 20_004), 2.0)
    assert known.of(["load"], "killed-for-good/main") == dict.fromkeys(range(20_000, 20_004), 2.0)
    assert known.of(["load"], "killed-at/main") == dict.fromkeys(range(20_000, 20_004), 8 * GI)


def test_kills_of_five_nights_have_ended_after_four_days(tmp_path: Path) -> None:
    """One of 126 ways in which five of nine days can have them."""
    operator = operate(tmp_path, lambda n: KILL if n % 24 == 2 and n < 5 * 24 else {}, 8 * 24 + 20)
    assert operator.recommended("memory-request") != []
    for _ in range(5):
        operator.cycle()
    assert operator.recommended("memory-request") == []


def test_kills_at_a_limit_that_was_raised_since_are_not_reported(tmp_path: Path) -> None:
    """By half, which is what was recommended: the first night without a kill need not pass for that."""
    less = {"memory_request": 5 * GI, "memory_limit": 5 * GI}
    operator = operate(tmp_path, lambda n: {**KILL, **less} if n % 24 == 2 and n < 3 * 24 else less, 3 * 24 + 20)
    assert operator.recommended("memory-request") == []


@pytest.mark.parametrize("of", [DEFINITION, PREPARED])
@pytest.mark.parametrize(("image", "reported"), [("load:1", True), ("load:2", False)])
def test_kills_that_another_image_ended_do_not_come_back(
    tmp_path: Path, image: str, reported: bool, of: WorkflowDefinition
) -> None:
    """They are known for longer than the runs that show the change."""
    other, kill = {"image": image}, {**KILL, "image": "load:1"}
    use: Use = lambda n: kill if 24 <= n < 32 else other if n >= 32 else {"image": "load:1"}  # noqa: E731
    operator = operate(tmp_path, use, 24 + 28, definition=of)
    assert bool(operator.recommended("memory-request")) is reported


@pytest.mark.parametrize(("again", "reported"), [(-1, False), (2 * 24 + 14, True)])
def test_kills_that_have_ended_come_back_with_another_one(tmp_path: Path, again: int, reported: bool) -> None:
    """All runs of the day after them are known for longer than those that showed the end."""
    evening = range(24 + 20, 24 + 23)

    def use(n: int) -> Mapping[str, Any]:
        used = KILL if n in evening or n == again else {}
        return {**used, "image": "load:1" if n < evening.stop else "load:2"}

    operator = operate(tmp_path, use, 3 * 24 + 8)
    assert bool(operator.recommended("memory-request")) is reported


def test_requests_are_not_raised_for_a_rare_run(tmp_path: Path) -> None:
    """It fits below the limit, and 23 of 24 runs would reserve it for nothing."""
    operator = operate(tmp_path, lambda n: {"memory_sampled_peak": 12 * GI} if n == 2 else {}, 20)
    assert all(i.field != "requests.memory" for r in operator.recommended("right-size") for i in r.items)


def test_a_memory_request_is_lowered_with_more_risk_before_a_day_is_known(tmp_path: Path) -> None:
    """The newest 20 runs are never of a day; the daily rows are, once they have the whole of yesterday."""
    operator = operate(tmp_path, lambda _: {"cpu_seconds": 380.0}, 40, kept=20)
    hours = "the runs cover less than a day: runs at other hours may need more"
    (item,) = operator.recommended("right-size")
    assert (item.risk, hours in item.evidence) == (Level.MEDIUM, True)
    for _ in range(10):
        operator.cycle()
    (item,) = operator.recommended("right-size")
    assert (item.risk, hours in item.evidence) == (Level.LOW, False)


def test_a_workflow_whose_runs_are_all_kept_has_no_largest_amounts(tmp_path: Path) -> None:
    operator = operate(tmp_path, lambda _: {}, KEPT - 1)
    assert operator.history.store.daily.largest(DEFINITION.key, since=0) == DailyPeaks()
    assert operator.history.store.daily.rows(DEFINITION.key)[0].metrics == {}


@pytest.mark.parametrize(("hours", "known"), [(30, {RUN, "load"}), (31, {RUN})])
def test_days_of_steps_are_read_where_runs_are_few(tmp_path: Path, hours: int, known: set[str]) -> None:
    operator = operate(tmp_path, lambda _: {}, hours, kept=200)
    days = with_days(operator.request, operator.history, record=False).days
    assert {row.step for row in days} == known


def test_days_before_those_compared_are_known_as_soon_as_they_are_recorded(tmp_path: Path) -> None:
    operator = Operator(HistoryProvider(str(tmp_path / "history.db")), lambda _: {}, window=60 * DAY)
    for _ in range(2):
        operator.run()
    operator.hours = 40 * 24
    for _ in range(KEPT):
        operator.run()
    operator.cycle()
    assert next(row.day for row in operator.request.days if row.step == RUN) == FIRST // DAY


def test_each_day_counts_where_there_are_as_many_runs_as_may_be_analyzed() -> None:
    bed = Bed()
    bed.history.peaks = DailyPeaks({("main", "seconds"): {20_000: 5.0}})
    bed.history.runs_of["etl"] = [run("etl", n) for n in range(3)]
    bed.cronjob()
    bed.profile()
    bed.run()
    bed.policy(analysis={"maxRuns": 3, "minRuns": 3})
    bed.run(seconds=60.0)
    known = bed.history.peaks
    assert [request.peaks for request in bed.analyzer.requests] == [replace(known, every_day=False), known]
