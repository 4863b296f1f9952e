"""The section of benchmarks/RESULTS.md on workflows followed over weeks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.lives import changes
from benchmarks.lives.changes import CHANGES, Outcome
from benchmarks.lives.score import BY_NAME, Gain, Judged, Story

RESULT = Path(__file__).parents[1] / "results" / "lives.json"
_VERDICTS = ("Worse", "Improved", "Same", "Inconclusive")


def summarize(verified: Sequence[Outcome], stories: Sequence[Story], seeds: int) -> dict[str, Any]:
    """The content of the result file."""
    return {"seeds": seeds, "changes": _changes(verified), "lives": _lives(stories), **_totals(stories)}


def _changes(verified: Sequence[Outcome]) -> list[dict[str, Any]]:
    """A row for each setting and kind of change."""
    rows = []
    for setting in changes.SETTINGS:
        for change in CHANGES:
            mine = [o for o in verified if (o.setting, o.change) == (setting.name, change.name)]
            if mine:
                rows.append({"setting": setting.words, "change": change.name, **_verdicts(mine)})
    return rows


def _verdicts(mine: Sequence[Outcome]) -> dict[str, Any]:
    held = [o.held for o in mine if o.held is not None]
    return {
        "changes": len(mine),
        "verdicts": {v: sum(o.verdict == v for o in mine) for v in _VERDICTS},
        "right": sum(o.right for o in mine),
        "runs": median(o.runs for o in mine),
        "intervals": len(held),
        "held": sum(held),
        "later": sum(o.later is not None for o in mine),
    }


def _lives(stories: Sequence[Story]) -> list[dict[str, Any]]:
    """A row for each kind, with one for each of its claims."""
    rows = []
    for name, kind in BY_NAME.items():
        mine = [s for s in stories if s.kind == name]
        if not mine:
            continue
        followed = [s for s in mine if s.applicable]
        held = _held(followed)
        rows.append(
            {
                "kind": name,
                "what": " ".join((kind.__doc__ or "").split()),
                "lives": len(mine),
                "followed": len(followed),
                "claims": [_claim(list(each)) for each in zip(*(s.claims for s in followed), strict=True)],
                "intervals": len(held),
                "held": sum(held),
            }
        )
    return rows


def _claim(each: Sequence[Judged]) -> dict[str, Any]:
    days = sorted(j.days for j in each if j.days is not None)
    return {
        "words": each[0].words,
        "lives": len(each),
        "right": len(days),
        "days": round(median(days), 1) if days else None,
        "most": round(days[-1], 1) if days else None,
        "lapses": sum(j.lapses for j in each),
        "wrong": sum(j.wrong > 0 for j in each),
        "wrong_days": sum(j.wrong for j in each),
        "of_days": sum(j.of for j in each),
    }


def _totals(stories: Sequence[Story]) -> dict[str, Any]:
    followed = [s for s in stories if s.applicable]
    held = _held(followed)
    promised = [p[0] <= g.true <= p[2] for g in _gains(followed) if (p := g.promised) is not None]
    return {
        "analyses": sum(s.analyses for s in stories),
        "held": sum(held),
        "intervals": len(held),
        "promises_held": sum(promised),
        "promises": len(promised),
    }


def _gains(stories: Sequence[Story]) -> list[Gain]:
    return [g for s in stories for g in s.gains]


def _held(stories: Sequence[Story]) -> list[bool]:
    return [g.held for g in _gains(stories) if g.held is not None]


def lines(result: Mapping[str, Any]) -> list[str]:
    """The latest result, as lines of the page."""
    return [
        "",
        "## Workflows followed over weeks (`make bench-lives`)",
        *_lines_of_changes(result["changes"]),
        *_lines_of_lives(result),
    ]


def _lines_of_changes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return []
    each, held, intervals = rows[0]["changes"], sum(r["held"] for r in rows), sum(r["intervals"] for r in rows)
    by = {(r["setting"], r["change"]): r for r in rows}
    table = []
    for words in dict.fromkeys(r["setting"] for r in rows):
        cells = [_cell(by[words, change.name]) for change in CHANGES if (words, change.name) in by]
        mine = [r for r in rows if r["setting"] == words]
        share = _percent(sum(r["held"] for r in mine), sum(r["intervals"] for r in mine))
        table.append(f"| {words} | {' | '.join(cells)} | {share} |")
    return [
        "",
        f"{len(rows) * each:,} changes at a random hour and weekday, {each} of each kind, verified until there is a verdict,"
        " of workflows whose run times vary by 5, 10 or 20% at random and drift by about 0.1% a day. Cells: of"
        f" {each} verdicts so many Worse, Improved, Same, Inconclusive (median of runs until then); + so many that were kept"
        " and found to do harm in later runs. The measured interval"
        f" (90%) holds the true effect, that on the same runs without the change, in {_percent(held, intervals)} of"
        f" {intervals:,}.",
        "",
        f"| before the change | {' | '.join(change.name for change in CHANGES)} | intervals hold |",
        "|---" * (len(CHANGES) + 2) + "|",
        *table,
    ]


def _cell(row: Mapping[str, Any]) -> str:
    later = f" +{row['later']}" if row.get("later") else ""
    return f"{', '.join(str(row['verdicts'][v]) for v in _VERDICTS)} ({row['runs']:g}){later}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f}%" if whole else "-"


def _lines_of_lives(result: Mapping[str, Any]) -> list[str]:
    rows = result["lives"]
    if not rows:
        return []
    return [
        "",
        f"{sum(r['lives'] for r in rows)} lives of {len(rows)} kinds, with {result['analyses']:,} daily analyses by the"
        " operator's own path, each of which reads the status of the one before. *Right after*: days from the event until"
        " what is published is right (median, most), at one analysis a day, in so many of the lives whose recommendation was"
        " made in time to be followed. *Lapses*: it was right, and then was not. *Wrong*: lives, and days in them, on which"
        " something was published that was false then. Of"
        f" {result['intervals']} measured effects {_percent(result['held'], result['intervals'])} are held by their"
        f" intervals (90%), and {_percent(result['promises_held'], result['promises'])} of {result['promises']} by those"
        " promised.",
        "",
        "| what happens | what is right then | right, of lives | right after | lapses | wrong (days) | intervals hold |",
        "|---|---|---|---|---|---|---|",
        *(line for row in rows for line in _lines_of_kind(row)),
    ]  # fmt: skip


def _lines_of_kind(row: Mapping[str, Any]) -> list[str]:
    held = f"{row['held']} of {row['intervals']}" if row["intervals"] else "-"
    found = []
    for number, claim in enumerate(row["claims"]):
        first = number == 0
        after = "-" if claim["days"] is None else f"{claim['days']:g}, {claim['most']:g}"
        wrong = f"{claim['wrong']} ({claim['wrong_days']} of {claim['of_days']})"
        found.append(
            f"| {row['what'] if first else ''} | {claim['words']} | {claim['right']} of {claim['lives']} | {after}"
            f" | {claim['lapses']} | {wrong} | {held if first else ''} |"
        )
    return found
