"""The recommendations of a profile: what its status holds, completed by what only the operator knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from concertmaster.core.model import Impact, Interval
from concertmaster.core.times import parse_time
from concertmaster.report import impact as impacts
from concertmaster.report.status.recommendation_log import decision
from concertmaster.report.workflows.fields import recommendations

_AMOUNTS = ("runMinutesPerMonth", "failedRunsPerMonth", "moneyPerMonth")
_PAST = ("Implemented", "Obsolete")


def decisions(raw: Mapping[str, Any], now: float) -> dict[str, str]:
    """Its dismissals that are in force, id to the words in which a status describes them."""
    return {
        str(d["recommendation"]): decision(str(d["reason"]), d.get("expirationTime"))
        for d in (raw.get("spec") or {}).get("dismissals") or ()
        if d.get("expirationTime") is None or parse_time(str(d["expirationTime"])) > now
    }


def merged(raw: Mapping[str, Any], detail: Mapping[str, Any], now: float) -> list[dict[str, Any]]:
    """The recommendations of the status, each with what the operator knows of it; then those the status has no room for.
    What was applied or has gone is described as it was. ``now`` (unix seconds) decides which dismissals are in force."""
    described = [dict(item) for item in recommendations(raw)]
    currency = (detail.get("cost") or {}).get("currency")
    known = {str(r["id"]): as_status(r, currency) for r in detail.get("recommendations") or ()}
    whole = [
        item if item["state"] in _PAST else {**item, **known.get(str(item["id"]), {}), "state": item["state"]}
        for item in described
    ]
    shown = {str(item["id"]) for item in described}
    return whole + [_stated(item, raw, now) for identifier, item in known.items() if identifier not in shown]


def as_status(item: Mapping[str, Any], currency: str | None) -> dict[str, Any]:
    """A recommendation of the operator's document in the words of a status."""
    impact = item.get("impact")
    if not isinstance(impact, Mapping):
        return dict(item)
    amounts = (Interval(a["low"], a["likely"], a["high"]) if (a := impact.get(name)) else None for name in _AMOUNTS)
    return {**item, "impact": impacts.line(Impact(*amounts), currency or "USD")}


def minor(detail: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The recommendations of the operator's document that are too small to be published."""
    currency = (detail.get("cost") or {}).get("currency")
    return [{**as_status(item, currency), "state": "Minor"} for item in detail.get("minor") or ()]


def _stated(item: Mapping[str, Any], raw: Mapping[str, Any], now: float) -> dict[str, Any]:
    """A recommendation that only the operator knows, with its state. A dismissal it has not seen yet counts; one
    in spite of which the recommendation came back does not."""
    state = str(item.get("state", "Active"))
    decision = decisions(raw, now).get(str(item["id"]))
    if state != "Active" or decision in (None, item.get("dismissal")):
        return {**item, "state": state}
    return {**item, "state": "Dismissed", "dismissal": decision}
