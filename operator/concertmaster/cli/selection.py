"""Choosing many recommendations at once: by what they are worth and by the labels of their profiles."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from concertmaster.cli.documents import say
from concertmaster.cli.errors import CallError, UserError
from concertmaster.core.fleet.materiality import value
from concertmaster.core.model import Impact
from concertmaster.core.model.policy import Pricing
from concertmaster.report import impact as impacts
from concertmaster.report.workflows.fields import recommendations

T = TypeVar("T")
_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]{3})?")


@dataclass(frozen=True, slots=True)
class Chosen:
    """One recommendation of a profile, with what it is worth a month on the scale of ``top``."""

    profile: Mapping[str, Any]
    id: str
    action: str
    worth: float

    def __str__(self) -> str:
        meta = self.profile["metadata"]
        return f"{meta['namespace']}/{meta['name']}/{self.id}"


@dataclass(frozen=True, slots=True)
class MinimumValue:
    """The value of ``--below``: an amount a month on the scale of ``top``, in ``currency`` where it names one."""

    amount: float
    currency: str | None = None


def amount(text: str | None) -> MinimumValue | None:
    """The amount of ``--below``: ``1usd``, ``1 USD`` or ``1``. Raises UserError."""
    if text is None:
        return None
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise CallError(f"--below: {text!r} is not an amount such as 1usd")
    return MinimumValue(float(match[1]), match[2].upper() if match[2] else None)


def chosen(selected: Iterable[Mapping[str, Any]], below: MinimumValue | None, scale: Pricing) -> list[Chosen]:
    """The Active recommendations of ``selected`` profiles that are worth less than ``below`` a month on ``scale`` (None:
    all). What has no figure, such as an objective at risk, is not known to be worth little. Raises UserError when they are
    not priced in the currency of ``below``, or in several: amounts are compared, not converted."""
    items: list[Chosen] = []
    priced: dict[str, Chosen] = {}
    for profile in selected:
        for item in recommendations(profile):
            if item.get("state") != "Active":
                continue
            impact = impacts.parse(item.get("impact"))
            one = Chosen(profile, str(item["id"]), str(item.get("action") or ""), value(impact, scale))
            if (currency := impacts.currency(item.get("impact"))) is not None:
                priced.setdefault(currency, one)
            if below is None or (impact != Impact() and one.worth < below.amount):
                items.append(one)
    if below is not None:
        _assert_comparable(below, priced)
    return items


def decide_each(items: Sequence[T], decide: Callable[[T], None]) -> None:
    """Decide about each of ``items``, as kubectl does: one that fails, because it has just changed, leaves the others.
    Raises UserError when one failed, after each was tried."""
    failed = 0
    for item in items:
        try:
            decide(item)
        except UserError as error:
            if len(items) == 1:
                raise
            failed += 1
            say(f"error: {error}", err=True)
    if failed:
        raise UserError(f"{failed} of {len(items)} were not decided, for the reasons above; try these again")


def confirm(question: str) -> None:
    """Ask a person. Raises UserError for another answer than yes, or where there is nobody to answer."""
    try:
        sure = click.confirm(question)
    except click.Abort:
        if sys.stdin.isatty():
            raise  # Ctrl+C
        raise UserError("nothing was changed: there is no answer on stdin; --yes answers") from None
    if not sure:
        raise UserError("nothing was changed")


def _assert_comparable(below: MinimumValue, priced: Mapping[str, Chosen]) -> None:
    """``priced``: an example of each currency among the recommendations."""
    other = next((one for currency, one in sorted(priced.items()) if currency != below.currency), None)
    if below.currency is not None and other is not None:
        currency = next(k for k, one in priced.items() if one is other)
        raise UserError(
            f"--below: {other} is priced in {currency}, not in {below.currency}, and amounts are not converted;"
            f" give the amount in {currency}, or select profiles priced in {below.currency} by -n and -l"
        )
    if len(priced) > 1:
        named = " and ".join(f"{k} ({one})" for k, one in sorted(priced.items()))
        raise UserError(
            f"--below: the selected recommendations are priced in {named}, and amounts are not converted;"
            " select profiles of one currency by -n and -l"
        )
