"""What a request asks for: filters, order and page, each bounded. Anything else in a query is ignored."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web

from concertmaster.report.workflows.fleet import SORT, Filter

PAGE = 50
MOST = 500  # lines of one page
_LONG = 253


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
        wanted = self.filter
        values: dict[str, object] = {
            "namespace": wanted.namespace,
            "label": wanted.label,
            "kind": wanted.kind,
            "severity": wanted.severity,
            "q": wanted.text,
            "sort": self.sort,
            "reverse": "1" if self.reverse else "",
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
    return Paging(number(request, "offset", 0, 1_000_000), max(1, number(request, "limit", PAGE, MOST)))


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
