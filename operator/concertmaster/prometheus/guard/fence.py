"""The fence around queries that users write: whatever they say, only series of their own namespace are read.

The operator may read the whole store, its users may not, so their queries run with borrowed rights. Every selector of
such a query gets the profile's namespace and the source's extra matchers, the result is printed anew, parsed again and
checked by a second, independent walk. What cannot be fenced is refused: ``or`` between matchers, functions that select
series by themselves (``info``), labels by which stores switch tenants. What a query does to labels afterwards
(``label_replace`` writing another namespace) changes no series that was read, and results are only ever
attributed to the profile that asked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import promql_parser as p

from concertmaster.prometheus.client.errors import QueryRefused
from concertmaster.prometheus.guard.position import column
from concertmaster.prometheus.guard.promql_text import Term, Unprintable, children, render, terms

WINDOW = "$window"
MAX_LENGTH = 2048  # characters, as in the resources' schema
MAX_DEPTH = 24  # brackets inside one another
MAX_OPERATORS = 60
MAX_SPAN = timedelta(days=31)  # ranges and offsets
MAX_POINTS = 11_000  # evaluations of a subquery, nested ones multiplied; Prometheus' own bound on points
_DEFAULT_STEP = timedelta(minutes=1)  # of a subquery that names none: the metrics source's evaluation interval

_WINDOW_RANGE = re.compile(r"\[\s*\$window\s*(?=[:\]])")
_STRING = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|`[^`]*`')
_OPERATOR = re.compile(r"[-+*/%^<>]|[=!]=|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)
_REMEDY = "Change the query of the profile or policy"


def fence(
    query: str,
    *,
    namespace: str,
    window: float,
    extra_matchers: Mapping[str, str] | None,
    label: str = "namespace",
    where: str = "",
) -> str:
    """The query as it may be executed: ``$window`` replaced by ``window`` seconds, every selector confined.

    ``label`` is what the source calls the namespace; ``where`` names the query in messages. Raises QueryRefused.
    """
    if not namespace:
        raise QueryRefused("there is no namespace to confine the query to", where=where, remedy=_REMEDY)
    if not 0 < window < float("inf"):
        raise QueryRefused(f"a window of {window} seconds is no span of time", where=where, remedy=_REMEDY)
    required: list[Term] = [(label, "=", namespace)]
    required += [(name, "=", value) for name, value in sorted((extra_matchers or {}).items())]
    try:
        tree = _understood(query, math.ceil(window), required)
        _reachable(tree, required)
        printed = render(tree, required)
        _assert_fenced(printed, required, sum(1 for _ in _selectors(tree)))
    except (Unprintable, _Refused) as error:
        raise QueryRefused(str(error), where=where, remedy=_REMEDY) from None
    return printed


def check(query: str, *, where: str = "") -> None:
    """Whether a query can be fenced at all, before it is known where and when it will run. Raises QueryRefused."""
    try:
        _understood(query, 3600, [("namespace", "=", "example")])
    except (Unprintable, _Refused) as error:
        raise QueryRefused(str(error), where=where, remedy=_REMEDY) from None


class _Refused(ValueError):
    """A reason not to run a query."""


def _with_window(query: str, seconds: int) -> str:
    """The text with ``$window`` filled in, after the checks a parser must be spared: it recurses on the machine's
    stack, and a text of a few thousand brackets ends the whole process."""
    if len(query) > MAX_LENGTH:
        raise _Refused(f"the query has {len(query)} characters, at most {MAX_LENGTH} are allowed")
    if re.search(r"[^\t\n\x20-\U0010ffff]|[\x7f-\x9f\u2028\u2029\ud800-\udfff]", query):
        raise _Refused("the query contains control characters")
    outside = _STRING.sub('""', query)
    if "#" in outside:
        raise _Refused("comments are not allowed in the query")
    depth = deepest = 0
    for character in outside:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise _Refused(f"the query nests {deepest} brackets, at most {MAX_DEPTH} are allowed")
    operators = len(_OPERATOR.findall(outside))
    if operators > MAX_OPERATORS:
        raise _Refused(f"the query has {operators} operators, at most {MAX_OPERATORS} are allowed")
    if not _WINDOW_RANGE.search(outside):
        raise _Refused(
            f"the query must use {WINDOW} as a range, for example last_over_time(my_metric[{WINDOW}]):"
            " without it nothing is found once a run has ended"
        )
    return _WINDOW_RANGE.sub(f"[{seconds}s", query)


def _parse(text: str, original: str = "") -> Any:
    try:
        return p.parse(text)
    except Exception as error:  # noqa: BLE001 - the parser's bindings raise more than ValueError for malformed input
        place = column(original)
        where = f" at column {place}" if place is not None else ""
        raise _Refused(f"the query is not valid PromQL{where}: {' '.join(str(error).split())[:200]}") from None


def _walk(expr: Any) -> Iterator[Any]:
    yield expr
    for child in children(expr):
        yield from _walk(child)


def _selectors(tree: Any) -> Iterator[Any]:
    return (expr for expr in _walk(tree) if isinstance(expr, p.VectorSelector))


def _bounded(tree: Any, points: float = 1.0) -> None:
    """Spans and the number of evaluations stay within what a shared store should be asked."""
    if isinstance(tree, p.SubqueryExpr):
        step = tree.step or _DEFAULT_STEP
        points *= max(1.0, (tree.range or timedelta(0)) / step) if step > timedelta(0) else float("inf")
        if points > MAX_POINTS:
            raise _Refused(
                f"a subquery evaluates {points:.0f} points, at most {MAX_POINTS} are allowed: use a longer step"
            )
    for span in (getattr(tree, "range", None), getattr(tree, "offset", None)):
        if span is not None and abs(span) > MAX_SPAN:
            raise _Refused(f"a range or offset is longer than {MAX_SPAN.days} days")
    for child in children(tree):
        _bounded(child, points)


def _understood(query: str, seconds: int, required: list[Term]) -> Any:
    """The syntax tree of a query that is made of known parts, within bounds, and uses the window."""
    tree = _parse(_with_window(query, seconds), query)
    render(tree, required)
    _bounded(tree)
    if isinstance(tree, p.MatrixSelector | p.SubqueryExpr | p.StringLiteral):
        raise _Refused(
            "the query gives ranges or text, one number per series is needed: wrap it, as in last_over_time(...)"
        )
    for expr in _selectors(tree):
        names = [(operator, value) for name, operator, value in terms(expr) if name == "__name__"]
        if not any(operator == "=" or (operator == "=~" and not value.startswith(".")) for operator, value in names):
            raise _Refused("every selector must name its metric")
    # A text inside quotes may look like the range that was requested.
    ranges = [expr.range for expr in _walk(tree) if isinstance(expr, p.MatrixSelector | p.SubqueryExpr)]
    if timedelta(seconds=seconds) not in ranges:
        raise _Refused(f"the query must use {WINDOW} as the range of a selector")
    return tree


def _reachable(tree: Any, required: list[Term]) -> None:
    """No selector asks for another namespace by name: it would find nothing, and its author should know why."""
    forced = {name: value for name, _, value in required}
    for expr in _selectors(tree):
        for name, operator, value in terms(expr):
            if operator == "=" and name in forced and value != forced[name]:
                raise _Refused(f"the query asks for {name}={value!r}, it may only read {name}={forced[name]!r}")


def _assert_fenced(printed: str, required: list[Term], count: int) -> None:
    """Parse what will be sent and examine it afresh, by the library's own walk and by ours."""
    tree = _parse(printed)
    seen: list[Any] = []

    def visit(expr: Any) -> None:
        if isinstance(expr, p.VectorSelector):
            seen.append(expr)
        elif isinstance(expr, p.MatrixSelector):
            seen.append(expr.vector_selector)

    p.walk(tree, visit)
    own = list(_selectors(tree))
    if len(own) != count or {_key(expr) for expr in own} != {_key(expr) for expr in seen}:
        raise _Refused("the query changes its meaning when it is printed")
    for expr in own:
        if expr.matchers.or_matchers or not set(required) <= set(terms(expr)):
            raise _Refused("a selector of the query escapes its namespace")
    if render(tree) != printed:
        raise _Refused("the query changes its meaning when it is printed")


def _key(expr: Any) -> tuple[Term, ...]:
    return tuple(terms(expr))
