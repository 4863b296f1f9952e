"""Printing a parsed query in one plain form, and nothing that is not understood.

What a user wrote and what is sent to the metrics source are two texts: the second is built here from the syntax tree, from a
short list of known constructs, with every selector in the form ``{__name__="x",...}`` and every operand in parentheses.
So two parsers have as little as possible to disagree about. Whatever is not on the list raises.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import promql_parser as p

from concertmaster.prometheus.queries.promql import quote

_AGGREGATIONS = "avg bottomk count count_values group max min quantile stddev stdvar sum topk"
_OPERATORS = "+ - * / % ^ atan2 == != > < >= <= and or unless"
_FUNCTIONS = """
    abs absent absent_over_time acos acosh asin asinh atan atanh avg_over_time ceil changes clamp clamp_max clamp_min
    cos cosh count_over_time day_of_month day_of_week day_of_year days_in_month deg delta deriv exp floor
    histogram_avg histogram_count histogram_fraction histogram_quantile histogram_stddev histogram_stdvar histogram_sum
    hour idelta increase irate label_join label_replace last_over_time ln log10 log2 max_over_time min_over_time minute
    month pi predict_linear present_over_time quantile_over_time rad rate resets round scalar sgn sin sinh sort
    sort_desc sqrt stddev_over_time stdvar_over_time sum_over_time tan tanh time timestamp vector year"""
AGGREGATIONS = frozenset(_AGGREGATIONS.split())
OPERATORS = frozenset(_OPERATORS.split())
FUNCTIONS = frozenset(_FUNCTIONS.split())
RESERVED = frozenset({"vm_account_id", "vm_project_id"})  # VictoriaMetrics picks the tenant by these
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# The library's enumerations cannot be hashed, so they are looked up by comparison.
_OPS = ((p.MatchOp.Equal, "="), (p.MatchOp.NotEqual, "!="), (p.MatchOp.Re, "=~"), (p.MatchOp.NotRe, "!~"))
_SIDES = ((p.VectorMatchCardinality.ManyToOne, "group_left"), (p.VectorMatchCardinality.OneToMany, "group_right"))

Term = tuple[str, str, str]  # label, operator, value


class Unprintable(ValueError):
    """A construct that is not on the list; the message names it."""


def render(expr: Any, extra: Sequence[Term] = ()) -> str:
    """The text of an expression, with the matchers ``extra`` added to every selector. Raises Unprintable."""
    if isinstance(expr, p.NumberLiteral):
        return _number(expr.val)
    if isinstance(expr, p.StringLiteral):
        return quote(expr.val)
    if isinstance(expr, p.ParenExpr):
        return render(expr.expr, extra)
    if isinstance(expr, p.UnaryExpr):
        return f"-({render(expr.expr, extra)})"
    if isinstance(expr, p.VectorSelector):
        return _selector(expr, extra) + _moved(expr)
    if isinstance(expr, p.MatrixSelector):
        inner = expr.vector_selector
        return f"{_selector(inner, extra)}[{duration(expr.range)}]{_moved(inner)}"
    if isinstance(expr, p.SubqueryExpr):
        step = "" if expr.step is None else duration(expr.step)
        span = "" if expr.range is None else duration(expr.range)
        return f"({render(expr.expr, extra)})[{span}:{step}]{_moved(expr)}"
    if isinstance(expr, p.AggregateExpr):
        return _aggregate(expr, extra)
    if isinstance(expr, p.Call):
        if expr.func.name not in FUNCTIONS:
            raise Unprintable(f"the function {expr.func.name} is not allowed here")
        return f"{expr.func.name}({', '.join(render(argument, extra) for argument in expr.args)})"
    if isinstance(expr, p.BinaryExpr):
        return _binary(expr, extra)
    raise Unprintable(f"{type(expr).__name__} is not allowed here")


def terms(expr: Any) -> list[Term]:
    """The matchers of a vector selector, the metric name among them. Raises Unprintable for alternatives by ``or``."""
    if expr.matchers.or_matchers:
        raise Unprintable('"or" between the matchers of a selector is not allowed')
    named = [("__name__", "=", expr.name)] if expr.name is not None else []
    return named + [(one.name, _operator(one.op), one.value) for one in expr.matchers.matchers]


def _operator(symbol: Any) -> str:
    return next(text for operator, text in _OPS if operator == symbol)


def children(expr: Any) -> list[Any]:
    """The expressions directly below one, selectors of ranges included. Raises Unprintable for unknown nodes."""
    if isinstance(expr, p.NumberLiteral | p.StringLiteral | p.VectorSelector):
        return []
    if isinstance(expr, p.ParenExpr | p.UnaryExpr | p.SubqueryExpr):
        return [expr.expr]
    if isinstance(expr, p.MatrixSelector):
        return [expr.vector_selector]
    if isinstance(expr, p.AggregateExpr):
        return [expr.expr] if expr.param is None else [expr.param, expr.expr]
    if isinstance(expr, p.Call):
        return list(expr.args)
    if isinstance(expr, p.BinaryExpr):
        return [expr.lhs, expr.rhs]
    raise Unprintable(f"{type(expr).__name__} is not allowed here")


def duration(span: timedelta) -> str:
    """A PromQL duration in seconds, or milliseconds where it has a fraction; negative ones keep their sign."""
    milliseconds = round(span / timedelta(milliseconds=1))
    sign, size = ("-", -milliseconds) if milliseconds < 0 else ("", milliseconds)
    return f"{sign}{size}ms" if size % 1000 else f"{sign}{size // 1000}s"


def _selector(expr: Any, extra: Sequence[Term]) -> str:
    own = terms(expr)
    for name, _, _ in own:
        if not _LABEL.fullmatch(name):
            raise Unprintable(f"the label name {name!r} is not allowed here")
        if name in RESERVED or (name.startswith("__") and name != "__name__"):
            raise Unprintable(f"the label {name} is not allowed here: metrics sources interpret it differently")
    parts = list(dict.fromkeys([*own, *extra]))
    return "{" + ",".join(f"{name}{operator}{quote(value)}" for name, operator, value in parts) + "}"


def _moved(expr: Any) -> str:
    """The ``@`` and ``offset`` modifiers."""
    text = ""
    if expr.at is not None:
        if expr.at.type == p.AtModifierType.Start:
            text += " @ start()"
        elif expr.at.type == p.AtModifierType.End:
            text += " @ end()"
        else:
            text += f" @ {_moment(expr.at):.3f}"
    if expr.offset:
        text += f" offset {duration(expr.offset)}"
    return text


def _moment(at: Any) -> float:
    try:
        return float(at.at.timestamp())
    except (OverflowError, ValueError, AttributeError):
        raise Unprintable("the time after @ is out of range") from None


def _aggregate(expr: Any, extra: Sequence[Term]) -> str:
    operator = str(expr.op)
    if operator not in AGGREGATIONS:
        raise Unprintable(f"the aggregation {operator} is not allowed here")
    grouping = ""
    if expr.modifier is not None:
        word = "without" if expr.modifier.type == p.AggModifierType.Without else "by"
        grouping = f" {word} ({_labels(expr.modifier.labels)})"
    inner = [render(one, extra) for one in children(expr)]
    return f"{operator}{grouping} ({', '.join(inner)})"


def _binary(expr: Any, extra: Sequence[Term]) -> str:
    operator = str(expr.op)
    if operator not in OPERATORS:
        raise Unprintable(f"the operator {operator} is not allowed here")
    words = [operator]
    modifier = expr.modifier
    if modifier is not None:
        if modifier.fill_values is not None and (modifier.fill_values.lhs, modifier.fill_values.rhs) != (None, None):
            raise Unprintable("fill values of an operator are not allowed here")
        if modifier.return_bool:
            words.append("bool")
        if modifier.matching is not None:
            word = "ignoring" if modifier.matching.type == p.LabelModifierType.Exclude else "on"
            words.append(f"{word} ({_labels(modifier.matching.labels)})")
        for side, word in _SIDES:
            if modifier.card == side:
                words.append(f"{word} ({_labels(modifier.group_labels or [])})")
    return f"({render(expr.lhs, extra)}) {' '.join(words)} ({render(expr.rhs, extra)})"


def _labels(names: Sequence[str]) -> str:
    for name in names:
        if not _LABEL.fullmatch(name):
            raise Unprintable(f"the label name {name!r} is not allowed here")
    return ", ".join(names)


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return repr(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
