"""What the status of a WorkflowProfile leaves out, and in which order, so that it stays below 16 KiB.

Dropped until enough is left for the conditions: step lines, what is no longer to be done, insights, the reasons of entries
in short (the operator serves insights too, programs read reasons here), memory that any analysis can renew, the many fields
that results have set, results, decisions of people, and only then Active recommendations, from the end, remembered in
short.
"""

from __future__ import annotations

from typing import Any

from concertmaster.core.text import json_size
from concertmaster.report.status import recommendation_log as remembered

MAX_BYTES = 16 * 1024
_FOR_CONDITIONS = 2048  # bytes
STEPS = 20
MIN_KEPT = 3  # step lines, and insights that stay before anything is lost that no analysis can renew
_MANY_FIELDS = 1000  # characters
KEPT_RESULTS = 3  # what was learned last is worth more than the last of five recommendations

Document = dict[str, Any]


def bounded(status: Document) -> Document:
    """``status`` itself, with so much dropped that room is left for the conditions."""
    reduction = _Reduction(status, MAX_BYTES - _FOR_CONDITIONS)
    if not reduction.large():
        return status
    reduction.drop("steps", STEPS // 2)
    reduction.give_way(active=False)
    reduction.drop_reasons(active=False)
    reduction.drop("steps", MIN_KEPT)
    reduction.drop("insights", MIN_KEPT)
    reduction.drop_reasons(active=True)
    reduction.forget(decisions=False)
    reduction.forget_fields()
    reduction.learn_less()
    reduction.forget(decisions=True)
    reduction.give_way(active=True)
    reduction.forget(decisions=True)
    reduction.drop("results", 0)
    return status


class _Reduction:
    """Each method drops one sort of thing, and no more of it than is too much."""

    def __init__(self, status: Document, most: int) -> None:
        """``most``: bytes."""
        self._status = status
        self._most = most

    def large(self) -> bool:
        return json_size(self._status) > self._most

    def drop(self, key: str, least: int) -> None:
        """Entries from the end of a list, of which ``least`` stay."""
        while self.large() and len(self._status.get(key, ())) > least:
            self._status[key].pop()

    def give_way(self, *, active: bool) -> None:
        """Recommendations in full, but the first, are remembered in short; also ``active`` ones."""
        status, shown = self._status, self._status["recommendations"]
        while self.large() and len(shown) > 1 and (active or shown[-1]["state"] != "Active"):
            gone = shown.pop()
            status["remaining"] = [remembered.shortened(gone), *status.get("remaining", ())]
            if len(status["remaining"]) > remembered.MAX_SHORT:
                del status["remaining"][remembered.least(status["remaining"])]
            if gone["state"] == "Active":
                status["moreRecommendations"] += 1
            self.drop_reasons(active=active)

    def drop_reasons(self, *, active: bool) -> None:
        """A list says less about the last entries, before any of them is lost."""
        for entry in reversed(self._status.get("remaining", [])):
            if active or entry["state"] != "Active":
                for key in remembered.REASONS & entry.keys() if self.large() else ():
                    del entry[key]

    def forget(self, *, decisions: bool) -> None:
        """Entries in short; also ``decisions`` of people."""
        rest = self._status.get("remaining", [])
        while self.large() and rest and (decisions or not remembered.decided(rest[remembered.least(rest)])):
            del rest[remembered.least(rest)]

    def forget_fields(self) -> None:
        """The fields of results where they are many, of judged and of old ones first. Without them it is not seen whether
        the object still has what was set."""
        for entry in sorted(self._status.get("results", []), key=lambda o: ("verdict" not in o, o["since"])):
            if len(entry.get("sets", "")) > _MANY_FIELDS and self.large():
                del entry["sets"]

    def learn_less(self) -> None:
        """Open results give way before judged ones, from which more has been learned."""
        results = self._status.get("results", [])
        for waits in (True, False):
            at = [i for i, o in enumerate(results) if ("verdict" not in o) is waits]
            while self.large() and at and len(results) > KEPT_RESULTS:
                del results[at.pop()]
