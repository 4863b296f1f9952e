"""The result of the set as a section of benchmarks/RESULTS.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.torture.report import RESULT as RESULT

_RUNS = 5  # on each side of a recommendation
POLL_SECONDS = 1.0  # the resolution of the engines' times


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
        out += _not_asked(version, kept)
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
        f" workflow finishing as before; of the promised intervals, {_held(made)}.",
        "",
        "| workflow | as WorkflowChange | promised | found | |",
        "|---|---|---|---|---|",
        *(f"| {' | '.join([name, *_change_cells(change)])} |" for name, change in sorted(changes.items())),
    ]


def _recommended(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The recommendations that were tried for the set."""
    if not rows:
        return []
    pasted = [r for r in rows if r["runs"] or r["refused"]]
    fine = sum(not r["refused"] and not r["worse"] for r in pasted)
    asked = [r["change"] for r in rows if r["change"]]
    made = [c for c in asked if c["runs"]]
    few = sum(0 < r["runs"] < _RUNS for r in rows)
    out = [
        "",
        f"{len(rows)} recommendations have a command. Of {len(pasted)} run as printed, {fine} were taken and left the"
        f" workflow finishing as before, {few} of them shown by fewer than {_RUNS} runs; of the promised intervals of the"
        f" run time, {_held(rows)}. The operator may make {len(asked)} of them itself: {len(made)} were made as"
        f" WorkflowChanges in mode Approve, {sum(not c['worse'] for c in made)} left the workflow finishing as before; of"
        f" the promised intervals, {_held(made)}.{_printed_only(rows)} Jobs and JobSets of the set are compared but get no"
        " recommendations here: each run of one is a new object, so that there is no definition a command could change. Nor"
        " do ClusterWorkflowTemplates, CronWorkflows and Workflows that a profile picks by labels.",
        "",
        "Percent: the run time after the change against before by the engine's own times, or the cost as the operator"
        " measured it. An interval holds that has what the runs show; the run time may be off by the second that the"
        " controllers' own times leave open, the cost by nothing. Intervals are promised for 90% of changes.",
        "",
        "| workflow | recommendation | as printed | promised, s | shorter by, s | as WorkflowChange | promised | found | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return out + [f"| {' | '.join(_cells(r))} |" for r in rows]


def _printed_only(rows: Sequence[dict[str, Any]]) -> str:
    """Why some were not made as a WorkflowChange, as a sentence."""
    reasons = Counter(r["left_out"] for r in rows if r.get("left_out"))
    if not reasons:
        return ""
    return f" As printed only: {', '.join(f'{n} ({why})' for why, n in reasons.most_common())}."


def _not_asked(version: str, kept: Mapping[str, dict[str, Any]]) -> list[str]:
    """The workflows whose recommendations were tried with another version only, as a paragraph."""
    own = kept[version]
    known = {r["workflow"] for r in own.get("recommendations") or ()} | set(own.get("asked") or ())
    others = {r["workflow"] for found in kept.values() for r in found.get("recommendations") or ()}
    missing = sorted((others - known) & {r["name"] for r in own["workflows"]})
    if not missing:
        return []
    return [
        "",
        f"Recommendations not tried with Argo {version}: those of {len(missing)} workflows ({', '.join(missing)}).",
    ]


def _verdict(promised: Sequence[float] | None, found: float | None, clock: float) -> str:
    """Whether an interval has what was found: "holds", "within a second", "missed"; empty if there is nothing to judge."""
    if promised is None or found is None:
        return ""
    low, high = promised
    if low <= found <= high:
        return "holds"
    return "within a second" if clock and low - clock <= found <= high + clock else "missed"


def _verdict_of(row: dict[str, Any]) -> str:
    """The verdict on one recommendation as printed, or on one WorkflowChange."""
    if "effect" not in row:
        return _verdict(row["promised"], row["gain"], POLL_SECONDS)
    if row["measure"] != "Duration":
        return _verdict(row["promised"], row["effect"], 0.0)
    if "clock" in row:
        return _verdict(row["promised"], row["effect"], row["clock"])
    strict = _verdict(row["promised"], row["effect"], 0.0)  # results from before the second was stored
    return "within a second" if strict == "missed" and row["holds"] else strict


def _held(rows: Sequence[dict[str, Any]]) -> str:
    judged = Counter(_verdict_of(r) for r in rows)
    del judged[""]
    return (
        f"{judged['holds']} of {judged.total()} have what the runs show strictly inside, {judged['within a second']} more"
        f" within the clock's second, {judged['missed']} missed"
    )


def _cells(row: dict[str, Any]) -> list[str]:
    promised = "-" if row["promised"] is None else f"{row['promised'][0]:g} to {row['promised'][1]:g}"
    gain = "-" if row["gain"] is None else f"{row['gain']:g}"
    printed = "refused" if row["refused"] else _ends(row)
    cells = _change_cells(row["change"], _verdict_of(row), row.get("left_out") or "not tried")
    return [row["workflow"], row["action"], printed, promised, gain, *cells]


def _change_cells(change: dict[str, Any] | None, printed: str = "", left_out: str = "-") -> list[str]:
    if change is None:
        return [left_out, "-", "-", printed]
    if not change["runs"]:
        return ["not made", "-", "-", change["said"].replace("|", "/")]
    low_high = "-"
    if change["promised"] is not None:
        low_high = f"{change['measure'].lower()} {change['promised'][0]:g} to {change['promised'][1]:g}%"
    effect = "-" if change["effect"] is None else f"{change['effect']:g}%"
    verdicts = [verdict for verdict in (printed, _verdict_of(change)) if verdict]
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
