"""Reading sources into the history: forward, back, restarts, faults. The metrics source is real, the metrics are a list of
pods."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest

from concertmaster.api.conditions import Reason
from concertmaster.controller.collection import backfill, forward
from concertmaster.controller.collection import sources as module
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.collection.oversized_namespaces import OversizedNamespaces
from concertmaster.controller.collection.sources import MetricsSources
from concertmaster.controller.source_report import CollectionRequest, SourceReport
from concertmaster.core.model import (
    ContainerFact,
    JobFact,
    Outcome,
    PodFact,
    RunRecord,
    Source,
    StepSpec,
    WorkflowDefinition,
    WorkflowGraph,
    WorkflowKey,
)
from concertmaster.core.model.pod_labels import LabelRequirement
from concertmaster.core.model.scalars import MemoryQuantity
from concertmaster.engines import define
from concertmaster.engines.graph.traits import GRAPH
from concertmaster.engines.label_keys import NeededLabels, affordable, labels_in_use, nameable
from concertmaster.history import Store
from concertmaster.prometheus.client.errors import AuthFailed, MetricsError, SourceUnreachable
from concertmaster.prometheus.client.hourly_queries import HourlyQueries
from concertmaster.prometheus.client.server_clock import ServerClock
from concertmaster.prometheus.client.traits import SourceTraits
from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.collect.reading import Collection, CollectOptions, SkippedSpan
from concertmaster.prometheus.facts.missing_series import MissingSeries
from concertmaster.prometheus.facts.series_labels import SeriesLabels
from concertmaster.prometheus.reader import wire
from concertmaster.prometheus.reader.process import Readers
from concertmaster.settings import Settings, parse
from tests.support.counting import elements, growth
from tests.support.engines.argo_definitions import PICKED

NOW = 1_760_000_000.0
DAY = 86400.0
DELAY = 60.0


def cronjob(name: str, namespace: str = "demo") -> WorkflowDefinition:
    pod = {"spec": {"containers": [{"name": "main", "image": "x"}]}}
    found = define(
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"schedule": "0 * * * *", "jobTemplate": {"spec": {"template": pod}}},
        }
    )
    assert found is not None
    return found


def pod(name: str, finished: float, namespace: str = "demo") -> PodFact:
    job = f"{name}-{int(finished) // 60}"
    begun = finished - 100.0
    main = ContainerFact("main", started=begun, finished=finished)
    return PodFact(
        namespace,
        f"{job}-abcde",
        f"uid-{namespace}-{job}",
        owner_kind="Job",
        owner_name=job,
        created=begun - 1.0,
        scheduled=begun,
        started=begun,
        finished=finished,
        phase="Succeeded",
        containers=(main,),
    )


@dataclass
class Harness:
    """A metrics source: pods, what it lacks, and how it fails. Remembers every span it was asked for."""

    pods: list[PodFact] = field(default_factory=list)
    jobs: tuple[JobFact, ...] = ()
    missing: tuple[MissingSeries, ...] = ()
    error: MetricsError | None = None
    fail_after: int = 1_000
    failed: int = 0
    held_at: float | None = None
    too_large: frozenset[str] = frozenset()
    looks: list[tuple[str, tuple[str, ...], float, float]] = field(default_factory=list)
    left: list[frozenset[str]] = field(default_factory=list)  # uids that each look forward was to leave out
    slow: str = ""  # a namespace of which nothing is answered before ``answers``
    answers: threading.Event = field(default_factory=threading.Event)

    def _look(self, kind: str, client: Any, namespaces: Sequence[str], since: float, until: float) -> Collection:
        if self.error is not None and len(self.looks) >= self.fail_after:
            self.failed += 1
            raise self.error
        client.requests += 10
        self.looks.append((kind, tuple(namespaces), since, until))
        if kind == "back" and self.slow in namespaces:
            assert self.answers.wait(30.0)
        facts = tuple(p for p in self.pods if p.namespace in namespaces and p.finished and since < p.finished <= until)
        end = until if self.held_at is None else max(since, min(until, self.held_at))
        left_out = tuple(
            SkippedSpan(n, since, until, "the answer is too large") for n in namespaces if n in self.too_large
        )
        settled = frozenset(p.uid for p in facts if p.phase)
        return Collection(since, end, facts, self.jobs, missing=self.missing, left_out=left_out, settled=settled)

    def collect(
        self, client: Any, *, namespaces: Sequence[str], since: float, until: float, options: CollectOptions, **_: Any
    ) -> Collection:
        self.left.append(options.settled)
        return self._look("forward", client, namespaces, since, min(until, since + 6 * 3600.0))

    def backfill(
        self,
        client: Any,
        *,
        namespaces: Sequence[str],
        since: float,
        until: float,
        now: float,
        **_: Any,
    ) -> Iterator[Collection]:
        top = until
        while top > since:
            bottom = max(since, top - 6 * 3600.0)
            yield self._look("back", client, namespaces, bottom, top)
            top = bottom


class FakeClient:
    def __init__(self, source: Any) -> None:
        self.source = source
        self.requests = 0
        self.hourly = HourlyQueries()
        self.clock = ServerClock()
        self.traits = SourceTraits()

    def targets(self) -> Sequence[Any]:
        return ()  # and so no scrape interval

    def instant(self, _text: str, _at: float, *, name: str) -> Vector:
        if name in ("moved labels", "labels"):
            return Vector()
        assert name in ("nodes", "quota services")
        return Vector(("stat", "resource"), (("largest", "cpu"),), [3.5])

    def close(self) -> None:
        pass


@dataclass
class Reader:
    """One process's worth of reading."""

    path: Path
    harness: Harness
    settings: Settings
    keeper: HistoryProvider = field(init=False)
    sources: MetricsSources = field(init=False)
    now: float = NOW
    clock: Callable[[], float] = time.monotonic
    readers: Readers | None = None

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.keeper = HistoryProvider(str(self.path))
        self.sources = MetricsSources(
            self.settings,
            self.keeper,
            stop=threading.Event(),
            connect=FakeClient,  # type: ignore[arg-type]
            readers=self.readers,
            clock=self.clock,
        )

    def restart(self) -> None:
        self.keeper.close()
        self.start()

    def read(self, *names: str, due: bool = True, window: float = 2 * DAY, namespace: str = "demo") -> SourceReport:
        definitions = tuple(cronjob(n, namespace) for n in names)
        request = CollectionRequest("default", definitions, window, self.now, due)
        return self.sources.collect(request, lambda _: None)

    def read_all(self, *names: str, **more: Any) -> SourceReport:
        """Until there is nothing more to read."""
        for _ in range(50):
            report = self.read(*names, **more)
            if not report.more:
                return report
        raise AssertionError("it never ends")

    def runs(self, name: str) -> int:
        return len(self.keeper.runs(cronjob(name), limit=1000, since=0.0, as_of=self.now))

    @property
    def store(self) -> Store:
        return self.keeper.store


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Harness:
    found = Harness()
    monkeypatch.setattr(forward, "collect", found.collect)
    monkeypatch.setattr(wire, "backfill", found.backfill)
    return found


@pytest.fixture
def reader(harness: Harness, tmp_path: Path) -> Reader:
    settings = parse(
        'sources: [{name: default, url: "http://127.0.0.1:9", delaySeconds: 60}]\n'
        "limits: {backfill: 7d, backfillPerCycle: 1d}\n"
    )
    return Reader(tmp_path / "history.db", harness, settings)


def hourly(name: str, count: int, end: float = NOW - 600.0, namespace: str = "demo") -> list[PodFact]:
    return [pod(name, end - 3600.0 * i, namespace) for i in range(count)]


def test_the_newest_past_comes_first_and_all_of_it_in_the_end(reader: Reader, harness: Harness) -> None:
    harness.pods = hourly("etl", 40)
    first = reader.read("etl")
    assert first.ok
    assert first.more
    assert 20 <= reader.runs("etl") <= 25  # a day's worth
    last = reader.read_all("etl")
    assert reader.runs("etl") == 40
    assert last.data_until == NOW - DELAY
    spans = [(since, until) for _, _, since, until in harness.looks]
    assert spans[0][1] == NOW - DELAY
    assert all(later[1] == earlier[0] for earlier, later in pairwise(spans))


