"""Caches of memoized steps as a sentence, as plain data, and as entries of a status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from concertmaster.core import text
from concertmaster.core.analysis.shared.caches import CacheUse
from concertmaster.report.view import number

_MAX_LISTED = 5


def sentence(use: CacheUse) -> str:
    """Hits, the steps that profit most, what lies in it, and how to empty it."""
    asked = f"{text.percent(use.hits / use.lookups)} of {text.count(use.lookups, 'lookup')} hit" if use.lookups else ""
    top = (
        [f"{s.step} {text.percent(s.hits / s.lookups)}" for s in use.steps[:3] if s.lookups]
        if len(use.steps) > 1
        else []
    )
    parts = [
        f"{asked} ({', '.join(top)})" if top else asked,
        f"{text.duration(use.saved)} of work saved" if use.saved else "",
    ]
    if use.content is not None and use.fill is not None:
        number = len(use.content.entries)
        parts.append(f"{number} {'entry' if number == 1 else 'entries'}, {text.percent(use.fill)} of 1Mi")
        parts += [f"{use.stale} older than maxAge"] if use.stale else []
    known = "; ".join(p for p in parts if p) or "not used in these runs"
    return f"Cache {use.name}: {known}; empty it with: {use.invalidate}"


def view(use: CacheUse) -> dict[str, Any]:
    """All that is known."""
    content = use.content
    return {
        "name": use.name,
        "namespace": use.namespace,
        "lookups": use.lookups,
        "hits": use.hits,
        "entries": len(content.entries) if content is not None else None,
        "bytes": content.size if content is not None else None,
        "staleEntries": use.stale if content is not None else None,
        "steps": [
            {"step": s.step, "lookups": s.lookups, "hits": s.hits, "savedSeconds": number(s.saved)} for s in use.steps
        ],
        "invalidate": use.invalidate,
    }


def entries(uses: Sequence[CacheUse]) -> list[dict[str, Any]]:
    """The entries of a status: the caches that were used, most work saved first."""
    used = sorted((u for u in uses if u.lookups), key=lambda u: (-u.saved, u.name))
    return [
        {
            **({"entries": len(u.content.entries), "stale": u.stale} if u.content is not None else {}),
            "hits": u.hits,
            "lookups": u.lookups,
            "name": u.name,
            "savedSeconds": round(u.saved),
        }
        for u in used[:_MAX_LISTED]
    ]
