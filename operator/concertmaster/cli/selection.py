"""Choosing many recommendations at once: by what they are worth and by the labels of their profiles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from concertmaster.cli import profiles
from concertmaster.cli.errors import UserError
from concertmaster.core.fleet.materiality import value
from concertmaster.core.model import Impact
from concertmaster.core.model.policy import Pricing
from concertmaster.report import impact as impacts

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


def amount(text: str | None) -> float | None:
    """The number of ``--below``: ``1usd``, ``1 USD`` or ``1``. The unit is that of ``top``. Raises UserError."""
    if text is None:
        return None
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise UserError(f"--below: {text!r} is not an amount such as 1usd")
    return float(match[1])


def chosen(selected: Iterable[Mapping[str, Any]], below: float | None) -> Iterator[Chosen]:
    """The Active recommendations of ``selected`` profiles that are worth less than ``below`` a month (None: all). What has
    no figure, such as an objective at risk, is not known to be worth little."""
    for profile in selected:
        for item in profiles.recommendations(profile):
            found = impacts.parse(item.get("impact"))
            worth, known = value(found, Pricing()), found != Impact()
            if item.get("state") == "Active" and (below is None or (known and worth < below)):
                yield Chosen(profile, str(item["id"]), str(item.get("action") or ""), worth)