def test_the_past_of_many_workflows_is_read_in_parts(
    reader: Reader, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six hours of ten thousand workflows are 250,000 pods, which would be in memory at once."""
    monkeypatch.setattr(backfill, "_MAX_WORKFLOWS", 2)
    definitions = [
        cronjob(name, namespace)
        for namespace in ("a", "b", "c", "d")
        for name in ("etl", "load")[: 1 + (namespace == "b")]
    ]
    harness.pods = [p for d in definitions for p in hourly(d.key.name, 5, namespace=d.key.namespace)]
    request = CollectionRequest("default", tuple(definitions), 2 * DAY, NOW, True)
    report = reader.sources.collect(request, lambda _: None)
    assert report.more
    spans = {
        names: sorted((since, until) for _, n, since, until in harness.looks if n == names)
        for _, names, _, _ in harness.looks
    }
    assert set(spans) == {("a",), ("b",), ("c", "d")}
    assert len({tuple(of) for of in spans.values()}) == 1
    assert report.changed == {d.key for d in definitions}


@dataclass
class SlowStart:
    """A process of which the first reading takes three cycles, a namespace in each. ``between``: how often what was asked
    for ahead may be stored after each."""

    reader: Reader
    between: int = 0
    namespaces: tuple[str, ...] = ("a", "b", "c")
    others: tuple[WorkflowDefinition, ...] = ()
    window: float = DAY

    def cycle(self, now: float, **more: Any) -> SourceReport:
        definitions = (*(cronjob("etl", namespace) for namespace in self.namespaces), *self.others)
        report = self.reader.sources.collect(
            CollectionRequest("default", definitions, self.window, now, **more), lambda _: None
        )
        for _ in range(self.between):
            self.reader.sources.store_read_ahead(now)
            time.sleep(0.002)
        return report

    def asked(self, namespace: str) -> list[tuple[float, float]]:
        return [(since, until) for _, names, since, until in self.reader.harness.looks if namespace in names]

    def await_asked(self, namespace: str) -> None:
        """Until the newest span of a namespace was asked for, by another thread."""
        limit = time.monotonic() + 30.0
        while not self.asked(namespace):
            assert time.monotonic() < limit, f"nothing was asked of {namespace}"
            time.sleep(0.005)

    def runs(self) -> list[int]:
        keeper, since = self.reader.keeper, NOW - 10 * DAY
        return [len(keeper.runs(cronjob("etl", n), limit=1000, since=since, as_of=NOW + DAY)) for n in self.namespaces]


@pytest.fixture(params=[0, 1, 40], ids=["at rest", "briefly", "between"])
def slow(
    harness: Harness, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> SlowStart:
    monkeypatch.setattr(backfill, "_MAX_WORKFLOWS", 1)
    ticks = count(0.0, 40.0)  # seconds: as long as every part takes
    harness.pods = [p for n in ("a", "b", "c") for p in hourly("etl", 20, NOW - 600.0, n)]
    return SlowStart(Reader(tmp_path / "slow.db", harness, reader.settings, clock=lambda: next(ticks)), request.param)


@pytest.mark.parametrize("slow", [0, 1], indirect=True)
def test_the_next_part_is_asked_for_while_this_one_is_analyzed(slow: SlowStart) -> None:
    """A source that rests during the analyses makes a start on existing history longer."""
    assert slow.cycle(NOW).more
    slow.await_asked("b")
    assert not slow.asked("c")
    reports = [slow.cycle(NOW + 100.0), slow.cycle(NOW + 200.0)]
    while reports[-1].more:
        reports.append(slow.cycle(NOW + 200.0 + 100.0 * len(reports)))
    assert slow.runs() == [20, 20, 20]
    for namespace in slow.namespaces:
        spans = sorted(slow.asked(namespace))
        assert all(later[0] == earlier[1] for earlier, later in pairwise(spans)), "nothing twice, and no hole"


def test_all_have_their_newest_runs_before_any_has_older_ones(slow: SlowStart) -> None:
    slow.window = 3 * DAY
    reports = [slow.cycle(NOW)]
    while reports[-1].more:
        reports.append(slow.cycle(NOW))
    newest = [
        names for _, names, since, until in slow.reader.harness.looks if until > NOW - DAY and until - since > 1.0
    ]
    assert len(newest) == 12, "four spans of six hours each"
    assert [names for _, names, _, _ in slow.reader.harness.looks[:12]] == newest
    assert reports[0].long, "as its part of them took a while"
    assert all(r.long for r in reports[4:])
    assert not slow.cycle(NOW).long, "all of it is read"


@pytest.mark.parametrize("slow", [0], indirect=True)
def test_what_was_stored_between_analyses_is_analysed_before_more_is_waited_for(slow: SlowStart) -> None:
    harness = slow.reader.harness
    harness.slow = "c"
    slow.cycle(NOW)
    limit = time.monotonic() + 30.0
    while not slow.asked("c"):
        assert time.monotonic() < limit
        slow.reader.sources.store_read_ahead(NOW)
    assert slow.runs() == [20, 20, 0]
    second = slow.cycle(NOW + 100.0)
    assert cronjob("etl", "b").key in second.changed
    assert second.more
    harness.answers.set()
    while slow.cycle(NOW + 200.0).more:
        pass
    assert slow.runs() == [20, 20, 20]
    spans = sorted(slow.asked("c"))
    assert all(later[0] == earlier[1] for earlier, later in pairwise(spans)), "nothing twice, and no hole"


class Apart(Readers):
    """Readers that remember whether a span was to be read apart, and read it here; ``over``: how often they were ended."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bool] = []
        self.over = 0

    def of(self, client: Any) -> Any:
        found, asked = self, self.asked

        class Watched:
            def backfill(self, *, apart: bool, **span: Any) -> Iterator[Collection]:
                asked.append(apart)
                return wire.backfill(client, **span)

            def close(self) -> None:
                found.over += 1

        return Watched()


@pytest.mark.parametrize("slow", [0, 40], indirect=True)
def test_a_long_past_is_read_apart_until_all_of_it_is_read(slow: SlowStart) -> None:
    """Decoding it takes as much of the operator's time as the analyses that wait for it."""
    slow.reader.readers = apart = Apart()
    slow.reader.restart()
    reports = [slow.cycle(NOW)]
    assert (apart.asked[0], apart.over) == (False, 0), "nobody knows yet how long it takes"
    while reports[-1].more:
        assert apart.over == 0
        reports.append(slow.cycle(NOW))
    assert any(report.long for report in reports)
    assert apart.asked[-1]
    assert apart.over == 1, "as soon as all of it is read"


@pytest.mark.parametrize("slow", [0], indirect=True)
def test_what_reads_apart_is_ended_when_nobody_asks_for_the_source_any_more(slow: SlowStart) -> None:
    slow.reader.readers = apart = Apart()
    slow.reader.restart()
    assert slow.cycle(NOW).more
    slow.reader.sources.store_read_ahead(NOW + 300.0)
    assert apart.over == 0
    slow.reader.sources.store_read_ahead(NOW + 3_700.0)
    assert apart.over == 1
    reports = [slow.cycle(NOW + 3_700.0)]
    while reports[-1].more:
        reports.append(slow.cycle(NOW + 3_700.0))
    assert slow.runs() == [20, 20, 20]


def test_a_past_that_takes_little_longer_than_one_reading_is_not_long(
    harness: Harness, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To analyse the newest runs first would cost each workflow a second analysis."""
    monkeypatch.setattr(backfill, "_MAX_WORKFLOWS", 1)
    monkeypatch.setattr(backfill, "_MAX_SECONDS", 5.0)
    ticks = count(0.0, 8.0)
    harness.pods = [p for n in ("a", "b", "c") for p in hourly("etl", 20, NOW - 600.0, n)]
    quick = SlowStart(Reader(tmp_path / "quick.db", harness, reader.settings, clock=lambda: next(ticks)))
    reports = [quick.cycle(NOW)]
    while reports[-1].more:
        reports.append(quick.cycle(NOW + 100.0 * len(reports)))
    assert len(reports) > 1
    assert not any(report.long for report in reports)


def test_what_has_come_is_stored_between_analyses_and_told_by_the_next_reading(slow: SlowStart) -> None:
    first = slow.cycle(NOW)
    assert first.changed == {cronjob("etl", "a").key}
    limit = time.monotonic() + 30.0
    while slow.runs() != [20, 20, 20]:
        assert time.monotonic() < limit
        slow.reader.sources.store_read_ahead(NOW)
    second = slow.cycle(NOW + 100.0)
    assert second.changed >= {cronjob("etl", n).key for n in ("b", "c")}
    assert not second.more and not second.unread
    for namespace in slow.namespaces:
        spans = sorted(slow.asked(namespace))
        assert all(later[0] == earlier[1] for earlier, later in pairwise(spans)), "nothing twice, and no hole"


@pytest.mark.parametrize("slow", [0, 1], indirect=True)
def test_no_more_of_many_is_read_at_first_than_analyses_need(slow: SlowStart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "MAX_FULL_SPEED_WORKFLOWS", 0)
    slow.window = 3 * DAY
    slow.cycle(NOW, min_runs=5)
    assert min(since for since, _ in slow.asked("a")) == NOW - DELAY - 18 * 3600.0, "nothing was known of any"
    slow.cycle(NOW, min_runs=5)
    slow.cycle(NOW, min_runs=5)
    for namespace in ("b", "c"):
        since, until = slow.asked(namespace)[0]
        assert until == NOW - DELAY
        assert since == pytest.approx(NOW - 5 * 3600.0 - 900.0, abs=200.0), "five runs, one an hour"
    while slow.cycle(NOW, min_runs=5).more:
        pass
    assert slow.runs() == [20, 20, 20], "and all of it in the end"


def test_pods_that_end_between_two_cycles_are_read_although_the_past_was_asked_for_before(slow: SlowStart) -> None:
    slow.cycle(NOW)
    slow.await_asked("b")
    slow.reader.harness.pods += [pod("etl", NOW + 20.0, namespace) for namespace in slow.namespaces]
    while slow.cycle(NOW + 300.0).more:
        pass
    slow.cycle(NOW + 400.0)
    assert slow.runs() == [21, 21, 21]


@pytest.mark.parametrize("labelled", [False, True])
def test_what_was_asked_for_ahead_is_not_used_where_a_label_is_new(slow: SlowStart, labelled: bool) -> None:
    """The pods of a new workflow may not be found by what was asked for before it came."""
    slow.cycle(NOW)
    slow.await_asked("b")
    slow.others = (
        replace(cronjob("new", "b"), run_selector=(LabelRequirement("team", "In", ("x",)),) if labelled else ()),
    )
    while slow.cycle(NOW + 100.0).more:
        pass
    newest = slow.asked("b")[0][1]
    again = labelled or slow.between > 0  # what was stored before it came is read again for it
    assert sum(until == newest for _, until in slow.asked("b")) == 1 + again
    assert slow.runs() == [20, 20, 20]


@pytest.mark.parametrize("slow", [0], indirect=True)
def test_a_fault_of_what_was_asked_for_ahead_is_told_and_loses_nothing(slow: SlowStart) -> None:
    harness = slow.reader.harness
    harness.error, harness.fail_after = SourceUnreachable("reset"), 4  # spans: the day of one namespace
    assert slow.cycle(NOW).ok
    limit = time.monotonic() + 30.0
    while not harness.failed:
        assert time.monotonic() < limit
        time.sleep(0.005)
    harness.error = None
    report = slow.cycle(NOW + 1.0, due=False)
    assert (report.ok, report.message) == (False, "reset.")
    reports = [slow.cycle(NOW + 100.0)]
    while reports[-1].more:
        reports.append(slow.cycle(NOW + 100.0 + 100.0 * len(reports)))
    assert reports[-1].ok
    assert slow.runs() == [20, 20, 20]


def test_nothing_is_stored_between_analyses_in_a_history_that_has_begun_anew(slow: SlowStart, tmp_path: Path) -> None:
    slow.cycle(NOW)
    slow.await_asked("b")
    slow.reader.keeper.close()
    (tmp_path / "slow.db").unlink()
    slow.reader.keeper.renew()
    for _ in range(20):
        slow.reader.sources.store_read_ahead(NOW)
        time.sleep(0.002)
    assert slow.runs() == [0, 0, 0]
    while slow.cycle(NOW + 100.0).more:
        pass
    assert slow.runs() == [20, 20, 20]


@pytest.mark.parametrize("slow", [0], indirect=True)
def test_nothing_is_stored_between_analyses_of_a_cycle_that_did_not_read(slow: SlowStart) -> None:
    """What the cycle before knew of workflows may be otherwise by now."""
    slow.cycle(NOW)
    slow.await_asked("b")
    for _ in range(20):
        slow.reader.sources.store_read_ahead(NOW + 100.0)
        time.sleep(0.002)
    assert slow.runs() == [20, 0, 0]


def test_a_fault_between_analyses_is_left_to_the_next_reading(slow: SlowStart) -> None:
    harness = slow.reader.harness
    harness.error = SourceUnreachable("reset")
    harness.fail_after = 5  # spans: the day of one namespace, and one of the next
    assert slow.cycle(NOW).ok
    limit = time.monotonic() + 30.0
    while not harness.failed:
        assert time.monotonic() < limit
        slow.reader.sources.store_read_ahead(NOW)
        time.sleep(0.005)
    for _ in range(20):
        slow.reader.sources.store_read_ahead(NOW)
        time.sleep(0.002)
    report = slow.cycle(NOW + 100.0)
    assert (report.ok, report.message) == (False, "reset.")
    harness.error = None
    reports = [slow.cycle(NOW + 200.0)]
    while reports[-1].more:
        reports.append(slow.cycle(NOW + 200.0 + 100.0 * len(reports)))
    assert reports[-1].ok
    assert slow.runs() == [20, 20, 20]


def test_a_long_time_in_which_nothing_ended_is_read_at_once(reader: Reader, harness: Harness) -> None:
    harness.pods = hourly("etl", 3)
    assert reader.read("etl", window=7 * DAY).more  # the newest day has pods
    assert not reader.read("etl", window=7 * DAY).more
    assert reader.runs("etl") == 3


def test_what_was_read_is_not_read_again(reader: Reader, harness: Harness) -> None:
    harness.pods = hourly("etl", 10)
    reader.read_all("etl")
    harness.looks.clear()
    reader.now += 300.0
    report = reader.read("etl")
    assert [(kind, since, until) for kind, _, since, until in harness.looks] == [
        ("forward", NOW - DELAY, NOW + 300.0 - DELAY)
    ]
    assert report.queries == 10
    assert report.changed == frozenset()


def test_what_ended_while_a_namespace_waited_is_read_afterwards(reader: Reader, harness: Harness) -> None:
    """A namespace waits while definitions of its workflows are not known; the others are read on."""
    harness.pods = hourly("etl", 2) + hourly("load", 2, namespace="other")
    reader.read_all("etl")
    reader.read_all("load", namespace="other")
    for minutes in (10, 20, 30):
        reader.now = NOW + 60.0 * minutes
        harness.pods.append(pod("etl", reader.now - 300.0))
        report = reader.read("load", namespace="other")
    assert report.data_until == reader.now - DELAY, "the others' facts are complete"
    assert reader.runs("etl") == 2
    reader.read("etl", "fresh")
    assert reader.runs("etl") == 5


@pytest.mark.parametrize("restarts", [False, True])
def test_what_ended_while_a_workflow_could_not_be_listed_is_read_when_it_can(
    reader: Reader, harness: Harness, restarts: bool
) -> None:
    """Its kind is denied, missing or away for a day, while others of its namespace are read on."""
    harness.pods = hourly("etl", 40) + hourly("other", 40)
    reader.read_all("etl", "other")
    for step in range(1, 9):
        reader.now = NOW + 3 * 3600.0 * step
        harness.pods.append(pod("etl", reader.now - 300.0))
        if restarts:
            reader.restart()
        reader.read_all("other")
    assert reader.runs("etl") == 40
    first = reader.read("etl", "other")
    assert cronjob("etl").key in first.changed
    reader.read_all("etl", "other")
    assert reader.runs("etl") == 48
    harness.looks.clear()
    reader.now += 300.0
    reader.read("etl", "other")
    assert [kind for kind, *_ in harness.looks] == ["forward"], "it is read once"


def test_a_long_gap_of_a_workflow_is_read_in_parts_also_where_it_is_away_again(
    reader: Reader, harness: Harness
) -> None:
    harness.pods = hourly("etl", 20, end=NOW - 600.0)
    reader.read_all("etl", "other", window=7 * DAY)
    reader.now = NOW + 4 * DAY
    harness.pods += hourly("etl", 90, end=reader.now - 600.0)
    reader.read_all("other", window=7 * DAY)
    assert reader.read("etl", "other", window=7 * DAY).more, "a day of four"
    reader.restart()
    reader.now += 3600.0
    harness.pods.append(pod("etl", reader.now - 1200.0))
    reader.read_all("other", window=7 * DAY)
    reader.read_all("etl", "other", window=7 * DAY)
    assert reader.runs("etl") == 111


def test_strays_are_forgotten_with_the_last_profile_of_their_namespace(reader: Reader, harness: Harness) -> None:
    key = cronjob("etl").key
    reader.read("etl")
    reader.sources._sources["default"].state.placer._strays.learn(key, {"odd": "pods belong to no run"})
    assert reader.read("etl").unplaced == {key: ("pods belong to no run",)}
    assert reader.read("other", namespace="elsewhere").unplaced == {}
    assert reader.read("etl").unplaced == {}


def test_only_workflows_with_something_new_are_named(reader: Reader, harness: Harness) -> None:
    harness.pods = hourly("etl", 3) + hourly("other", 3)
    reader.read_all("etl", "other")
    harness.pods.append(pod("etl", NOW + 100.0))
    reader.now += 300.0
    assert {k.name for k in reader.read("etl", "other").changed} == {"etl"}


def test_a_restart_goes_on_where_the_last_process_stopped(reader: Reader, harness: Harness) -> None:
    harness.pods = hourly("etl", 40)
    reader.read("etl")
    lowest = min(since for _, _, since, _ in harness.looks)
    reader.restart()
    harness.looks.clear()
    reader.read("etl")
    assert max(until for kind, _, _, until in harness.looks if kind == "back") == lowest
    reader.read_all("etl")
    assert reader.runs("etl") == 40


@pytest.mark.parametrize(
    ("every", "back"),
    [(600.0, [600.0, 3600.0, 21_600.0]), (2.0, [600.0, 3600.0, 21_600.0]), (0.5, [600.0, 3600.0]), (0.2, [600.0])],
)
def test_a_restart_reads_again_until_it_has_seen_enough_pods(
    reader: Reader, harness: Harness, every: float, back: list[float]
) -> None:
    """Six hours of few pods, minutes of many: what ten thousand workflows end in six hours would not fit into memory."""
    reader.read_all("etl")
    mark = NOW - DELAY
    harness.pods = [pod("etl", mark - every * i) for i in range(int(min(6 * 3600.0 / every, 4000)))]
    reader.restart()
    harness.looks.clear()
    reader.now += 60.0
    reader.read("etl")
    spans = [(since, until) for kind, _, since, until in harness.looks if kind == "forward"]
    assert spans == list(zip([mark - b for b in back], [mark + 60.0, *(mark - b for b in back)], strict=False))


def test_pods_that_waited_for_their_run_in_another_shard_are_read_again(reader: Reader, harness: Harness) -> None:
    """They are in its memory: nobody stored them, and the watermark is beyond them."""
    second = MetricsSources(
        reader.settings,
        reader.keeper,
        stop=threading.Event(),
        connect=FakeClient,  # type: ignore[arg-type]
    )

    def read(shard: MetricsSources, *definitions: WorkflowDefinition, later: float) -> None:
        reader.now += later
        shard.collect(CollectionRequest("default", definitions, 2 * DAY, reader.now, due=True), lambda _: None)

    for shard, definition in ((reader.sources, PICKED), (second, cronjob("etl"))):
        read(shard, definition, later=0.0)
    owned = {"pod": "adhoc-x7k2z", "owner_kind": "Workflow", "owner_name": "adhoc-x7k2z"}
    harness.pods = [replace(pod("adhoc-x7k2z", NOW + 100.0, "data"), **owned)]  # type: ignore[arg-type]
    read(reader.sources, PICKED, later=300.0)
    assert reader.store.watermark("default", "data") == NOW + 300.0 - DELAY
    ended = RunRecord(PICKED.key, "adhoc-x7k2z", NOW, NOW + 350.0, Outcome.SUCCEEDED, Source.LIVE, ())
    reader.store.add({}, records=[ended])
    read(second, cronjob("etl"), PICKED, later=300.0)
    (run,) = reader.store.runs(PICKED.key, definition=PICKED)
    assert [step.uid for step in run.steps] == [harness.pods[0].uid]
    looks = len(harness.looks)
    read(second, cronjob("etl"), PICKED, later=300.0)
    assert len(harness.looks) <= looks + 2, "only once"


def test_a_workflow_that_comes_later_gets_its_past_too(reader: Reader, harness: Harness) -> None:
    harness.pods = hourly("etl", 30) + hourly("late", 30)
    reader.read_all("etl")
    assert reader.runs("late") == 0
    reader.now += 10.0
    reader.read_all("etl", "late", due=False)
    assert reader.runs("late") == 30
    assert reader.runs("etl") == 30


def test_a_failing_source_moves_nothing_and_says_why(reader: Reader, harness: Harness) -> None:
    harness.pods = hourly("etl", 10)
    reader.read_all("etl")
    harness.error, harness.fail_after = SourceUnreachable("connection refused", where="default", remedy="Start it"), 0
    reader.now += 300.0
    report = reader.read("etl")
    assert (report.ok, report.reason) == (False, Reason.SOURCE_UNREACHABLE)
    assert "Start it" in report.message
    assert report.data_until == NOW - DELAY
    assert not report.more
    harness.error = None
    harness.pods.append(pod("etl", NOW + 100.0))
    reader.now += 300.0
    assert reader.read("etl").ok
    assert reader.runs("etl") == 11


def test_a_source_that_never_answered_has_no_data_until(reader: Reader, harness: Harness) -> None:
    harness.error, harness.fail_after = AuthFailed("401"), 0
    report = reader.read("etl")
    assert (report.ok, report.reason, report.data_until) == (False, Reason.SOURCE_REFUSED, None)


def test_a_fault_in_the_middle_of_the_past_keeps_what_was_read(reader: Reader, harness: Harness) -> None:
    harness.pods = hourly("etl", 40)
    harness.error, harness.fail_after = SourceUnreachable("reset"), 2
    report = reader.read("etl")
    assert not report.ok
    assert reader.runs("etl") == 12
    assert report.data_until == NOW - DELAY
    assert [key.name for key in report.unread] == ["etl"]
    harness.error = None
    reader.read_all("etl")
    assert reader.runs("etl") == 40


def test_a_long_absence_is_caught_up_in_parts(reader: Reader, harness: Harness) -> None:
    harness.pods = hourly("etl", 3)
    reader.read_all("etl")
    reader.now += 1.5 * DAY
    harness.pods += hourly("etl", 30, reader.now - 600.0)
    report = reader.read("etl")
    assert report.more
    assert report.data_until is not None
    assert report.data_until < reader.now - DELAY
    assert reader.read_all("etl").data_until == reader.now - DELAY
    assert reader.runs("etl") == 33


def test_held_back_pods_hold_the_watermark_and_do_not_spin(reader: Reader, harness: Harness) -> None:
    reader.read_all("etl")
    harness.held_at = NOW - DELAY
    harness.looks.clear()
    reader.now += 300.0
    report = reader.read("etl")
    assert report.data_until == NOW - DELAY
    assert len(harness.looks) == 1
    assert not report.more


def test_namespaces_share_their_queries(reader: Reader, harness: Harness) -> None:
    definitions = tuple(cronjob("etl", f"ns-{i}") for i in range(20))
    request = CollectionRequest("default", definitions, DAY, NOW)
    while reader.sources.collect(request, lambda _: None).more:
        pass
    harness.looks.clear()
    reader.sources.collect(CollectionRequest("default", definitions, DAY, NOW + 300.0), lambda _: None)
    assert len(harness.looks) == 1
    assert len(harness.looks[0][1]) == 20


def test_a_namespace_that_is_too_large_is_read_apart_and_reported_alone(reader: Reader, harness: Harness) -> None:
    definitions = tuple(cronjob("etl", name) for name in ("huge", "quiet", "small"))

    def read(after: float) -> SourceReport:
        harness.looks.clear()
        return reader.sources.collect(CollectionRequest("default", definitions, DAY, NOW + after), lambda _: None)

    while read(0.0).more:
        pass
    harness.too_large = frozenset({"huge"})
    first = read(300.0)
    assert [names for _, names, _, _ in harness.looks] == [("huge", "quiet", "small")]
    assert (first.ok, first.data_until) == (True, NOW + 300.0 - DELAY)
    assert list(first.left_out) == ["huge"]
    assert "raise the limits of the metrics source" in first.left_out["huge"][0]
    second = read(600.0)
    assert [names for _, names, _, _ in harness.looks] == [("quiet", "small"), ("huge",)]
    assert second.left_out == first.left_out  # a steady text costs no write
    harness.too_large = frozenset()
    read(900.0)
    read(600.0 + 3_900.0)
    ended = read(600.0 + 4_200.0)
    assert [names for _, names, _, _ in harness.looks] == [("huge", "quiet", "small")]
    assert " between " in ended.left_out["huge"][0]
    assert read(2 * DAY).left_out == {}


def test_only_workflows_of_a_namespace_that_fills_the_history_are_told(reader: Reader, harness: Harness) -> None:
    reader.keeper.close()
    reader.keeper = reader.sources._history = HistoryProvider(str(reader.path), most=MemoryQuantity("5Ki"))  # type: ignore[assignment]
    harness.pods = [*hourly("etl", 40), *hourly("load", 5, namespace="other")]
    request = CollectionRequest("default", (cronjob("etl"), cronjob("load", "other")), 2 * DAY, NOW, True)
    for _ in range(3):
        report = reader.sources.collect(request, lambda _: None)
    assert report.notes(cronjob("load", "other").key) == ()
    (note,) = report.notes(cronjob("etl").key)
    assert note == (
        "the history keeps 5Ki of the runs of namespace demo: older ones of the workflows that take most are deleted; lower "
        "spec.analysis.maxRuns or spec.analysis.window there, or raise limits.historyPerNamespace"
    )
    assert 5 <= reader.runs("etl") < 20
    assert len(reader.keeper.runs(cronjob("load", "other"), limit=100, since=0.0, as_of=NOW)) == 5


def test_a_damaged_history_is_set_aside_and_filled_again(reader: Reader, harness: Harness, tmp_path: Path) -> None:
    harness.pods = hourly("etl", 10)
    reader.read_all("etl")
    reader.keeper.close()
    file = tmp_path / "history.db"
    file.write_bytes(b"\x00garbage" * 4096)
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"history.db{suffix}").unlink(missing_ok=True)
    reader.start()
    assert list(tmp_path.glob("history.db.damaged-*"))
    reader.read_all("etl")
    assert reader.runs("etl") == 10


def test_a_dropped_history_is_read_anew_when_its_profile_comes_back(reader: Reader, harness: Harness) -> None:
    harness.pods = hourly("etl", 10) + hourly("other", 10)
    reader.read_all("etl", "other")
    reader.keeper.tidy({cronjob("etl").key: (200, 14 * DAY)}, NOW)
    assert reader.runs("other") == 0
    reader.now += 3700.0
    reader.read_all("etl", "other")
    assert reader.runs("other") == 10


def test_tidying_keeps_the_newest_runs_inside_the_window(reader: Reader, harness: Harness) -> None:
    harness.pods = hourly("etl", 30)
    reader.read_all("etl")
    reader.keeper.tidy({cronjob("etl").key: (12, 14 * DAY)}, NOW)
    assert reader.runs("etl") == 12


def test_what_is_missing_is_reported_steadily(reader: Reader, harness: Harness) -> None:
    harness.pods = hourly("etl", 5)
    harness.missing = (
        MissingSeries("container_memory_working_set_bytes", "5 of 5 unknown", "keep it", essential=True),
    )
    reported = reader.read_all("etl").missing
    assert len(reported) == 1
    harness.missing = ()  # a look without pods judges nothing
    reader.now += 300.0
    assert reader.read("etl").missing == reported
    harness.pods += hourly("etl", 4, reader.now + 200.0)[:1] + [pod("etl", reader.now + 50.0 + i) for i in (0, 61, 122)]
    harness.missing = (
        MissingSeries("container_memory_working_set_bytes", "9 of 9 unknown", "keep it", essential=True),
    )
    reader.now += 600.0
    assert reader.read("etl").missing == reported  # other counts are no news
    harness.pods += [pod("etl", reader.now + 50.0 + i) for i in (0, 61, 122)]
    harness.missing = ()
    reader.now += 600.0
    assert reader.read("etl").missing == ()


def test_a_source_whose_pods_have_no_identity_is_not_read(
    reader: Reader, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it holds would look like a cluster in which nothing runs, and count as read."""
    unknown = MissingSeries("label uid of kube_pod_info", "no pod can be identified", "keep it", essential=True)
    with monkeypatch.context() as answers:
        answers.setattr(module.source_traits, "ask_labels", lambda *_: SeriesLabels(unknown, {}, judged=True))
        report = reader.read_all("etl")
    assert (report.ok, report.reason, harness.looks) == (False, Reason.SERIES_MISSING, [])
    assert "label uid of kube_pod_info: no pod can be identified. Keep it." in report.message
    harness.pods = hourly("etl", 5)
    reader.now += 300.0
    assert reader.read_all("etl").ok and reader.runs("etl") == 5


def test_a_source_whose_pods_lost_their_identity_is_not_read_before_they_have_it_again(
    reader: Reader, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody changes the scrape of kube-state-metrics while the operator runs."""
    harness.pods = hourly("etl", 5)
    monkeypatch.setattr(module.source_traits, "ask_labels", lambda *_: SeriesLabels(judged=True))
    assert reader.read_all("etl").ok
    looks = len(harness.looks)
    unknown = MissingSeries("label uid of kube_pod_info", "no pod can be identified", "keep it", essential=True)
    with monkeypatch.context() as answers:
        answers.setattr(module.source_traits, "ask_labels", lambda *_: SeriesLabels(unknown, {}, judged=True))
        for seconds in (3600.0, 300.0, 300.0):
            reader.now += seconds
            assert reader.read("etl").reason is Reason.SERIES_MISSING
    assert len(harness.looks) == looks
    reader.now += 300.0
    assert reader.read("etl").ok


def test_what_labels_explain_is_said_of_the_labels(
    reader: Reader, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.pods = hourly("etl", 5)
    names = ("container_cpu_usage_seconds_total", "container_memory_working_set_bytes")
    harness.missing = tuple(MissingSeries(name, "unknown", "keep the series", essential=True) for name in names)
    cause = MissingSeries("label pod of container series", "none has it", "keep the label", essential=True)
    found = SeriesLabels(lacking=dict.fromkeys(names, cause), judged=True)
    monkeypatch.setattr(module.source_traits, "ask_labels", lambda *_: found)
    assert reader.read_all("etl").missing == (str(cause),)


def test_a_blind_store_is_not_available_until_it_sees_again(reader: Reader, harness: Harness) -> None:
    harness.missing = (MissingSeries("kube_pod_info", "the store knows no pod", "scrape it", essential=True),)
    report = reader.read_all("etl")
    assert (report.ok, report.reason) == (False, Reason.SERIES_MISSING)
    assert "scrape it" in report.message
    harness.missing = ()
    reader.now += 300.0
    assert reader.read("etl").ok


def test_the_past_is_read_on_where_only_the_present_is_unknown(reader: Reader, harness: Harness) -> None:
    """Workflows of the night, when the operator is installed at noon."""
    harness.missing = (MissingSeries("kube_pod_info", "the store knows no pod", "scrape it", essential=True),)
    harness.pods = hourly("etl", 40)
    report = reader.read("etl")
    assert (report.reason, report.more) == (Reason.SERIES_MISSING, True)
    assert not reader.read_all("etl").more
    assert reader.runs("etl") == 40


@pytest.mark.parametrize("ahead", [600.0, 30 * DAY])
def test_a_clock_that_was_ahead_does_not_have_a_quiet_span_read_for_ever(
    reader: Reader, harness: Harness, ahead: float
) -> None:
    """The mark stayed in the future where nothing had ended in the first day of the window, which was then read again and
    again until that time came, and nothing else was."""
    harness.pods = hourly("etl", 30)
    reader.read_all("etl", window=5 * DAY)
    reader.now += ahead
    reader.read_all("etl", window=5 * DAY)
    reader.now -= ahead
    harness.pods += [pod("etl", NOW + 100.0)]
    reader.now += 300.0
    reader.read("etl", window=5 * DAY)
    asked = len(harness.looks)
    report = reader.read_all("etl", window=5 * DAY)
    assert (report.ok, report.data_until) == (True, reader.now - DELAY)
    assert len(harness.looks) - asked < 40
    assert reader.runs("etl") == 31


@pytest.mark.parametrize("again", [False, True])
def test_a_clock_that_was_so_far_ahead_that_a_source_showed_nothing_leaves_no_doubt_behind(
    reader: Reader, harness: Harness, again: bool
) -> None:
    """What had been read blindly counted as doubtful, and so did all that was read instead: nothing was, until a restart."""
    harness.pods = hourly("etl", 30)
    reader.read_all("etl")
    for _ in range(1 + again):
        harness.missing, pods, harness.pods = NO_PODS, harness.pods, []
        reader.now += 30 * DAY
        assert not reader.read_all("etl").ok
        harness.missing, harness.pods = (), [*pods, pod("etl", reader.now - 30 * DAY + 100.0)]
        reader.now -= 30 * DAY - 300.0
        report = reader.read_all("etl")
        assert (report.ok, report.data_until) == (True, reader.now - DELAY)
    reader.now += 300.0
    assert reader.read_all("etl").data_until == reader.now - DELAY
    assert reader.runs("etl") == 31 + again


def test_what_is_known_of_the_present_stays_known_where_the_clock_of_another_replica_was_ahead(
    reader: Reader, harness: Harness
) -> None:
    """All that had ended for days counted as still going on until the window had been read again from its begin."""
    harness.pods = hourly("etl", 40)
    reader.read_all("etl", window=5 * DAY)
    reader.now += 300.0
    harness.pods.append(pod("etl", reader.now - 200.0))
    reader.read_all("etl", window=5 * DAY)
    reader.now -= 250.0
    reader.restart()
    harness.looks.clear()
    assert reader.read("etl", window=5 * DAY).data_until == reader.now - DELAY
    reader.now += 600.0
    assert reader.read_all("etl", window=5 * DAY).data_until == reader.now - DELAY
    assert min(since for _, _, since, _ in harness.looks) < NOW - 4 * DAY, "all of it was read again"
    assert reader.runs("etl") == 41


def test_marks_of_a_process_that_took_over_are_no_clock_that_was_ahead(reader: Reader, harness: Harness) -> None:
    """This one was stopped in the middle of a cycle, and goes on with the time at which that began."""
    harness.pods = hourly("etl", 10)
    reader.read_all("etl")
    known = reader.store.watermarks("default")
    reader.store.set_watermark("default", "demo", reader.now + 300.0)
    reader.keeper.owns = lambda _: False
    reader.read("etl")
    assert reader.store.watermarks("default") == known | {"demo": reader.now + 300.0}
    reader.keeper.owns = lambda _: True
    reader.read_all("etl")
    assert reader.store.watermark("default", "demo") == reader.now - DELAY


def test_a_namespace_that_is_far_behind_leaves_the_others_where_they_are(reader: Reader, harness: Harness) -> None:
    """Its definitions could not be listed for days: what had ended since in any namespace counted as still going on."""
    both = cronjob("etl"), cronjob("load", "other")
    harness.pods = hourly("etl", 20) + hourly("load", 20, namespace="other")
    reader.read_all("etl")
    reader.read_all("load", namespace="other")
    reader.now += 3 * DAY
    reader.read_all("etl", window=7 * DAY)
    report = reader.sources.collect(CollectionRequest("default", both, 7 * DAY, reader.now), lambda _: None)
    assert report.complete_until("demo") == reader.now - DELAY
    behind = report.complete_until("other")
    assert behind is not None and behind < reader.now - DAY
    assert report.data_until == behind, "of the source as a whole"


NO_PODS = (MissingSeries("kube_pod_info", "the store knows no pod", "scrape it", essential=True),)


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("cycles", [1, 30])
def test_the_past_that_a_source_did_not_show_is_read_when_it_does(
    reader: Reader, harness: Harness, cycles: int, restarted: bool
) -> None:
    """A source that is asked for another tenant, or of which a part is away, answers with nothing: no run may be lost."""
    harness.missing = NO_PODS
    for _ in range(cycles):
        assert not reader.read_all("etl").ok
        reader.now += 300.0
    asked = len(harness.looks)
    reader.read("etl")
    assert len(harness.looks) == asked + 1, "the past is not asked for in every cycle"
    if restarted:
        reader.restart()
        reader.read_all("etl")
    harness.missing, harness.pods = (), hourly("etl", 40)
    reader.now += 300.0
    assert reader.read_all("etl").ok
    assert reader.runs("etl") == 40
    asked = len(harness.looks)
    reader.now += 300.0
    reader.read_all("etl")
    assert len(harness.looks) == asked + 1, "and once is enough"


@pytest.mark.parametrize("restarted", [False, True])
def test_what_ended_while_a_source_showed_nothing_is_read_when_it_does(
    reader: Reader, harness: Harness, restarted: bool
) -> None:
    harness.pods = hourly("etl", 30)
    reader.read_all("etl")
    harness.missing, harness.pods = NO_PODS, []
    for _ in range(40):
        reader.now += 300.0
        reader.read("etl")
    if restarted:
        reader.restart()
        reader.read_all("etl")
    harness.missing, harness.pods = (), [*hourly("etl", 30), *(pod("etl", NOW + 3600.0 * n) for n in (1, 2, 3))]
    reader.now += 300.0
    assert reader.read_all("etl").ok
    assert reader.runs("etl") == 33


@pytest.mark.parametrize("lacking", [False, True])
def test_what_a_source_does_not_show_a_second_time_is_read_as_well(
    reader: Reader, harness: Harness, lacking: bool
) -> None:
    """The first time it had been read again, after which empty answers counted: of the past that is still being read, and of
    the time in which definitions of some workflows were not known."""
    harness.pods = hourly("etl", 60) + hourly("load", 60)
    (reader.read_all if lacking else reader.read)("etl", "load", window=5 * DAY)
    pods = list(harness.pods)
    for shown in (False, True, False, True):
        reader.now += 300.0
        if lacking and not shown:
            harness.pods = pods = [*pods, pod("etl", reader.now - 120.0), pod("load", reader.now - 120.0)]
            reader.read("load", window=5 * DAY)
            reader.now += 60.0
        harness.missing, harness.pods = ((), pods) if shown else (NO_PODS, [])
        report = reader.read("etl", "load", window=5 * DAY)
        assert report.ok is shown
    reader.read_all("etl", "load", window=5 * DAY)
    reader.now += 300.0
    reader.read_all("etl", "load", window=5 * DAY)
    assert reader.runs("load") == len(pods) // 2
    assert reader.runs("etl") == len(pods) // 2


def test_a_quiet_namespace_beside_a_busy_one_is_not_read_again_and_again(
    reader: Reader, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Added at noon, with workflows of the night: alone it has no pods at present, with the other the source sees some."""
    real = harness._look

    def look(kind: str, client: Any, namespaces: Sequence[str], since: float, until: float) -> Collection:
        found = real(kind, client, namespaces, since, until)
        return replace(found, missing=NO_PODS) if tuple(namespaces) == ("quiet",) else found

    monkeypatch.setattr(harness, "_look", look)
    harness.pods = hourly("etl", 40, namespace="busy")

    def read(*namespaces: str) -> SourceReport:
        request = CollectionRequest("default", tuple(cronjob("etl", n) for n in namespaces), 2 * DAY, reader.now, True)
        for _ in range(50):
            if not (report := reader.sources.collect(request, lambda _: None)).more:
                return report
        raise AssertionError("it never ends")

    read("busy")
    asked = []
    for _ in range(6):
        reader.now += 300.0
        read("busy", "quiet")
        asked.append(len(harness.looks))
    assert asked[-1] - asked[-2] <= 2, "its past was read once more at most"


def test_a_long_absence_with_quiet_days_is_caught_up(
    reader: Reader, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = harness._look

    def look(kind: str, client: Any, namespaces: Sequence[str], since: float, until: float) -> Collection:
        found = real(kind, client, namespaces, since, until)
        return found if found.facts else replace(found, missing=NO_PODS)

    monkeypatch.setattr(harness, "_look", look)
    harness.pods = [pod("etl", NOW + DAY * n) for n in range(-2, 6)]
    reader.read_all("etl", window=7 * DAY)
    reader.now += 5 * DAY
    reader.read_all("etl", window=7 * DAY)
    reader.now += 300.0
    reader.read_all("etl", window=7 * DAY)
    assert reader.runs("etl") == 8


def test_where_one_namespace_is_quiet_what_is_known_of_the_others_is_kept(reader: Reader, harness: Harness) -> None:
    harness.pods = hourly("etl", 40)
    reader.read_all("etl")
    harness.missing, harness.pods = NO_PODS, []
    reader.now += 300.0
    reader.read("etl")
    harness.missing, harness.pods = (), hourly("etl", 40)
    asked = len(harness.looks)
    reader.now += 300.0
    reader.read_all("etl")
    assert {kind for kind, *_ in harness.looks[asked:]} == {"forward"}, "its past was read before"


def test_an_old_span_without_data_is_no_blindness(
    reader: Reader, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = harness._look

    def look(kind: str, client: Any, namespaces: Sequence[str], since: float, until: float) -> Collection:
        found = real(kind, client, namespaces, since, until)
        gone = (MissingSeries("kube_pod_info", "the store knows no pod", "scrape it", essential=True),)
        return found if until > NOW - DAY else Collection(found.since, found.complete_until, missing=gone)

    monkeypatch.setattr(harness, "_look", look)
    assert reader.read_all("etl", window=5 * DAY).ok


def test_unassigned_pods_are_counted_by_reason(reader: Reader, harness: Harness) -> None:
    harness.pods = hourly("etl", 3) + hourly("stranger", 4)
    report = reader.read("etl")
    assert sum(report.unassigned.values()) == 4


def test_labels_follow_engines_and_selectors() -> None:
    graph = define(
        {
            "apiVersion": "concertmaster.dev/v1alpha1",
            "kind": "WorkflowProfile",
            "metadata": {"name": "g", "namespace": "demo"},
            "spec": {
                "graph": {
                    "podRunLabel": "example.com/run",
                    "steps": [{"name": "a", "podSelector": {"matchLabels": {"step": "a"}}}],
                }
            },
        }
    )
    assert graph is not None
    assert graph.engine is GRAPH
    found = labels_in_use([graph])
    assert found.run_keys == ("example.com/run",)
    assert found.keys == ("example.com/run", "step")
    assert labels_in_use([cronjob("etl")]).keys == ("batch.kubernetes.io/job-completion-index",)


def naming(keys: int, namespace: str, name: str) -> WorkflowDefinition:
    """A workflow whose steps select pods by so many labels of its own."""
    long = f"{'x' * 60}.example.com"
    selector = [LabelRequirement(f"{long}/{namespace}-{name}-{i}", "Exists") for i in range(keys)]
    steps = tuple(StepSpec(f"s{i}", selector=(term,)) for i, term in enumerate(selector))
    key = WorkflowKey(namespace, "WorkflowProfile", name)
    return WorkflowDefinition(key, GRAPH, WorkflowGraph(steps), run_label=f"example.com/{name}")


def test_labels_of_one_namespaces_profiles_do_not_make_everybodys_queries_too_long(
    reader: Reader, harness: Harness
) -> None:
    """Each key stands in a query several times, and a metrics source refuses one of 10 MB."""
    flood = [naming(500, "theirs", f"p{i}") for i in range(3)]
    request = CollectionRequest("default", (cronjob("etl"), naming(3, "other", "q"), *flood), DAY, NOW, True)
    while (report := reader.sources.collect(request, lambda _: None)).more:
        pass
    assert {names for _, names, _, _ in harness.looks} == {("demo", "other"), ("theirs",)}
    assert list(report.left_out) == ["theirs"]
    assert "select pods by more labels than one query can name" in report.left_out["theirs"][0]
    assert len(affordable(flood).keys) == 1_002
    assert affordable(flood[:2]) == labels_in_use(flood[:2])


def test_names_of_one_namespaces_live_pods_do_not_make_everybodys_queries_too_long() -> None:
    oversize = OversizedNamespaces()
    pods = {"a": ["x"], "b": [f"b{n:0249}" for n in range(9_000)], "c": [f"c{n:0249}" for n in range(9_000)]}
    oversize.learn_words([cronjob("etl", name) for name in pods], lambda names: pods[next(iter(names))])
    assert oversize.groups(pods, NOW) == [["a", "b"], ["c"]]
    assert len(nameable([f"{n:0250}" for n in range(20_000)])) == 10_000


def test_labels_that_tell_runs_apart_are_counted_in_proportion_to_their_number() -> None:
    """Everybody's cycle waits for it, and ten thousand profiles may each have one of their own."""

    def counted(labels: int) -> Callable[[], Mapping[str, int]]:
        keys = [key(n) for n in range(labels)]
        return lambda: NeededLabels(tuple(keys), tuple(keys[::2])).words

    key = "example.com/{:05}".format
    words = counted(20_000)()
    assert words[key(0)] - words[key(1)] == 25_000
    assert growth(counted, 1_000) < 2.2


def test_a_namespace_with_too_many_labels_is_read_by_itself_even_if_others_use_the_same() -> None:
    """The labels that are left out of its queries would be missing for the others."""
    oversize = OversizedNamespaces()
    flood = [naming(500, "a", f"p{i}") for i in range(3)]
    oversize.learn_words([*flood, replace(flood[2], key=replace(flood[2].key, namespace="b"))])
    assert oversize.groups(["a", "b", "c"], NOW) == [["a"], ["b", "c"]]


def test_a_label_that_tells_runs_apart_for_one_of_the_namespaces_that_use_it_costs_their_query_as_much() -> None:
    shared = [f"example.com/run-{i}" for i in range(60)]
    plain = StepSpec("s", selector=tuple(LabelRequirement(key, "Exists") for key in shared))
    keys = [WorkflowKey("a", "WorkflowProfile", "p"), *(WorkflowKey("b", "WorkflowProfile", key) for key in shared)]
    selecting = WorkflowDefinition(keys[0], GRAPH, WorkflowGraph((plain,)), run_label="example.com/run")
    telling = [WorkflowDefinition(key, GRAPH, WorkflowGraph(()), run_label=key.name) for key in keys[1:]]
    others = [
        WorkflowDefinition(WorkflowKey("c", "WorkflowProfile", str(i)), GRAPH, WorkflowGraph(()), run_label=f"c-{i}")
        for i in range(60)
    ]
    oversize = OversizedNamespaces()
    oversize.learn_words([selecting, *telling, *others])
    assert oversize.groups(["a", "b", "c"], NOW) == [["a", "b"], ["c"]]


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("Workflow", "workflows.argoproj.io/workflow-template"),
        ("PipelineRun", "tekton.dev/pipelineTask"),
        ("Job", "batch.kubernetes.io/job-completion-index"),
        ("JobSet", "jobset.sigs.k8s.io/restart-attempt"),
    ],
)
def test_labels_that_place_pods_of_every_engine_are_asked_for(kind: str, wanted: str) -> None:
    profile = define(
        {
            "apiVersion": "concertmaster.dev/v1alpha1",
            "kind": "WorkflowProfile",
            "metadata": {"name": "p", "namespace": "demo"},
            "spec": {"runSelector": {"kind": kind, "namePrefix": "p-"}},
        }
    )
    assert profile is not None
    assert wanted in labels_in_use([profile]).keys


def test_a_failed_job_tells_the_outcome_its_deleted_pods_do_not(reader: Reader, harness: Harness) -> None:
    """A Job that runs into its deadline deletes its pods: they vanish without an end."""
    gone = replace(pod("etl", NOW - 7200.0), phase=None)
    gone = replace(gone, containers=(replace(gone.containers[0], finished=None, reason=None),), vanished=True)
    harness.pods = [gone]
    name = gone.owner_name or ""
    harness.jobs = (JobFact("demo", name, "CronJob", "etl", succeeded=None, started=gone.created),)
    reader.read_all("etl")
    assert [r.outcome for r in reader.store.runs(cronjob("etl").key)] == [Outcome.UNKNOWN]
    harness.jobs = (replace(harness.jobs[0], succeeded=False),)
    reader.restart()
    harness.pods = []
    reader.now += 600.0
    assert cronjob("etl").key in reader.read("etl").changed
    assert [r.outcome for r in reader.store.runs(cronjob("etl").key)] == [Outcome.FAILED]


def test_runs_before_the_first_reading_are_of_the_definition_since_its_last_write(
    reader: Reader, harness: Harness
) -> None:
    harness.pods = hourly("etl", 10)
    definition = replace(cronjob("etl"), written=NOW - 600.0 - 3.5 * 3600.0)
    reader.sources.collect(CollectionRequest("default", (definition,), DAY, NOW, True), lambda _: None)
    runs = sorted(reader.store.runs(definition.key), key=lambda run: run.start or 0.0)
    assert [run.fingerprint for run in runs] == [None] * 6 + [definition.fingerprint] * 4


def _written(reader: Reader) -> int:
    """Rows that the history has taken or changed so far."""
    return int(reader.store._db.total_changes)


def test_a_look_in_which_nothing_ended_writes_nothing(reader: Reader, harness: Harness) -> None:
    harness.pods = hourly("etl", 5)
    reader.read_all("etl")
    reader.now += 60.0
    reader.read("etl")
    before = _written(reader)
    for _ in range(8):
        reader.now += 60.0
        assert reader.read("etl").data_until == reader.now - DELAY
    assert _written(reader) == before
    last = harness.looks[-1]
    assert (last[2], last[3]) == (reader.now - 60.0 - DELAY, reader.now - DELAY), "only the new minute is read"


def test_what_a_quiet_hour_read_is_kept_every_ten_minutes(reader: Reader, harness: Harness) -> None:
    reader.read_all("etl")
    for _ in range(60):
        reader.now += 60.0
        reader.read("etl")
    reader.restart()
    kept = reader.store.watermark("default", "demo")
    assert kept is not None
    assert 0 <= reader.now - DELAY - kept <= 600.0


def test_pods_that_ended_after_quiet_looks_are_read_once_and_kept(reader: Reader, harness: Harness) -> None:
    reader.read_all("etl")
    for _ in range(3):
        reader.now += 60.0
        reader.read("etl")
    harness.pods = [pod("etl", reader.now - DELAY + 10.0)]
    reader.now += 60.0
    reader.read("etl")
    assert reader.runs("etl") == 1
    assert reader.store.watermark("default", "demo") == reader.now - DELAY
    reader.restart()
    reader.read("etl")
    assert reader.runs("etl") == 1


def test_a_history_that_was_lost_is_read_from_its_own_mark(reader: Reader, harness: Harness) -> None:
    harness.pods = hourly("etl", 5)
    reader.read_all("etl")
    for _ in range(3):
        reader.now += 60.0
        reader.read("etl")
    reader.keeper.close()
    reader.path.unlink()
    for beside in reader.path.parent.glob("history.db-*"):
        beside.unlink()
    reader.start()
    reader.read_all("etl")
    assert reader.runs("etl") == 5


def test_pods_that_were_read_whole_are_left_out_of_the_looks_after(reader: Reader, harness: Harness) -> None:
    harness.pods = hourly("etl", 3)
    reader.read_all("etl")
    harness.pods += [new := pod("etl", NOW), vanished := replace(pod("etl", NOW - 30.0), phase=None, uid="gone")]
    reader.now += 120.0
    reader.read("etl")
    reader.now += 60.0
    reader.read("etl")
    assert new.uid in harness.left[-1]
    assert vanished.uid not in harness.left[-1]
    assert harness.pods[2].uid not in harness.left[-1], "ended long before the look"
    for _ in range(2):
        reader.now += 3600.0
        reader.read("etl")
    assert new.uid not in harness.left[-1], "no look reaches back to it"


def test_nothing_grows_with_namespaces_that_are_not_read_any_more(reader: Reader, harness: Harness) -> None:
    held = []
    for number in range(4):
        harness.pods = [pod("etl", reader.now, f"preview-{number}")]
        for _ in range(3):
            reader.now += 60.0
            reader.read_all("etl", namespace=f"preview-{number}")
        reader.keeper.tidy({cronjob("etl", f"preview-{number}").key: (200, 14 * DAY)}, reader.now)
        held.append(elements(reader.sources))
    assert held[1]["SettledPods._ends"] == 2  # a namespace with its pod
    by_moment = {"MomentReader._read", "QuotaMoment.held"}  # of two weeks
    assert {name for name, number in held[-1].items() if number > held[1][name]} <= by_moment


def test_pods_of_no_workflow_are_asked_for_again(reader: Reader, harness: Harness) -> None:
    """Their profile may be made at any moment."""
    reader.read_all("etl")
    harness.pods = [pod("etl", NOW), other := pod("unknown", NOW)]
    for _ in range(2):
        reader.now += 120.0
        reader.read("etl")
    assert len(harness.left[-1]) == 1
    assert other.uid not in harness.left[-1]


def test_what_is_read_again_is_read_whole(reader: Reader, harness: Harness) -> None:
    """From an earlier moment than it was read up to, or into another history."""
    reader.read_all("etl")
    harness.pods = [pod("etl", NOW)]
    for _ in range(2):
        reader.now += 120.0
        reader.read("etl")
    assert harness.left[-1]
    reader.store.set_watermark("default", "demo", NOW - 600.0)
    reader.now += 60.0
    reader.read("etl")
    assert harness.left[-1] == frozenset()
    reader.now += 60.0
    reader.read("etl")
    assert harness.left[-1]
    reader.keeper.renew()
    reader.now += 60.0
    reader.read("etl")
    assert harness.left[-1] == frozenset()
