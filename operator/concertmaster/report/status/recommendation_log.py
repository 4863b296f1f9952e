"""Earlier recommendations as they stand in a status: written so that people can read it, and read back by the operator.

Whatever a hand may have made of a status is survived: an entry that cannot be read is forgotten.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from concertmaster.core import text
from concertmaster.core.lifecycle.history import (
    ImplementationResult,
    RecommendationHistory,
    RelativeEffect,
    TrackedRecommendation,
)
from concertmaster.core.lifecycle.implementation import MAX_LINE, Field
from concertmaster.core.lifecycle.measured_gain import measure_of
from concertmaster.core.model import Category
from concertmaster.core.model.enums import RecommendationState, Verdict
from concertmaster.core.model.fingerprints import known_fingerprint, stored_fingerprint
from concertmaster.core.times import iso, parse_time

_READ = ("recommendations", "remaining", "results")
_NOTHING = "(nothing)"
_NUMBER = r"([+-]?[0-9]{1,6}(?:\.[0-9])?)"
_EFFECT = re.compile(rf"(Duration|Cost|Failures)(?: {_NUMBER} ?%(?: \({_NUMBER} to {_NUMBER} ?%\))?)?")
_OWN = frozenset({"dismissal", "id", "note", "promised", "sets", "since", "state", "trackRecord"})
_DECISION = 400
# What lists of recommendations show besides; it gives way first where a status is large.
REASONS = frozenset({"because", "confidence", "effort", "expected", "items", "proposed", "risk"})
SHORT = (_OWN - {"trackRecord"}) | REASONS | {"action", "category", "impact", "severity"}
MAX_SHORT = 20
_MAX_POINTS = 999_990.0  # what the schema's digits hold; a promise from a few wild runs can be wider
Document = dict[str, Any]
_T = TypeVar("_T")


def clip(line: str, limit: int) -> str:
    """One line of at most ``limit`` characters."""
    flat = " ".join(text.plain(line).split())
    return flat if len(flat) <= limit else flat[: limit - 1].rstrip() + "…"


def decision(reason: str, until: str | None) -> str:
    """A dismissal in the very words in which a status holds it: other words are another decision."""
    end = f", until {until}" if until is not None else ""
    return clip(reason, _DECISION - len(end)) + end


# --- writing


def entry_of(tracked: TrackedRecommendation, record: str | None = None) -> Document:
    """The entry of one recommendation. ``record``: how well its rule kept its promises."""
    active = tracked.state is RecommendationState.ACTIVE
    more: Document = {
        "dismissal": clip(tracked.dismissal, _DECISION) if tracked.dismissal else None,
        "id": tracked.id,
        "note": clip(tracked.note, 400) or None,
        "promised": effect(tracked.promised) if tracked.promised.likely is not None else None,
        "sets": fields(tracked.fields),
        "since": iso(tracked.since),
        "state": tracked.state.value,
        "trackRecord": clip(record if active else record.partition("; ")[0], 400) if record else None,
    }
    return {k: v for k, v in sorted((dict(tracked.words) | more).items()) if v is not None}


def shortened(entry: Document) -> Document:
    """An entry without its command and the present value."""
    return {k: v for k, v in entry.items() if k in SHORT}


def decided(entry: Mapping[str, Any]) -> bool:
    """Whether an entry holds a decision of people that is in force: dismissed, or Active again although it was. Without
    it nobody would know what they decided about."""
    return entry["state"] == "Dismissed" or (entry["state"] == "Active" and "dismissal" in entry)


def least(entries: Sequence[Mapping[str, Any]]) -> int:
    """The position of the entry to drop first: the last one that any analysis produces again, then entries for
    information, decisions of people last of all."""
    order = ("Active", "Obsolete", "Implemented")
    return min(
        range(len(entries)), key=lambda i: (len(order) if decided(e := entries[i]) else order.index(e["state"]), -i)
    )


def remaining(rest: Sequence[TrackedRecommendation]) -> list[Document]:
    """Short entries in the order given: decisions of people first when there are too many, then what can be followed
    up."""

    def held(tracked: TrackedRecommendation) -> bool:
        return decided({"state": tracked.state.value} | ({"dismissal": tracked.dismissal} if tracked.dismissal else {}))

    order = sorted(range(len(rest)), key=lambda i: (not held(rest[i]), not rest[i].fields, i))
    return [shortened(entry_of(rest[i])) for i in sorted(order[:MAX_SHORT])]


def outcome(result: ImplementationResult) -> Document:
    """The entry of one implementation."""
    entry: Document = {
        "action": clip(result.action, 160),
        "baselineRuns": result.before,
        "by": clip(result.by, 160),
        "effect": clip(describe_result(result), 400),
        "fingerprint": stored_fingerprint(result.fingerprint)
        if result.fingerprint and result.verdict is None
        else None,
        "id": result.id,
        "judged": iso(result.judged),
        "measured": effect(result.measured) if result.measured is not None else None,
        "promised": effect(result.promised),
        "sets": fields(result.fields),
        "since": iso(result.since),
        "undone": True if result.undone else None,
        "until": iso(result.until),
        "verdict": result.verdict.value if result.verdict is not None else None,
        "verifiedRuns": result.after,
    }
    return {k: v for k, v in entry.items() if v is not None}


def fields(changed: Sequence[Field]) -> str | None:
    """``/spec/parallelism: 2 -> 8; /spec/...``; None without any, and when they are too much to be remembered."""
    line = "; ".join(f"{f.path}: {f.old or _NOTHING} -> {f.new or _NOTHING}" for f in changed)
    return line if line and len(line) <= MAX_LINE and all(" " not in f.path for f in changed) else None


def effect(effect: RelativeEffect) -> str:
    """``Cost -58% (-62 to -54%)``; the measure alone without numbers."""
    if effect.likely is None:
        return effect.measure
    span = f" ({_points(effect.low)} to {_points(effect.high)}%)" if None not in (effect.low, effect.high) else ""
    return f"{effect.measure} {_points(effect.likely)}%{span}"


def _points(share: float | None) -> str:
    points = max(-_MAX_POINTS, min(_MAX_POINTS, 100.0 * (share or 0.0)))
    shown = f"{points:+.1f}".removesuffix(".0")
    return "0" if shown in ("+0", "-0") else shown


def describe_result(result: ImplementationResult) -> str:
    """What came of an implementation, as a sentence."""
    runs = f"{text.count(result.after, 'run')} after against {result.before} before"
    promised = _amount(result.promised)
    promise = f", predicted {promised}" if promised else ""
    seen = _amount(result.measured) if result.measured is not None else None
    if result.verdict is None:
        so_far = f"; so far {seen}" if seen else ""
        return f"measuring: {runs}{so_far}{promise}"
    end = "; later rolled back or overwritten" if result.undone else ""
    # What it was made for may be reached, and be worth less than what it did to the runs.
    reached = result.measured is not None and result.measured.likely is not None and result.measured.likely <= 0
    why = "slower runs or failed pods; " if result.verdict is Verdict.WORSE and reached else ""
    figures = f"{seen}{promise}; {runs}" if seen is not None else f"{runs}{promise}"
    return f"{result.verdict.value}: {why}{figures}{end}"


def _amount(effect: RelativeEffect) -> str | None:
    """``12% shorter runs (10 to 14%)``; None without numbers."""
    if effect.likely is None:
        return None
    less, more = {
        "Duration": ("shorter runs", "longer runs"),
        "Cost": ("less reserved per run", "more reserved per run"),
        "Failures": ("fewer failed runs", "more failed runs"),
    }[effect.measure]
    if effect.measure == "Failures" and effect.likely == 0 and not effect.low and not effect.high:
        return "no change in failed runs"
    sign = -1.0 if effect.likely <= 0 else 1.0
    unit = " points" if effect.measure == "Failures" else "%"
    ends = sorted(100.0 * sign * v + 0.0 for v in (effect.low, effect.high) if v is not None)
    span = f" ({ends[0]:.0f} to {ends[1]:.0f}{unit})" if len(ends) == 2 and ends[0] != ends[1] else ""
    return f"{abs(100.0 * effect.likely):.0f}{unit} {less if sign < 0 else more}{span}"


# --- reading


def packed(status: Mapping[str, Any]) -> bytes | None:
    """The part of a status that ``read`` needs, compressed; None for nothing."""
    kept = {key: status[key] for key in _READ if status.get(key)}
    return zlib.compress(json.dumps(kept, separators=(",", ":")).encode(), 6) if kept else None


def unpacked(content: bytes) -> RecommendationHistory:
    """What ``read`` makes of it."""
    return read(json.loads(zlib.decompress(content)))


def read(status: Mapping[str, Any]) -> RecommendationHistory:
    """The memory a status holds."""
    entries = [*_dicts(status.get("recommendations")), *_dicts(status.get("remaining"))]
    tracked = {s.id: s for s in _readable(entries, _tracked)}
    return RecommendationHistory(tuple(tracked.values()), tuple(_readable(_dicts(status.get("results")), _outcome)))


def _tracked(entry: Mapping[str, Any]) -> TrackedRecommendation:
    return TrackedRecommendation(
        id=str(entry["id"]),
        state=RecommendationState(entry["state"]),
        since=parse_time(str(entry["since"])),
        words={k: v for k, v in entry.items() if k not in _OWN},
        promised=_effect(entry["promised"])
        if "promised" in entry
        else RelativeEffect(measure_of(Category(entry["category"]))),
        fields=_fields(entry.get("sets")),
        dismissal=str(entry["dismissal"]) if entry.get("dismissal") else None,
        note=str(entry.get("note") or ""),
    )


def _outcome(entry: Mapping[str, Any]) -> ImplementationResult:
    return ImplementationResult(
        id=str(entry["id"]),
        action=str(entry["action"]),
        by=str(entry["by"]),
        since=parse_time(str(entry["since"])),
        fields=_fields(entry.get("sets")),
        promised=_effect(entry["promised"]),
        fingerprint=known_fingerprint(entry.get("fingerprint")),
        measured=_effect(entry["measured"]) if entry.get("measured") else None,
        verdict=Verdict(entry["verdict"]) if entry.get("verdict") else None,
        judged=parse_time(str(entry["judged"])) if entry.get("judged") else None,
        before=int(entry.get("baselineRuns") or 0),
        after=int(entry.get("verifiedRuns") or 0),
        until=parse_time(str(entry["until"])) if entry.get("until") else None,
        undone=bool(entry.get("undone")),
    )


def _fields(line: Any) -> tuple[Field, ...]:
    fields = []
    for part in str(line).removeprefix("/").split("; /") if line else ():
        path, _, values = part.partition(": ")
        old, _, new = values.partition(" -> ")
        fields.append(Field(f"/{path}", None if old == _NOTHING else old, None if new == _NOTHING else new))
    return tuple(fields)


def _effect(line: Any) -> RelativeEffect:
    match = _EFFECT.fullmatch(str(line))
    if match is None:
        raise ValueError(f"{line!r} is no effect")
    likely, low, high = (float(n) / 100.0 if n else None for n in match.groups()[1:])
    return RelativeEffect(match[1], likely, low, high)


def _dicts(value: Any) -> Sequence[Mapping[str, Any]]:
    return [v for v in value if isinstance(v, Mapping)] if isinstance(value, list | tuple) else []


def _readable(entries: Sequence[Mapping[str, Any]], parse: Callable[[Mapping[str, Any]], _T]) -> list[_T]:
    readable = []
    for entry in entries:
        try:
            readable.append(parse(entry))
        except (KeyError, ValueError, TypeError, ArithmeticError):
            continue
    return readable
