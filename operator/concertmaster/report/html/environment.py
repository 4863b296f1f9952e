"""The template environment: autoescape everywhere, numbers spelt as in all of our output."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape

from concertmaster.api.models.list_entry import ListEntry
from concertmaster.api.views.fleet import Amounts, ChangeRow, TopAction
from concertmaster.core import text
from concertmaster.core.changes.phases.proposed import ASKS
from concertmaster.core.times import to_minute
from concertmaster.core.units import HOUR
from concertmaster.report import impact as impacts
from concertmaster.report.tables import DASH, cell
from concertmaster.report.workflows.fields import moment

DIRECTORY = Path(__file__).resolve().parent


@cache
def environment(*folders: Path) -> Environment:
    """The environment with the templates of these folders beside the shared ones."""
    made = Environment(
        loader=FileSystemLoader([*folders, DIRECTORY / "templates"]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "duration": lambda seconds: cell(seconds, text.duration, DASH),
        "signed": text.signed,
        "percent": lambda value: cell(value, "{:g}%".format, DASH),
        "share": lambda share: cell(share, text.percent, DASH),
        "amount": lambda value: cell(value, text.number, DASH),
        "money": money,
        "hours": hours,
        "amounts": amounts,
        "when": when,
        "copies": copies,
        "impact": impact_line,
        "question": question,
        "labelled": labelled,
    }
    return made


@cache
def stylesheet() -> Markup:
    """The style sheet, to be embedded in a document. Nothing of it comes from a cluster."""
    return Markup((DIRECTORY / "style.css").read_text(encoding="utf-8"))


def when(value: str | None) -> str:
    """A time of a status for people: ``2027-01-31 00:00 UTC``."""
    at = moment(value)
    return cell(at, to_minute, DASH)


def money(by_currency: Mapping[str, float] | float | None, currency: str | None = None) -> str:
    """``12.5 USD``; several currencies side by side; a dash where none is known."""
    if by_currency is None:
        return DASH
    if not isinstance(by_currency, Mapping):
        return f"{text.number(by_currency)} {currency or 'USD'}"
    return " + ".join(f"{text.number(v)} {k}" for k, v in sorted(by_currency.items())) or DASH


def hours(value: float) -> str:
    """``12.5 h``, less than one as ``30s`` or ``5m30s``."""
    return text.duration(HOUR * value) if 0 < value < 1 else f"{text.number(value) if value else 0} h"


def amounts(value: Amounts | None) -> str:
    """Amounts a month on one line; a dash where there are none."""
    if value is None:
        return DASH
    sums = ((value.run_hours, "run-hour"), (value.failed_runs, "failed run"))
    parts = [impacts.counted(text.number(amount), unit) for amount, unit in sums if amount > 0]
    parts += [money(value.money)] if value.money else []
    return ", ".join(parts) or DASH


def impact_line(entry: ListEntry) -> str:
    """What a recommendation is worth a month, on one line."""
    return impacts.monthly(impacts.of_entry(entry), entry.impact.currency or "")


def copies(action: TopAction) -> str:
    """What follows the name of a workflow that has copies: `` and 39 more namespaces``."""
    return f" and {text.count(action.namespaces - 1, 'more namespace')}" if action.namespaces > 1 else ""


def question(change: ChangeRow) -> str:
    """What a waiting change does and what else its approver must know, as who else runs a shared Task; not the command."""
    said, asks, _ = (change.message or "").partition(ASKS)
    return said if asks else change.predicted or DASH


def labelled(rows: str, header: Sequence[str]) -> Markup:
    """Table rows whose cells name their column, for narrow screens, where the header is not seen. Every row has all
    columns, and values are escaped: each ``<td`` is a cell of the template."""
    names = cycle(escape(name.lstrip("#")) for name in header)
    return Markup(re.sub("<td", lambda _: f'<td data-label="{next(names)}"', rows))


def render(template: str, *folders: Path, **context: Any) -> str:
    """A document."""
    return environment(*folders).get_template(template).render(**context)
