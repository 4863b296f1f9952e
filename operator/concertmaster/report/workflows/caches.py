"""Caches of memoized steps over all workflows."""

from __future__ import annotations

from collections.abc import Iterable

from concertmaster.api.views.fleet import WorkflowCacheRow
from concertmaster.core import text
from concertmaster.report.workflows.fields import Raw, entries, mapping, named

MAX_ROWS = 50


def cache_rows(profiles: Iterable[Raw]) -> tuple[WorkflowCacheRow, ...]:
    """The caches in the statuses of ``profiles``, most work saved first; a shared one is listed with each workflow."""
    caches = [row for profile in profiles for row in _rows(profile)]
    caches.sort(key=lambda r: (-r.saved_seconds, r.namespace, r.profile, r.cache))
    return tuple(caches[:MAX_ROWS])


def _rows(profile: Raw) -> Iterable[WorkflowCacheRow]:
    for cache in entries(mapping(profile, "status"), "caches"):
        yield WorkflowCacheRow(
            **named(profile),
            cache=cache["name"],
            lookups=cache["lookups"],
            hits=cache["hits"],
            saved_seconds=cache["savedSeconds"],
            entries=cache.get("entries"),
            stale=cache.get("stale"),
        )


def cache_totals(rows: Iterable[WorkflowCacheRow]) -> str:
    """All caches in one sentence; empty without any lookup."""
    known = list(rows)
    lookups, saved = sum(r.lookups for r in known), sum(r.saved_seconds for r in known)
    if not lookups:
        return ""
    hit = text.percent(sum(r.hits for r in known) / lookups)
    return f"{hit} of {text.count(lookups, 'lookup')} hit, {text.duration(saved)} of work saved in the runs analyzed"
