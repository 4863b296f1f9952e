"""What a request asks for: filters, order and page, each bounded. Anything else in a query is ignored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from concertmaster.core.analysis.periods import Period
from concertmaster.core.model.enums import RecommendationState, Severity
from concertmaster.report.workflows.fleet import SORT, Filter

PAGE = 50
MAX_PAGE_SIZE = 500  # lines of one page
_LONG = 253
TEXT: dict[str, Any] = {"type": "string"}
PARAMETERS: dict[str, tuple[str, dict[str, Any]]] = {  # what each is, and its JSON schema
    "namespace": ("Only workflows of this namespace.", TEXT),
    "label": ("Only workflows with this label, as key or key=value.", TEXT),
    "kind": ("Only workflows of this kind.", TEXT),
    "severity": ("Only with a recommendation of at least this severity.", {"enum": [s.value for s in Severity]}),
    "q": ("Only workflows with this text in namespace or name.", TEXT),
    "sort": ("Order.", {"enum": list(SORT), "default": "impact"}),
    "reverse": ("1: the other way round.", {"enum": ["0", "1"]}),
    "offset": ("Lines before the first.", {"type": "integer", "minimum": 0, "default": 0}),
    "limit": ("Most lines.", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE}),
    "state": ("Only in this state.", {"enum": [s.value for s in RecommendationState]}),
    "pods": ("Most pods at a time; 0: as now.", {"type": "integer", "minimum": 0, "maximum": 1000, "default": 0}),
    "no-retries": ("1: every pod succeeds at its first attempt.", {"enum": ["0", "1"]}),
    "period": ("Length of a period.", {"enum": [p.value for p in Period], "default": Period.DAILY.value}),
    "before": ("The run compared with: a name, latest or typical.", {**TEXT, "default": "typical"}),
    "after": ("The run in question: a name, latest or typical.", {**TEXT, "default": "latest"}),
}


@dataclass(frozen=True, slots=True)
class Paging:
    """Where a page begins and how many lines it has."""

    offset: int = 0
    limit: int = PAGE


@dataclass(frozen=True, slots=True)
class FleetQuery:
    """Which workflows, in which order, which page."""

    filter: Filter
    sort: str
    reverse: bool
    paging: Paging

    def url(self, **change: object) -> str:
        """The address of the same list with something changed; a changed order or filter begins at the first page."""
        filter_ = self.filter
        values: dict[str, object] = {
            "namespace": filter_.namespace,
            "label": filter_.label,
            "kind": filter_.kind,
            "severity": filter_.severity,
            "q": filter_.text,
            "sort": self.sort,
            "reverse": "1" if self.reverse else "",
            "limit": self.paging.limit if self.paging.limit != PAGE else "",
            "offset": 0,
        }
        return "/?" + urlencode({k: v for k, v in (values | change).items() if v not in ("", 0, None)})


def word(request: web.Request, name: str) -> str:
    """A short text of the query."""
    return request.query.get(name, "")[:_LONG]


def number(request: web.Request, name: str, default: int, most: int) -> int:
    """A whole number of the query within bounds."""
    try:
        return min(most, max(0, int(request.query.get(name, ""))))
    except ValueError:
        return default


def paging(request: web.Request) -> Paging:
    """Offset and limit."""
    return Paging(number(request, "offset", 0, 1_000_000), max(1, number(request, "limit", PAGE, MAX_PAGE_SIZE)))


def filter_of(request: web.Request) -> Filter:
    """The filter."""
    names = ("namespace", "label", "kind", "severity")
    return Filter(**{name: word(request, name) for name in names}, text=word(request, "q"))


def fleet_query(request: web.Request) -> FleetQuery:
    """All of it."""
    sort = word(request, "sort")
    return FleetQuery(
        filter_of(request), sort if sort in SORT else "impact", word(request, "reverse") == "1", paging(request)
    )


def checked(request: web.Request, names: Iterable[str]) -> None:
    """Raises HTTPBadRequest where one of these parameters has a value that it does not take."""
    for name in names:
        given, taken = word(request, name), PARAMETERS[name][1].get("enum")
        if given and taken and given not in taken:
            raise web.HTTPBadRequest(text=f"{name} is one of {', '.join(taken)}.")
