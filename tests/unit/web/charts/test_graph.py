"""The drawn step graph: columns by depth, no line back, no crossing that order avoids, and the critical path marked."""

from __future__ import annotations

from typing import Any

from concertmaster.web.charts.graph import MAX_STEPS, GraphChart, graph_chart


def step(name: str, *after: str, share: float | None = None, p50: float | None = None) -> dict[str, Any]:
    return {"name": name, "dependsOn": list(after), "criticalShare": share, "durationSeconds": {"p50": p50}}


def drawn(*steps: dict[str, Any]) -> GraphChart:
    chart = graph_chart(steps)
    assert chart is not None
    return chart


def test_a_step_stands_right_of_what_it_depends_on_and_beside_its_own_chain() -> None:
    """The steps come in an order in which the chains would cross."""
    chart = drawn(step("a"), step("b"), step("b2", "b"), step("a2", "a"), step("join", "a2", "b2"))
    at = {n.text: n for n in chart.nodes}
    assert at["a"].x == at["b"].x < at["a2"].x == at["b2"].x < at["join"].x
    assert at["a"].y == at["a2"].y < at["b"].y == at["b2"].y
    assert len(chart.edges) == 4
    last = max(chart.nodes, key=lambda n: n.x)
    lowest = max(chart.nodes, key=lambda n: n.y)
    assert chart.width - (last.x + chart.node_width) == at["a"].x
    assert chart.height - (lowest.y + chart.node_height) == at["a"].y


def test_an_edge_leaves_one_box_and_ends_at_the_other() -> None:
    chart = drawn(step("a", share=1.0), step("b", "a", share=0.5), step("c", "a", share=0.49))
    a, b, _ = chart.nodes
    middle, gap = chart.node_height / 2, (b.x - a.x - chart.node_width) / 2
    start, end = (a.x + chart.node_width, a.y + middle), (b.x, b.y + middle)
    between = start[0] + gap
    assert chart.edges[0] == (
        f"M{start[0]:g} {start[1]:g} C{between:g} {start[1]:g} {between:g} {end[1]:g} {end[0]:g} {end[1]:g}",
        True,
    )
    assert [critical for _, critical in chart.edges] == [True, False]
    assert [n.critical for n in chart.nodes] == [True, True, False]


def test_a_box_says_how_long_and_how_often_critical_and_its_title_has_the_whole_name() -> None:
    long = "extract-transform-load-all"
    known, bare = drawn(step(long, share=0.75, p50=250.0), step("idle")).nodes
    assert (known.text, known.note) == (f"{long[:21]}…", "4m10s, critical 75%")
    assert known.title == f"{long}: 4m10s, critical 75%"
    assert (bare.text, bare.note, bare.title) == ("idle", "", "idle")


def test_steps_beyond_the_limit_are_counted_and_nothing_points_to_them() -> None:
    chart = drawn(*(step(f"s{n}", *([f"s{n - 1}"] if n else [])) for n in range(MAX_STEPS + 5)))
    assert (len(chart.nodes), len(chart.edges), chart.left_out) == (MAX_STEPS, MAX_STEPS - 1, 5)
    assert graph_chart([]) is None
