"""Recommendations as ``concertmaster list -o json`` prints them, read from the status of their profile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from concertmaster.api.models.list_entry import ListEntry
from concertmaster.api.views.fleet import TopAction
from concertmaster.core.fleet.ranking import Headline
from concertmaster.core.model import Impact, Interval
from concertmaster.core.model.recommendations import likely
from concertmaster.report import impact as impacts
from concertmaster.report.workflows import fields
from concertmaster.report.workflows.fields import Raw, full_name, mapping

_BY_CATEGORY = {"Cost": "money", "Reliability": "failed_runs"}


def place(profile: Raw) -> tuple[str, str]:
    """The namespace of a profile, and its workflow as tables show it: KIND/NAME, before its first analysis its own name."""
    namespace, name = full_name(profile)
    return namespace, str(mapping(mapping(profile, "status"), "summary").get("target") or name)


def entries(profile: Raw, items: Iterable[Raw]) -> Iterator[ListEntry]:
    """``items``, recommendations of the profile (see ``report.workflows.recommendations``); applied ones with their measured
    effect. One that was edited by hand into something else is left out."""
    results = reversed(fields.entries(mapping(profile, "status"), "results"))
    effects = {o.get("id"): o.get("effect") for o in results}
    for item in items:
        effect = effects.get(item["id"]) if item.get("state") == "Implemented" else None
        try:
            yield entry(profile, {**item, "effect": effect})
        except ValueError:
            continue


def documents(made: Iterable[ListEntry]) -> list[dict[str, Any]]:
    """The entries as they are printed."""
    return [e.model_dump(mode="json", by_alias=True) for e in made]


def entry(profile: Raw, item: Raw) -> ListEntry:
    """One recommendation. Raises ValueError for one that was edited by hand."""
    meta = mapping(profile, "metadata")
    kind, _, workflow = str(mapping(mapping(profile, "status"), "summary").get("target") or "").partition("/")
    impact = impacts.parse(item.get("impact"))
    same = ("severity", "category", "because", "current", "proposed", "expected", "how", "effort", "risk")
    return ListEntry.model_validate(
        {name: item.get(name) for name in (*same, "since", "note", "dismissal", "effect")}
        | {
            "namespace": meta.get("namespace"),
            "profile": meta.get("name"),
            "kind": kind or None,
            "workflow": workflow or None,
            "id": item["id"],
            "state": item.get("state", "Active"),
            "action": item.get("action") or item["id"],
            **_amounts(impact, str(item.get("category")), impacts.currency(item.get("impact"))),
            "confidence": confidence(item.get("confidence")),
            "items": [row for line in item.get("items") or () if (row := item_of(str(line))) is not None],
            "minor": item.get("state") == "Minor",
        }
    )


def top_action(entry: ListEntry, headline: Headline) -> TopAction:
    """``entry`` with the impact of all copies that its ``headline`` stands for."""
    category = entry.category.value if entry.category is not None else ""
    amounts = _amounts(headline.impact, category, headline.currency)
    return TopAction.model_validate(entry.model_dump(by_alias=True) | amounts | {"namespaces": headline.namespaces})


def _amounts(impact: Impact, category: str, currency: str | None) -> dict[str, Any]:
    """The impact of an entry, and its interval in the measure that it is about."""
    return {
        "interval": _interval(impact, category, currency),
        "impact": {
            "runMinutesPerMonth": likely(impact.run_minutes),
            "failedRunsPerMonth": likely(impact.failed_runs),
            "moneyPerMonth": likely(impact.money),
            "currency": currency,
        },
    }


def item_of(line: str) -> dict[str, str | None] | None:
    """One line of a right-sizing, ``step/container requests.cpu: 2 -> 1050m (peak 0.9 cores)``, as an object."""
    place, colon, values = line.partition(": ")
    where, _, field = place.rpartition(" ")
    step, _, container = where.rpartition("/")
    old, arrow, new = values.partition(" (")[0].partition(" -> ")
    if not (colon and arrow and step and field):
        return None
    return {"step": step, "container": container, "field": field, "old": None if old == "not set" else old, "new": new}


def _interval(impact: Impact, category: str, currency: str | None) -> dict[str, Any] | None:
    """The measure that the recommendation is about, in its unit a month."""
    names = [_BY_CATEGORY.get(category, "run_minutes"), "failed_runs", "run_minutes", "money"]
    name = next((n for n in names if getattr(impact, n) is not None), None)
    if name is None:
        return None
    amount: Interval = getattr(impact, name)
    unit = impacts.UNITS.get(name, f"{currency or 'money'}/month")
    return {"low": amount.low, "likely": amount.likely, "high": amount.high, "unit": unit}


def confidence(value: Any) -> float | None:
    """A confidence as a share: the operator's document holds a number, a status a percent string."""
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(value) / 100.0
    except (TypeError, ValueError):
        return None
