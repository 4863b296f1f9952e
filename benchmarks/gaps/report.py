"""What each law does to the recommendations: figures, and the section of benchmarks/RESULTS.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.gaps.compare import FIGURES, Case
from benchmarks.gaps.law import Law

RESULT = Path(__file__).parents[1] / "results" / "gaps.json"
_QUANTILES = (0.1, 0.5, 0.9)
_MOVED = 0.05


def summary(rows: Sequence[Case], laws: Iterable[Law]) -> dict[str, Any]:
    """The figures of each law, over all workflows."""
    healthy = {(row.workflow, row.seed) for row in rows if not row.kind}
    return {
        "workflows": len({(row.workflow, row.seed) for row in rows}),
        "healthy": len(healthy),
        "laws": {law.name: _of_law(law, [row for row in rows if row.law == law.name]) for law in laws},
    }


def _of_law(law: Law, rows: Sequence[Case]) -> dict[str, Any]:
    found = [row for row in rows if row.lost is not None]
    seen = [row for row in found if row.kind not in law.hides]
    gains = [row for row in rows if row.gain_off is not None]
    numbers = [row for row in rows if row.number_off is not None]
    return {
        "cause": law.cause,
        "errors": dict(Counter(row.error for row in rows if row.error)),
        "healthy": sum(not row.kind for row in rows),
        "healthy_with_items": sum(bool(row.new) for row in rows if not row.kind),
        "wrong": dict(Counter(_place(row, new) for row in rows for new in row.new).most_common()),
        "found": len(seen),
        "lost": _kinds(row for row in seen if row.lost),
        "hidden": _kinds(row for row in found if row.lost and row not in seen),
        "gains": len(gains),
        "gains_off": _kinds(row for row in gains if row.gain_off),
        "numbers": len(numbers),
        "numbers_off": _kinds(row for row in numbers if row.number_off),
        "gain_ratio": _spread(ratio for row in rows for ratio in row.gain_ratios.values()),
        "gains_moved": _moved(rows),
        "affected": sum(row.affected for row in rows),
        "affected_and_reported": sum(row.affected and row.reported for row in rows),
        "reported": round(sum(row.reported for row in rows) / len(rows), 4) if rows else 0.0,
        "figures": {name: _spread(row.ratio(name) for row in rows) for name in FIGURES},
        "unknown": {name: sum(row.becomes_unknown(name) for row in rows) for name in FIGURES},
    }


def _place(row: Case, recommendation: str) -> str:
    return f"{row.kind or 'healthy'}: {recommendation.partition('.')[0]}"


def _kinds(rows: Iterable[Case]) -> dict[str, int]:
    return dict(Counter(row.kind for row in rows).most_common())


def _moved(rows: Iterable[Case]) -> dict[str, float]:
    """Median ratio of the promised gains by kind and measure, where it differs by a twentieth or more; smallest first."""
    ratios: dict[str, list[float]] = {}
    for row in rows:
        for measure, ratio in row.gain_ratios.items():
            ratios.setdefault(f"{row.kind}: {measure}", []).append(ratio)
    middle = {kind: round(median(own), 3) for kind, own in ratios.items()}
    return {kind: ratio for kind, ratio in sorted(middle.items(), key=itemgetter(1)) if abs(ratio - 1.0) >= _MOVED}


def _spread(values: Iterable[float | None]) -> list[float] | None:
    """10th, 50th and 90th percentile of the known ones."""
    known = [value for value in values if value is not None]
    return [round(float(q), 4) for q in np.quantile(known, _QUANTILES)] if known else None


def lines(result: Mapping[str, Any]) -> list[str]:
    """The latest result of `make bench-gaps`, as lines of the page."""
    laws = result["laws"]
    return [
        "",
        "## Missing and distorted data (`make bench-gaps`)",
        "",
        f"The planted problems and {result['healthy']} healthy workflows of {result['seeds']} seeds, {result['workflows']:,}"
        f" in all, each read with a gap by {len(laws)} laws and compared with what is recommended when everything is read."
        " *Lost*: problems that are not found any more (in brackets those that cannot be seen without what is missing);"
        " *gain*, *number*: promised effects and proposed numbers that were right and are not any more; *wrong*:"
        " recommendations about nothing that complete data do not lead to, and healthy workflows that have one. Ratios to"
        " complete data are medians [10th and 90th percentile]; of the success rate, percentage points. *Reported where it"
        " matters*: of the workflows with any of these, those for which a data gap is reported; *reported*: of all.",
        "",
        "| what is missing | errors | lost | gain | number | wrong, on healthy | promised gain | runs a month"
        " | cost of a run | success rate | makespan | reported where it matters | reported |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
        *(_row(name, law) for name, law in laws.items()),
        "",
        *_most_affected(laws),
    ]


def _row(name: str, law: Mapping[str, Any]) -> str:
    hidden = sum(law["hidden"].values())
    figures, unknown = law["figures"], law["unknown"]
    cells = [
        f"{name}: {law['cause']}",
        str(sum(law["errors"].values())),
        f"{_of(law['lost'], law['found'])}{f' ({hidden})' if hidden else ''}",
        _of(law["gains_off"], law["gains"]),
        _of(law["numbers_off"], law["numbers"]),
        f"{sum(law['wrong'].values())}, {law['healthy_with_items']}",
        _ratio(law["gain_ratio"]),
        *(_ratio(figures[name]) + _also(unknown[name]) for name in FIGURES[:2]),
        _points(figures["success_rate"]) + _also(unknown["success_rate"]),
        _ratio(figures["makespan"]) + _also(unknown["makespan"]),
        f"{law['affected_and_reported']} of {law['affected']}",
        f"{law['reported']:.0%}",
    ]
    return f"| {' | '.join(cells)} |"


def _of(kinds: Mapping[str, int], whole: int) -> str:
    return f"{sum(kinds.values())} of {whole}"


def _ratio(spread: Sequence[float] | None) -> str:
    return "-" if spread is None else f"{spread[1]:.2f} [{spread[0]:.2f} {spread[2]:.2f}]"


def _points(spread: Sequence[float] | None) -> str:
    if spread is None:
        return "-"
    low, middle, high = (round(100.0 * value, 1) + 0.0 for value in spread)
    return f"{middle:+.1f} [{low:+.1f} {high:+.1f}]"


def _also(unknown: int) -> str:
    return f", {unknown} unknown" if unknown else ""


def _most_affected(laws: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The kinds that are affected most, over all laws."""
    parts = (("lost", "Lost"), ("gains_off", "Gain"), ("numbers_off", "Number"), ("wrong", "Wrong"))
    found = []
    for part, title in parts:
        kinds: Counter[str] = Counter()
        for law in laws.values():
            kinds.update(law[part])
        if kinds:
            found.append(f"- {title}: " + ", ".join(f"{kind} {count}" for kind, count in kinds.most_common(12)))
    return found
