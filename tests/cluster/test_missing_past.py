"""A real Prometheus whose past is not whole, or whose clock is not the operator's: no run is lost that it has or had."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.chaos.bed import STEPS
from benchmarks.chaos.proxy import proxy
from benchmarks.chaos.stores import FAULTS, LONG, LOST, MISSING, resets, without
from benchmarks.scale.fleet_workflows import DAY, lives, template
from concertmaster.controller.collection import backfill as reading
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.collection.sources import MetricsSources
from concertmaster.controller.source_report import CollectionRequest
from concertmaster.engines import define
from concertmaster.prometheus.reader.process import Readers
from concertmaster.settings import parse
from testbed.series.lives import Grid, PodLife
from testbed.series.openmetrics import render
from testbed.services.prometheus import PrometheusServer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

WORKFLOWS, ENDED = 3, LONG - 1  # the last run of each is still to come


def past(end: float) -> list[PodLife]:
    return list(lives(WORKFLOWS, STEPS, LONG, end, LONG, spread=60.0))


@contextmanager
def holding(*texts: Iterable[str]) -> Iterator[str]:
    """The address of a Prometheus with this history."""
    server = PrometheusServer()
    for text in texts:
        server.load_openmetrics(text)
    with server:
        yield server.url


class Reader:
    """Reads into one history, with a process of its own each time."""

    def __init__(self, file: Path, readers: Readers | None = None) -> None:
        self.file = file
        self.readers = readers
        self.apart = 0  # readings after which a process was reading
        found = (define(template(f"w{n:03}", STEPS)) for n in range(WORKFLOWS))
        self.definitions = tuple(definition for definition in found if definition is not None)

    def read(self, url: str, clock: float = 0.0) -> list[int]:
        """The runs of each workflow that are known afterwards. ``clock``: seconds by which the operator's is ahead."""
        settings = parse(
            f'sources: [{{name: default, url: "{url}", delaySeconds: 5}}]\nlimits: {{backfill: {LONG}d}}\n'
        )
        keeper = HistoryProvider(str(self.file))
        sources = MetricsSources(settings, keeper, stop=threading.Event(), readers=self.readers)
        try:
            for _ in range(60):
                request = CollectionRequest("default", self.definitions, 30 * DAY, time.time() + clock, True)
                more = sources.collect(request, lambda _: None).more
                sources.store_read_ahead(request.now)
                self.apart += self.readers is not None and self.readers.running
                if not more:
                    break
            else:
                raise AssertionError("it never ends")
            return [len(keeper.runs(d, limit=1000, since=0.0, as_of=time.time() + DAY)) for d in self.definitions]
        finally:
            sources.close()
            keeper.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, float]]:
    """Address, a history with all of it, and the end of the metrics."""
    end = time.time() + 3600.0
    file = tmp_path_factory.mktemp("whole") / "history.db"
    with holding(render(past(end), Grid(end - LONG * DAY, end))) as url:
        assert Reader(file).read(url) == [ENDED] * WORKFLOWS
        yield url, file, end


@pytest.fixture
def known(whole: tuple[str, Path, float], tmp_path: Path) -> Reader:
    """With a copy of that history."""
    shutil.copy(whole[1], tmp_path / "known.db")
    return Reader(tmp_path / "known.db")


def test_two_weeks_that_are_missing_take_only_their_own_runs(
    whole: tuple[str, Path, float], known: Reader, tmp_path: Path
) -> None:
    end = whole[2]
    older, newer = without(past(end), end)
    since, until = (end - days * DAY for days in MISSING)
    with holding(render(older, Grid(end - LONG * DAY, since)), render(newer, Grid(until, end))) as url:
        assert known.read(url) == [ENDED] * WORKFLOWS, "the history has what the source has not any more"
        assert Reader(tmp_path / "new.db").read(url) == [ENDED - LOST] * WORKFLOWS


def test_a_long_past_is_read_by_a_process_of_its_own_as_it_is_without_one(
    whole: tuple[str, Path, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LONG", "_MAX_SECONDS_SLOW"):
        monkeypatch.setattr(reading, name, -1.0)  # every reading of the past is long, and a chunk at a time
    readers = Readers(lambda: 2, lambda: None)
    new = Reader(tmp_path / "new.db", readers)
    assert new.read(whole[0]) == [ENDED] * WORKFLOWS
    assert new.apart > 1
    assert not readers.running


def test_counters_that_begin_anew_cost_no_run(whole: tuple[str, Path, float], tmp_path: Path) -> None:
    end = whole[2]
    with holding(resets(render(past(end), Grid(end - LONG * DAY, end)))) as url:
        assert Reader(tmp_path / "new.db").read(url) == [ENDED] * WORKFLOWS


@pytest.mark.parametrize("clock", [600.0, -600.0], ids=["ours is ahead", "its is ahead"])
def test_a_clock_that_is_ten_minutes_wrong_costs_no_run(
    whole: tuple[str, Path, float], known: Reader, tmp_path: Path, clock: float
) -> None:
    new = Reader(tmp_path / "new.db")
    for reader in (known, new):
        reader.read(whole[0], clock)
        assert min(reader.read(whole[0])) >= ENDED  # a clock ahead sees the beginning of the run to come


def test_a_source_that_shows_nothing_at_first_is_read_whole_afterwards(
    whole: tuple[str, Path, float], tmp_path: Path
) -> None:
    nothing: Callable[[str], object] = FAULTS["answers nothing at all"]
    new = Reader(tmp_path / "new.db")
    with proxy(whole[0]) as source:
        source.fault = nothing  # type: ignore[assignment]
        assert new.read(source.url) == [0] * WORKFLOWS
        source.fault = lambda _: None
        assert new.read(source.url) == [ENDED] * WORKFLOWS
