"""Writing beside the analysis: what is written while the next batch is made, in which order, and what is remembered."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from concertmaster.controller.discovery.resolved_profile import most_valuable_first
from concertmaster.core.model import Interval
from concertmaster.core.model.recommendations import Impact
from concertmaster.kube.objects import PROFILES
from concertmaster.report.impact import line
from concertmaster.settings.model import Limits
from tests.support.controller.harness import INTERVAL, Bed, run


def _bed(workflows: int) -> Bed:
    bed = Bed()
    for k in range(workflows):
        bed.cronjob(f"w{k:03}")
        bed.profile(f"w{k:03}", f"w{k:03}")
        bed.history.runs_of[f"w{k:03}"] = [run(f"w{k:03}", 1)]
    return bed


def test_the_next_batch_is_analysed_while_the_last_one_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    bed, analysed = _bed(120), threading.Event()
    real, seen = bed.writer.write, []

    def write(updates: Any, done: Any = None) -> Any:
        if not seen:  # the first batch is not written before the second was begun
            assert analysed.wait(20), "nothing was analyzed while the batch was written"
        seen.append(len(updates))
        return real(updates, done)

    def analyze(request: Any) -> Any:
        if len(bed.analyzer.requests) >= 60:
            analysed.set()
        return type(bed.analyzer).__call__(bed.analyzer, request)

    monkeypatch.setattr(bed.writer, "write", write)
    bed.analyze = analyze
    bed.run()
    assert [n for n in seen if n > 1] == [50, 50, 20]
    assert all(bed.status(name=f"w{k:03}")["advice"] for k in range(120))
    bed.writes()
    bed.run(seconds=INTERVAL)
    assert bed.writes() == []


def test_all_is_written_and_remembered_before_the_cycle_ends() -> None:
    bed = _bed(3)
    bed.client.on_request = lambda method, _: time.sleep(0.05) if method == "PATCH" else None
    bed.run()
    known = {e.name: e.status.digest for e in bed.cache.snapshot().profiles}
    assert None not in known.values()


def test_workflows_without_a_word_come_first_then_those_worth_most() -> None:
    bed = _bed(3)
    for name, minutes in {"w000": 60.0, "w001": 6000.0}.items():
        impact = line(Impact(run_minutes=Interval(minutes / 2, minutes, 2 * minutes)), "")
        found = bed.client.objects[PROFILES.path("demo", name)]
        found["status"] = {
            "dataUntil": "2025-10-09T08:53:20Z",
            "recommendations": [{"id": f"x.{name}", "state": "Active", "impact": impact}],
        }
    bed.sync()
    shot = bed.snapshots.build(lambda: None)
    ordered = most_valuable_first(bed.profile_reconciler.profiles(shot))
    assert [s.entry.name for s in ordered] == ["w002", "w001", "w000"]


def test_fifty_statuses_a_second_are_written_by_default() -> None:
    assert Limits().status_writes_per_second >= 50
