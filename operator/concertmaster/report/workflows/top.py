"""The most valuable recommendations of many profiles, read from their statuses: as ``concertmaster top`` and the statuses of
policies show them, with their sums."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from concertmaster.core import text
from concertmaster.core.fleet.materiality import MIN_CRITICAL, value
from concertmaster.core.fleet.ranking import Headline, Totals, order_value
from concertmaster.core.model.policy import Pricing
from concertmaster.core.text import plain
from concertmaster.report import impact as impacts
from concertmaster.report.tables import cell
from concertmaster.report.workflows.fields import full_name, recommendations
from concertmaster.report.workflows.list_entries import confidence, place

_CHANGE = 72  # characters of a change; all of it with -o wide
HEADER = ["#", "NAMESPACE", "WORKFLOW", "CHANGE", "IMPACT PER MONTH", "CONFIDENCE", "EFFORT", "RISK", "ID"]
WIDE_HEADER = [*HEADER, "SEVERITY"]


def headlines(profile: Mapping[str, Any]) -> Iterator[Headline]:
    """The Active recommendations of a profile's status."""
    namespace, workflow = place(profile)
    for item in recommendations(profile):
        if item.get("state", "Active") == "Active":
            yield Headline(
                namespace,
                full_name(profile)[1],
                workflow,
                str(item["id"]),
                str(item.get("action") or item["id"]),
                impacts.parse(item.get("impact")),
                str(item.get("effort") or ""),
                str(item.get("risk") or ""),
                str(item.get("severity") or ""),
                confidence(item.get("confidence")),
                impacts.currency(item.get("impact")),
            )


def top_line(headline: Headline) -> str:
    """One headline as one line of a policy's status."""
    worth = impacts.line(headline.impact, headline.currency or "")
    known = [f"confidence {text.percent(headline.confidence)}"] if headline.confidence is not None else []
    known += [f"effort {headline.effort}"] if headline.effort else []
    known += [f"risk {headline.risk}"] if headline.risk else []
    sure = f" ({', '.join(known)})" if known else ""
    more = f" and {text.count(headline.namespaces - 1, 'more namespace')}" if headline.namespaces > 1 else ""
    return plain(f"{headline.namespace}/{headline.profile}{more} {headline.id}: {worth}{sure}; {headline.action}")


def totals_document(totals: Totals, below: int) -> dict[str, Any]:
    """The sums as fields of a policy's status. ``below``: minor items of all profiles."""
    money = ", ".join(f"{text.number(v)} {k}" for k, v in totals.money.items())
    document = {
        "failedRunsPerMonth": text.number(totals.failed_runs),
        "minor": below,
        "moneyPerMonth": money or None,
        "recommendations": totals.recommendations,
        "runHoursPerMonth": text.number(totals.run_hours),
        "workflows": totals.workflows,
    }
    return {k: v for k, v in document.items() if v is not None}


def totals_sentence(totals: Totals) -> str:
    """The sums as one line, which says of each that it is saved or avoided; sums of nothing are left out."""
    saved = [impacts.counted(text.number(totals.run_hours), "run-hour")] if totals.run_hours else []
    saved += [f"{text.number(v)} {k}" for k, v in totals.money.items() if v]
    gains = [f"save {' and '.join(saved)}"] if saved else []
    failed = impacts.counted(text.number(totals.failed_runs), "failed run")
    gains += [f"avoid {failed}"] if totals.failed_runs else []
    count = f"{text.count(totals.recommendations, 'recommendation')} for {text.count(totals.workflows, 'workflow')}"
    return f"{count}: together they {' and '.join(gains)} a month" if gains else count


def legend(shown: Sequence[Headline], pricing: Pricing, money: Collection[str], source: str) -> tuple[str, ...]:
    """How the ranked table is read: its order, its units, and why a line has no figure. ``money``: the currencies;
    ``source``: where the scale comes from."""
    unit = "".join(f" {name}" for name in money) if len(money) == 1 else ""
    order = (
        "Impact: what is saved or avoided, with its 90% interval; a run-hour is one hour less of run time. Order: by impact,"
        f" a run-hour counted as {pricing.run_hour:g}{unit} and a failed run as {pricing.failed_run:g}{unit} ({source})."
    )
    rest = (
        "Confidence: how likely the recommendation is right: higher with more runs, better measured, that agree."
        " The interval of the impact assumes that it is right. Risk: of making the change."
    )
    if any(impacts.monthly(h.impact, h.currency or "") == impacts.NOTHING for h in shown):
        rest += f" {impacts.NOTHING.capitalize()}: the benefit is another one, such as an objective that is met."
    if any(order_value(h.id, h.severity, h.impact, pricing) > value(h.impact, pricing) for h in shown):
        rest += f" A workflow that no longer succeeds counts as {MIN_CRITICAL:g}{unit} at least."
    if any(h.namespaces > 1 for h in shown):
        rest += " More namespaces: the impact is that of the workflows of this name in all of them."
    return order, rest


def minor_count(profiles: Iterable[Mapping[str, Any]]) -> int:
    """Minor items of all profiles."""
    return sum(int((p.get("status") or {}).get("minor") or 0) for p in profiles)


def change(action: str, most: int = _CHANGE) -> str:
    """A change as a column of a table. One longer than ``most`` characters goes without what follows in parentheses, or is
    cut after a word."""
    if len(action) <= most:
        return action
    head, opened, _ = action.partition(" (")
    if opened and action.endswith(")") and len(head) <= most:
        return head
    return f"{action[:most].rpartition(' ')[0].rstrip(' ,;:') or action[: most - 1]}…"


def rows(headlines: Sequence[Headline], *, wide: bool = False) -> list[list[str]]:
    """Cells of a ranked table: the change in words, for somebody who has not seen the workflow before, and its id last, for
    commands."""
    return [
        [
            str(position),
            f"{h.namespace} and {h.namespaces - 1} more" if h.namespaces > 1 else h.namespace,
            h.workflow,
            h.action if wide else change(h.action),
            impacts.monthly(h.impact, h.currency or ""),
            cell(h.confidence, text.percent),
            h.effort or "-",
            h.risk or "-",
            h.id,
            *([h.severity] if wide else []),
        ]
        for position, h in enumerate(headlines, 1)
    ]
