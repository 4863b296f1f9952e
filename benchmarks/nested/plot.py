"""Predicted against observed shares, one line per prediction: ``benchmarks/results/calibration.svg``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

LEFT, WIDTH, ROW, TOP = 470, 420, 26, 44
LEAST = 70.0  # percent at the left edge
TOLERANCE = 2.0  # percentage points around the level of an interval that count as kept


def svg(rows: Sequence[Mapping[str, Any]]) -> str:
    """A dot with its 90% interval for the observed share, a ring for the worst family, a bar for the predicted
    share."""
    height = TOP + ROW * len(rows) + 40
    total = LEFT + WIDTH + 60
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total}" height="{height}" viewBox="0 0 {total} {height}"'
        ' font-family="sans-serif" font-size="12">',
        "<title>Promised and kept shares by rule</title>",
        f'<rect width="{total}" height="{height}" fill="white"/>',
    ]
    bottom = TOP + ROW * len(rows)
    for share in range(int(LEAST), 101, 5):
        x = _x(share)
        out.append(f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{bottom}" stroke="#ddd"/>')
        out.append(f'<text x="{x:.1f}" y="{TOP - 14}" text-anchor="middle" fill="#555">{share}%</text>')
    for number, row in enumerate(rows):
        out += _row(row, TOP + ROW * number + ROW / 2)
    out.append(
        f'<text x="10" y="{bottom + 24}" fill="#555">bar: promised (intervals: within 2 points); dot: kept, with its 90%'
        " interval; ring: the worst family</text>"
    )
    return "\n".join([*out, "</svg>"]) + "\n"


def _row(row: Mapping[str, Any], y: float) -> list[str]:
    share, off, level = row["kept"], row["off"], row["level"]
    interval = "interval" in row["promised"]
    low, high = (level - TOLERANCE, level + TOLERANCE) if interval else (level, 100.0)
    kept = low <= share + off and (not interval or share - off <= high)
    colour = "#1a7f37" if kept else "#cf222e"
    return [
        f'<text x="10" y="{y + 4:.1f}">{escape(row["rule"])}: {escape(row["what"])}</text>',
        f'<rect x="{_x(low):.1f}" y="{y - 8:.1f}" width="{_x(high) - _x(low):.1f}" height="16" fill="#cfe3f7"/>',
        f'<line x1="{_x(level):.1f}" y1="{y - 8:.1f}" x2="{_x(level):.1f}" y2="{y + 8:.1f}" stroke="#0969da"/>',
        f'<line x1="{_x(share - off):.1f}" y1="{y:.1f}" x2="{_x(share + off):.1f}" y2="{y:.1f}" stroke="{colour}"/>',
        f'<circle cx="{_x(share):.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>',
        f'<circle cx="{_x(row["worst_kept"]):.1f}" cy="{y:.1f}" r="4" fill="none" stroke="#777"/>',
    ]


def _x(share: float) -> float:
    return LEFT + WIDTH * (min(100.0, max(LEAST, share)) - LEAST) / (100.0 - LEAST)
