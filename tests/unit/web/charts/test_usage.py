"""Bars of usage against request and limit."""

from __future__ import annotations

from concertmaster.web.charts.usage import usage_bars

GI = float(1 << 30)


def test_requests_and_limits_are_shown_as_they_are_set_and_drawn_to_scale() -> None:
    container = {
        "name": "main",
        "memorySpread": [1.0 * GI, 1.1 * GI, 1.12 * GI, 1.15 * GI, 1.2 * GI],
        "memoryRequestBytes": 2.5 * GI,
        "memoryLimitBytes": 4 * GI,
    }
    line = "search/main requests.memory: 2560Mi -> 1792Mi (peak 1.2Gi, headroom 50%)"
    (bar,) = usage_bars([{"name": "search", "containers": [container]}], [line])
    assert bar.text == (
        "peak per run: median 1.1Gi, 1Gi to 1.2Gi; request 2560Mi; limit 4Gi; recommended request 1792Mi"
    )
    assert bar.limit == bar.width - 2
    assert bar.proposed is not None
    assert bar.request is not None
    assert bar.spread[-1] < bar.proposed < bar.request < bar.limit
