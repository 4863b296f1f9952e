"""The result of the set as a file and as a section of benchmarks/RESULTS.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.components import BY_NAME
from testbed.controlplane import argo_version

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
        "recommendations": sorted([*kept, *tried], key=lambda row: str(row["workflow"])),
    }


def _completed(row: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    """A recommendation with what an earlier try of the other way has shown."""
    if before is None:
        return row
    tried = row if row["runs"] or row["refused"] else before
    return {**tried, "left_out": row["left_out"], "change": row["change"] or before["change"]}


def summary(found: dict[str, Any]) -> str:
    """The result in one line."""
    rows = found["workflows"]
    runs = sum(r["runs"] for r in rows)
    live, history = (sum(r[side] for r in rows) for side in ("live", "history"))
    spoiled = sum(r.get("spoiled", 0) for r in rows)  # in results from before simulated pods ended once
    left_out = f" ({spoiled} more left out: the simulation ended a pod of them twice)" if spoiled else ""
    exact = f"exact live {live}, from history alone {history}"
    return f"Argo {found['argo']}: {len(rows)} workflows, {runs} runs{left_out}; {exact}"


def lines(kept: dict[str, Any]) -> list[str]:
    """The section of the page."""
    out = [
        "",
        "## The torture set (`make bench-torture`)",
        "",
        "Workflows with the features of daily use and their combinations, run on the real controllers with full CRDs (pods"
        " are simulated) and compared with a reader of the engines' status that shares nothing with the operator: run"
        " count, steps, items, attempts, outcomes, times (within a second; the time of a whole live run within two),"
        " critical chain, and drag (within two seconds) where no limit holds a run. From history alone that is the"
        " creation, scheduling, start and end of every pod, and what metrics cannot tell is named. Exact is a run without"
        " any difference.",
    ]
    for version, found in sorted(kept.items()):
        rows = found["workflows"]
        out += ["", f"{summary(found)} ({found['date']}).", ""]
        unknown = [f"{r['name']} ({', '.join(r['unknown'])})" for r in rows if r["unknown"]]
        if unknown:
            out += [f"Named as unknown from history alone: {', '.join(unknown)}.", ""]
        wrong = [f"- {text}" for r in rows for text in r["faults"]]
        out += [f"Not exact with Argo {version}:", "", *wrong] if wrong else [f"Nothing differs with Argo {version}."]
        out += _recommended(found.get("recommendations") or ())
        out += _enlarged(found.get("large") or {})
    return out


def _enlarged(changes: Mapping[str, dict[str, Any]]) -> list[str]:
    """The right-sizings of the set with large requests."""
    if not changes:
        return []
    made = [c for c in changes.values() if c["runs"]]
    return [
        "",
        f"With every step of {len(changes)} further workflows requesting 200m and 1Gi (`--large`), their right-sizing is"
        f" worth it: {len(made)} were made as WorkflowChanges in mode Approve, {sum(not c['worse'] for c in made)} left the"
        f" workflow finishing as before, and {_held(made)} promised intervals hold.",
        "",
        "| workflow | as WorkflowChange | promised | found | |",
        "|---|---|---|---|---|",
        *(f"| {' | '.join([name, *_change_cells(change, None)])} |" for name, change in sorted(changes.items())),
    ]


def _recommended(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The recommendations that were tried for the set."""
    if not rows:
        return []
    pasted = [r for r in rows if r["runs"] or r["refused"]]
    fine = sum(not r["refused"] and not r["worse"] for r in pasted)
    asked = [r["change"] for r in rows if r["change"]]
    made = [c for c in asked if c["runs"]]
    out = [
        "",
        f"{len(rows)} recommendations have a command. Of {len(pasted)} run as printed, {fine} were taken and left the"
        f" workflow finishing as before; {_held(rows)} promised intervals of the run time have what the runs show. The"
        f" operator may make {len(asked)} of them itself (published, of a kind of field that it changes):"
        f" {len(made)} were made as WorkflowChanges in mode Approve,"
        f" {sum(not c['worse'] for c in made)} left the workflow finishing as before, and {_held(made)} promised intervals"
        " hold.",
        "",
        "Percent: the run time after the change against before by the engine's own times, or the cost as the operator"
        " measured it. Intervals are compared within a second, which is the controllers' own, and two standard errors.",
        "",
        "| workflow | recommendation | as printed | promised, s | shorter by, s | as WorkflowChange | promised | found | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return out + [f"| {' | '.join(_cells(r))} |" for r in rows]


def _held(rows: Sequence[dict[str, Any]]) -> str:
    judged = [r["holds"] for r in rows if r["holds"] is not None]
    return f"{sum(judged)} of {len(judged)}"


def _cells(row: dict[str, Any]) -> list[str]:
    promised = "-" if row["promised"] is None else f"{row['promised'][0]:g} to {row['promised'][1]:g}"
    gain = "-" if row["gain"] is None else f"{row['gain']:g}"
    printed = "refused" if row["refused"] else _ends(row)
    cells = _change_cells(row["change"], row["holds"], row.get("left_out") or "not tried")
    return [row["workflow"], row["action"], printed, promised, gain, *cells]


def _change_cells(change: dict[str, Any] | None, printed: bool | None, left_out: str = "-") -> list[str]:
    words = {None: "", True: "holds", False: "missed"}
    if change is None:
        return [left_out, "-", "-", words[printed]]
    if not change["runs"]:
        return ["not made", "-", "-", change["said"].replace("|", "/")]
    low_high = "-"
    if change["promised"] is not None:
        low_high = f"{change['measure'].lower()} {change['promised'][0]:g} to {change['promised'][1]:g}%"
    effect = "-" if change["effect"] is None else f"{change['effect']:g}%"
    verdicts = [words[v] for v in (printed, change["holds"]) if v is not None]
    return [
        f"{_ends(change)}, {change['verdict'] or 'no verdict'}",
        low_high,
        effect,
        ", ".join(dict.fromkeys(verdicts)),
    ]


def _ends(found: dict[str, Any]) -> str:
    if not found["runs"]:
        return "not run"
    return (
        f"{found['runs']} runs end as before"
        if not found["worse"]
        else f"{found['worse']} of {found['runs']} runs end otherwise"
    )
