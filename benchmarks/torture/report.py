"""The result of the set as a file and as a part of benchmarks/RESULTS.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.components import BY_NAME
from testbed.controlplane import argo_version

if TYPE_CHECKING:
    from benchmarks.torture.faults import Row

RESULTS = Path(__file__).resolve().parents[1] / "results"
RESULT = RESULTS / "torture.json"
_SHOWN = 4


def faults(rows: Sequence[Row]) -> list[str]:
    """One line for each workflow and side that is not exact."""
    lines = []
    for row in rows:
        for side, found in (("live", row.live), ("history", row.history)):
            if found:
                texts = list(dict.fromkeys(t for own in found.values() for t in own))
                more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
                lines.append(
                    f"{row.workflow}, {side}, {len(found)} of {row.runs} runs: {'; '.join(texts[:_SHOWN])}{more}"
                )
    return lines


def result(rows: Sequence[Row], runs: int) -> dict[str, Any]:
    """What is kept of a play."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "argo": BY_NAME[argo_version()].version,
        "runs": runs,
        "workflows": [
            {
                "name": row.workflow,
                "runs": row.runs,
                "live": row.runs - len(row.live),
                "history": row.runs - len(row.history),
                "unknown": sorted(row.unknown),
                "spoiled": row.spoiled,
                "faults": faults([row]),
            }
            for row in sorted(rows, key=lambda r: r.workflow)
        ],
    }


def write(found: dict[str, Any]) -> None:
    """Keep the result beside those of other versions of Argo."""
    kept = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    RESULT.write_text(json.dumps({**kept, found["argo"]: found}, indent=1) + "\n")


def summary(found: dict[str, Any]) -> str:
    """One line."""
    rows = found["workflows"]
    runs = sum(r["runs"] for r in rows)
    live, history = (sum(r[side] for r in rows) for side in ("live", "history"))
    spoiled = sum(r["spoiled"] for r in rows)
    left_out = f" ({spoiled} more left out: the simulation ended a pod of them twice)" if spoiled else ""
    exact = f"exact live {live}, from history alone {history}"
    return f"Argo {found['argo']}: {len(rows)} workflows, {runs} runs{left_out}; {exact}"


def lines(kept: dict[str, Any]) -> list[str]:
    """The part of the page."""
    out = [
        "",
        "## The torture set (`make bench-torture`)",
        "",
        "Workflows with the features of daily use and their combinations, run on the real controllers with full CRDs (pods"
        " are simulated) and compared with a reader of the engines' status that shares nothing with the operator: run"
        " count, steps, items, attempts, outcomes, times (within a second), critical chain, and drag where no limit holds"
        " a run. Exact is a run without any difference.",
    ]
    for version, found in sorted(kept.items()):
        rows = found["workflows"]
        out += ["", f"{summary(found)} ({found['date']}).", ""]
        unknown = [f"{r['name']} ({', '.join(r['unknown'])})" for r in rows if r["unknown"]]
        if unknown:
            out += [f"Named as unknown from history alone: {', '.join(unknown)}.", ""]
        wrong = [f"- {text}" for r in rows for text in r["faults"]]
        out += [f"Not exact with Argo {version}:", "", *wrong] if wrong else [f"Nothing differs with Argo {version}."]
    return out
