"""A regression stays reported when all runs that are kept come after it, from the daily rows in the history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.profiles.analysis.analyzer import analyze_profile
from concertmaster.controller.profiles.request import AnalysisRequest, ProfileAnalysis
from concertmaster.core.model import WorkflowKey
from concertmaster.core.units import DAY, HOUR
from tests.support.controller import harness
from tests.support.controller.fakes import MemoryClient
from tests.support.data.history_rows import ran

KEY = WorkflowKey("demo", "CronJob", "etl")
FIRST = 20_000 * DAY  # midnight
KEPT = 36  # runs: of an hourly workflow those of a day and a half
SINCE = 9 * 24 + 17  # hours: the change, at 17:00 of the tenth day


@dataclass
class Analyzer:
    """The real one, as the harness counts its time."""

    clock: float = 0.0
    requests: list[AnalysisRequest] = field(default_factory=list)

    def __call__(self, request: AnalysisRequest) -> ProfileAnalysis:
        self.requests.append(request)
        return analyze_profile(request)


class Provider(HistoryProvider):
    """The history, which the harness also asks for outages."""

    def watermarks(self, source: str) -> Mapping[str, float]:
        return self.store.watermarks(source)

    def set_watermark(self, source: str, shard: str, until: float) -> None:
        self.store.set_watermark(source, shard, until)

    def drop_watermarks(self, source: str, shards: Iterable[str]) -> None:
        self.store.drop_watermarks(source, shards)


@dataclass
class Operator:
    """The cycles of an operator with its history at ``path``, of a workflow whose run of hour n takes ``seconds(n)``."""

    path: Path
    seconds: Callable[[int], float]
    hours: int = 0
    client: MemoryClient | None = None

    def start(self) -> None:
        self.history = Provider(str(self.path))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(harness, "FakeHistory", lambda: self.history)
            patch.setattr(harness, "FakeAnalyzer", Analyzer)
            self.bed = harness.Bed(client=self.client)
        self.bed.now = FIRST + self.hours * HOUR
        if self.client is None:
            self.bed.cronjob()
            self.bed.profile()
            self.bed.policy(selector={}, analysis={"maxRuns": KEPT}, materiality={"runMinutes": 1})
        self.client = self.bed.client

    def stop(self) -> None:
        self.history.close()

    def until(self, hours: int, every: int = 12) -> None:
        """So many hours after the first run, a cycle each few hours."""
        while self.hours < hours:
            for n in range(self.hours, self.hours + every):
                begun = FIRST + n * HOUR
                ended = begun + self.seconds(n)
                run = ran(f"u{n}", begun, "job", scheduled=begun, started=begun + 1.0, finished=ended)
                self.history.store.add({KEY: {f"etl-{n}": [replace(run, pod=f"etl-{n}-x")]}})
            self.hours += every
            self.bed.sources.changed.add(KEY)
            now = FIRST + self.hours * HOUR
            self.bed.sources.reports["default"] = harness.report(data_until=now)
            self.bed.run(seconds=now - self.bed.now)

    def reported(self) -> list[dict[str, Any]]:
        status = self.bed.status()
        return [r for r in status["recommendations"] if r["id"].startswith("degradation") and r["state"] == "Active"]


def noisy(n: int) -> float:
    return 1.0 + 0.03 * ((n * 7919) % 13 - 6) / 6


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    made = Operator(tmp_path / "history.db", lambda n: 600.0 * noisy(n) * (1.4 if n >= SINCE else 1.0))
    made.start()
    yield made
    made.stop()


def dates(operator: Operator) -> list[str]:
    """What the actions say of the time of the change."""
    return [item["action"].split(" since ")[1] for item in operator.reported()]


def test_it_is_reported_until_its_day_leaves_the_window(operator: Operator) -> None:
    operator.until(10 * 24, every=24)
    assert dates(operator) == ["2024-10-13 17:14 UTC (+40%)"]
    (first,) = operator.reported()
    for days in (10.5, 11, 11.5, 12):  # a day and a half after it, no run before it is kept
        operator.until(int(days * 24))
        assert dates(operator) == ["2024-10-13 (+40%)"]
    operator.until(17 * 24, every=24)
    operator.stop()
    operator.start()
    for days in (18, 24):
        operator.until(days * 24, every=24)
        (shown,) = operator.reported()
        assert shown["since"] == first["since"]
        assert shown["action"].endswith("since 2024-10-13 (+40%)")
        assert " instead of 10m00s (medians of" in shown["because"]
    operator.until(26 * 24, every=24)  # withdrawn once it is missing for a day
    assert operator.reported() == []


def test_it_ends_when_runs_are_as_before(operator: Operator) -> None:
    operator.seconds = lambda n: 600.0 * noisy(n) * (1.4 if SINCE <= n < 15 * 24 else 1.0)
    operator.until(15 * 24, every=24)
    assert dates(operator) == ["2024-10-13 (+40%)"]
    operator.until(17 * 24, every=24)
    assert operator.reported() == []
