"""The step graph: steps in columns by depth, edges between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from concertmaster.core import text
from concertmaster.core.analysis.graph import levels

MAX_STEPS = 80  # steps drawn
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 168, 46, 44, 14, 8
_LETTERS = 22


@dataclass(frozen=True, slots=True)
class GraphNode:
    """One step. ``text`` and ``note`` are what fits into the box, ``title`` all of it."""

    x: float
    y: float
    text: str
    note: str
    title: str
    critical: bool


@dataclass(frozen=True, slots=True)
class GraphChart:
    """Boxes and paths (SVG path data; whether both ends are critical)."""

    width: float
    height: float
    nodes: tuple[GraphNode, ...]
    edges: tuple[tuple[str, bool], ...]
    node_width: int = _WIDTH
    node_height: int = _HEIGHT
    left_out: int = 0


def graph_chart(steps: Sequence[Mapping[str, Any]]) -> GraphChart | None:
    """The graph of an analysis' steps; None without any."""
    shown = list(steps[:MAX_STEPS])
    if not shown:
        return None
    place = {str(s["name"]): i for i, s in enumerate(shown)}
    parents = [[place[p] for p in s.get("dependsOn") or () if p in place] for s in shown]
    columns: dict[int, list[int]] = {}
    for i, level in enumerate(levels(parents)):
        columns.setdefault(max(0, level), []).append(i)
    at: dict[int, tuple[float, float]] = {}
    for level in sorted(columns):
        members = columns[level]
        members.sort(key=lambda i: (_mean([at[p][1] for p in parents[i] if p in at]), i))
        for row, i in enumerate(members):
            at[i] = (_MARGIN + level * (_WIDTH + _GAP_X), _MARGIN + row * (_HEIGHT + _GAP_Y))
    critical = [(s.get("criticalShare") or 0.0) >= 0.5 for s in shown]
    nodes = []
    for i, step in enumerate(shown):
        duration, share = step.get("durationSeconds") or {}, step.get("criticalShare")
        figures = [text.duration(duration["p50"])] if duration.get("p50") is not None else []
        figures += [f"critical {text.percent(share)}"] if share is not None else []
        name, note = str(step["name"]), ", ".join(figures)
        short = name if len(name) <= _LETTERS else name[: _LETTERS - 1] + "…"
        nodes.append(GraphNode(*at[i], short, note, f"{name}: {note}" if note else name, critical[i]))
    edges = [
        (_path(at[p], at[i]), critical[p] and critical[i]) for i, above in enumerate(parents) for p in above if p in at
    ]
    deepest = max(len(m) for m in columns.values())
    return GraphChart(
        2 * _MARGIN + (max(columns) + 1) * (_WIDTH + _GAP_X) - _GAP_X,
        2 * _MARGIN + deepest * (_HEIGHT + _GAP_Y) - _GAP_Y,
        tuple(nodes),
        tuple(edges),
        left_out=len(steps) - len(shown),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _path(start: tuple[float, float], end: tuple[float, float]) -> str:
    x0, y0 = start[0] + _WIDTH, start[1] + _HEIGHT / 2
    x1, y1 = end[0], end[1] + _HEIGHT / 2
    middle = (x0 + x1) / 2
    return f"M{x0:g} {y0:g} C{middle:g} {y0:g} {middle:g} {y1:g} {x1:g} {y1:g}"
