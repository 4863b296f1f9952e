"""The result of the set as a file, and what of it is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.install.components import BY_NAME
from testbed.services.controlplane import argo_version

if TYPE_CHECKING:
    from benchmarks.torture.approved import Change
    from benchmarks.torture.faults import Row
    from benchmarks.torture.recommended import Trial

    Changes = Mapping[tuple[str, str], Change]  # by workflow and recommendation

RESULTS = Path(__file__).resolve().parents[1] / "results"
RESULT = RESULTS / "torture.json"
_SHOWN = 4


def faults(rows: Sequence[Row]) -> list[str]:
    """One line per workflow and side that is not exact."""
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


def broken(tried: Sequence[Trial], changes: Changes) -> list[str]:
    """One line per recommendation whose command fails, that breaks its workflow, or whose prediction does not hold."""
    lines = []
    for trial in tried:
        name = f"{trial.workflow}, {trial.id}"
        if trial.refused:
            lines.append(f"{name}: the command is refused: {trial.refused}")
        if trial.worse:
            lines.append(f"{name}: {trial.worse} runs ended otherwise than before")
        if trial.holds is False and trial.promised is not None:
            p = trial.promised
            lines.append(f"{name}: promised {p.low:.0f} to {p.high:.0f} s, runs are {trial.gain or 0:.1f} s shorter")
    for (workflow, identity), change in changes.items():
        name = f"{workflow}, {identity} as {change.name or 'WorkflowChange'}"
        if not change.runs:
            lines.append(f"{name} was not made: {change.said}")
        if change.worse:
            lines.append(f"{name}: {change.worse} runs ended otherwise than before")
        if change.holds is False and change.promised is not None:
            low, high = change.promised
            lines.append(f"{name}: promised {low:g} to {high:g}%, measured {change.effect or 0:.1f}%")
    return lines


def result(
    rows: Sequence[Row], runs: int, tried: Sequence[Trial] | None = None, changes: Changes | None = None
) -> dict[str, Any]:
    """The stored result. ``tried`` None: no recommendation was tried."""
    made = changes or {}
    found: dict[str, Any] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "argo": BY_NAME[argo_version()].version,
        "runs": runs,
        "workflows": [
            {
                "name": row.workflow,
                "runs": row.runs,
                "live": row.runs - len(row.live),
                "history": max(0, row.runs - len(row.history)),
                "unknown": sorted(row.unknown),
                "faults": faults([row]),
            }
            for row in sorted(rows, key=lambda r: r.workflow)
        ],
    }
    if tried is not None:
        found["asked"] = sorted(row.workflow for row in rows)
        found["recommendations"] = [
            {
                "workflow": t.workflow,
                "id": t.id,
                "action": t.action,
                "promised": None if t.promised is None else [round(v, 1) for v in (t.promised.low, t.promised.high)],
                "gain": None if t.gain is None else round(t.gain, 1),
                "holds": t.holds,
                "refused": t.refused,
                "runs": t.runs,
                "worse": t.worse,
                "left_out": t.left_out,
                "change": _change(made.get((t.workflow, t.id))),
            }
            for t in tried
        ]
    return found


def _change(found: Change | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "name": found.name,
        "verdict": found.verdict,
        "measure": found.measure,
        "promised": found.promised,
        "effect": None if found.effect is None else round(found.effect, 1),
        "clock": round(found.clock, 1),
        "holds": found.holds,
        "runs": found.runs,
        "worse": found.worse,
        "said": found.said,
    }


def write(found: dict[str, Any]) -> None:
    """Store the result next to those of other versions of Argo, and of workflows that were not run."""
    kept = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    RESULT.write_text(json.dumps({**kept, found["argo"]: merged(kept.get(found["argo"]), found)}, indent=1) + "\n")


def write_large(changes: Changes) -> None:
    """Store the right-sizings of large requests next to the other results of the version."""
    kept = json.loads(RESULT.read_text())
    own = kept[BY_NAME[argo_version()].version]
    own["large"] = {**own.get("large", {}), **{workflow: _change(c) for (workflow, _), c in sorted(changes.items())}}
    RESULT.write_text(json.dumps(kept, indent=1) + "\n")


def merged(before: dict[str, Any] | None, found: dict[str, Any]) -> dict[str, Any]:
    """A result, completed by an earlier one for workflows that were not run, and recommendations that were not tried."""
    if before is None:
        return found
    run = {row["name"] for row in found["workflows"]}
    others = [row for row in before["workflows"] if row["name"] not in run]
    tried, known = found.get("recommendations"), before.get("recommendations") or ()
    kept = [row for row in known if tried is None or row["workflow"] not in run]
    earlier = {(row["workflow"], row["id"]): row for row in known if row["workflow"] in run}
    tried = [_completed(row, earlier.get((row["workflow"], row["id"]))) for row in tried or ()]
    return {
        **before,
        **found,
        "workflows": sorted([*others, *found["workflows"]], key=lambda row: str(row["name"])),
        "asked": sorted({*before.get("asked", ()), *found.get("asked", ())}),
        "recommendations": sorted([*kept, *tried], key=lambda row: str(row["workflow"])),
    }


def _completed(row: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    """A recommendation with what an earlier try of the other way has shown."""
    if before is None:
        return row
    tried = row if row["runs"] or row["refused"] else before
    return {**tried, "left_out": row["left_out"], "change": row["change"] or before["change"]}
