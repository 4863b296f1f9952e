"""Rows of the Gantt chart: drawn to scale, without gaps, and those of the critical path first where there are too many."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.api.views.runs import PodRow, RunView
from concertmaster.core.model import Outcome
from concertmaster.web.charts.gantt import MAX_ROWS, gantt_chart


def pod(step: str = "load", **fields: Any) -> PodRow:
    times = {"created": 0.0, "scheduled": 10.0, "started": 15.0, "finished": 75.0}
    return PodRow(**{"step": step, "outcome": Outcome.SUCCEEDED, **times, **fields})


def a_run(*pods: PodRow, seconds: float | None = 100.0, more: int = 0) -> RunView:
    return RunView.model_construct(pods=pods, duration_seconds=seconds, more_pods=more)


def test_a_pod_waits_starts_and_works_for_as_long_as_its_bars_say() -> None:
    chart = gantt_chart(a_run(pod(item="eu", attempt=1, node="n1", reason="OOMKilled", outcome=Outcome.FAILED)))
    assert chart is not None
    (row,) = chart.rows
    scale = 690 / 100
    assert [(b.kind, b.x - chart.label_width, b.width) for b in row.bars] == [
        ("wait", 0.0, pytest.approx(10 * scale)),
        ("start", pytest.approx(10 * scale), pytest.approx(5 * scale)),
        ("work", pytest.approx(15 * scale), pytest.approx(60 * scale)),
    ]
    assert (row.failed, row.label) == (True, "load/eu #2")
    assert row.title == ("load/eu #2: Failed (OOMKilled), scheduling latency 10s, startup 5s, execution 1m00s, on n1")
    assert chart.ticks[-1] == (pytest.approx(chart.label_width + 90 * scale), "1m30s")


@given(st.lists(st.floats(0, 1e5), min_size=4, max_size=4).map(sorted), st.integers(0, 15))
def test_bars_follow_each_other_within_the_chart_whatever_is_known_of_a_pod(times: list[float], known: int) -> None:
    names = ("created", "scheduled", "started", "finished")
    fields = {n: t if known >> i & 1 else None for i, (n, t) in enumerate(zip(names, times, strict=True))}
    chart = gantt_chart(a_run(pod(**fields), seconds=None))
    if fields["finished"] is None or (fields["created"] is None and fields["started"] is None):
        assert chart is None
        return
    assert chart is not None
    bars = chart.rows[0].bars
    assert all(bar.width > 0 for bar in bars)
    assert all(a.x + a.width == pytest.approx(b.x) for a, b in pairwise(bars))
    assert chart.label_width <= bars[0].x
    assert bars[-1].x + bars[-1].width <= chart.width


def test_of_too_many_pods_the_critical_ones_are_drawn_in_the_order_of_the_run() -> None:
    pods = [pod(f"s{n}", critical=n % 50 == 49) for n in range(200)]
    chart = gantt_chart(a_run(*pods, more=7))
    assert chart is not None
    assert len(chart.rows) == MAX_ROWS
    assert [r.label for r in chart.rows if r.critical] == ["s49", "s99", "s149", "s199"]
    assert [r.label for r in chart.rows] == sorted((r.label for r in chart.rows), key=lambda label: int(label[1:]))
    assert chart.left_out == 200 - MAX_ROWS + 7
    assert len({r.y for r in chart.rows}) == MAX_ROWS
    assert max(r.y for r in chart.rows) + chart.row_height <= chart.height


def test_a_name_too_long_for_its_column_is_whole_in_the_title() -> None:
    long = "extract-transform-and-load-everything-of-a-day"
    chart = gantt_chart(a_run(pod(long)))
    assert chart is not None
    assert chart.rows[0].label == f"{long[:31]}…"
    assert chart.rows[0].title.startswith(f"{long}: ")
