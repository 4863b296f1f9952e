"""What to write where a workflow is defined, in the words of an engine that is known by pod labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from concertmaster.api.labelled import labels_of
from concertmaster.engines.labels.definition import TRAITS, preset_of
from concertmaster.report import fleet

_LEADING = re.compile(r"\d+")


def snippet(item: Mapping[str, Any], profile: Mapping[str, Any]) -> str | None:
    """The lines for a recommendation: as the operator says, else read off the status, so that sizes, retries and limits are
    known without the operator too."""
    labels = labels_of(profile.get("spec") or {})
    if item.get("snippet") or labels is None:
        return item.get("snippet")
    rule, _, step = str(item["id"]).partition(".")
    traits = TRAITS[preset_of(labels).name]
    count = _LEADING.match(str(item.get("proposed") or ""))
    if rule == "retry-policy" and count:
        return traits.retries(step, int(count[0]))
    if rule == "parallelism" and count:
        return traits.concurrency(labels.value, int(count[0]))
    sizes: dict[tuple[str, str], dict[str, str]] = {}
    for line in item.get("items") or ():
        row = fleet.item_of(str(line))
        if row is not None:
            sizes.setdefault((row["step"] or "", row["container"] or ""), {})[row["field"] or ""] = row["new"] or ""
    return traits.remedies(sizes)
