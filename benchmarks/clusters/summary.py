"""Figures over all histories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from benchmarks.clusters.kinds import HEALTHY, KINDS, PLANTED
from benchmarks.clusters.score import Found, History, Judged, Verdict


def summarize(histories: Sequence[History], seeds: int) -> dict[str, Any]:
    """The content of the result file."""
    return {
        "seeds": seeds,
        "planted": _rows(histories, PLANTED),
        "healthy": _rows(histories, HEALTHY),
        "rules": _rules(histories),
        "demand": _demand(histories),
        "open": [
            str(h) for h in histories if h.found is Found.MISSED or any(j.verdict is Verdict.WRONG for j in h.judged)
        ],
    }


def _rows(histories: Sequence[History], kinds: Iterable[str]) -> list[dict[str, Any]]:
    """A row for each kind that was simulated, and one over all of them."""
    by_kind = {kind: [h for h in histories if h.kind == kind] for kind in kinds}
    rows = [_row(kind, own) for kind, own in by_kind.items() if own]
    return [*rows, _row("all", [h for own in by_kind.values() for h in own])]


def _row(kind: str, histories: Sequence[History]) -> dict[str, Any]:
    judged = [j for h in histories for j in h.judged]
    return {
        "kind": kind,
        "what": " ".join((KINDS[kind].__doc__ or "").split()) if kind in KINDS else "",
        "histories": len(histories),
        **{str(f): sum(h.found is f for h in histories) for f in Found},
        **_verdicts(judged),
        "items": sum(bool(h.judged) for h in histories),
        "wrong_histories": sum(any(j.verdict is Verdict.WRONG for j in h.judged) for h in histories),
        "rules": dict(
            Counter(rule for h in histories for rule in {j.id.split(".")[0] for j in h.judged}).most_common()
        ),
        "others": dict(Counter(rule for h in histories for rule in {*h.others}).most_common()),
    }


def _verdicts(judged: Sequence[Judged]) -> dict[str, int]:
    return {str(v): sum(j.verdict is v for j in judged) for v in Verdict} | {"costly": sum(j.costly for j in judged)}


def _rules(histories: Sequence[History]) -> list[dict[str, Any]]:
    judged = [j for h in histories for j in h.judged]
    keys = sorted({(_name(j), j.at_most) for j in judged})
    return [
        _rule(name, at_most, [j for j in judged if (_name(j), j.at_most) == (name, at_most)]) for name, at_most in keys
    ]


def _name(judged: Judged) -> str:
    """What is recommended: the rule, with the part of an id that tells remedies apart."""
    if judged.rule == "parallelism":
        return "parallelism, raised" if judged.likely else "parallelism, lowered"
    return judged.id if judged.rule == "queue-time" else judged.rule


def _rule(name: str, at_most: bool, judged: Sequence[Judged]) -> dict[str, Any]:
    ratios = [j.likely / j.true for j in judged if j.likely and j.true > 0.0 and j.verdict is not Verdict.WRONG]
    return {
        "id": name,
        "at_most": at_most,
        "followed": len(judged),
        **_verdicts(judged),
        "ratio": median(ratios) if ratios else None,
    }


def _demand(histories: Sequence[History]) -> dict[str, Any]:
    rows = [h.demand for h in histories]
    ratios = sorted(d.expected / d.seen for d in rows if d.seen > 0.0) or [1.0]
    return {
        "hours": sum(d.hours for d in rows),
        "within": sum(d.within for d in rows),
        "absent": sum(d.absent for d in rows),
        "ratio": median(ratios),
        "low": ratios[int(0.05 * len(ratios))],
        "high": ratios[min(len(ratios) - 1, int(0.95 * len(ratios)))],
    }
