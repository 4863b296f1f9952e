"""The smallest pieces of PromQL text: quoted strings, matchers, selectors, label names. Everything else is built on them.

A label value put between quotes by hand can end the string and rewrite the query. Here is the only place where foreign
text becomes PromQL; it is tested by parsing the result back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_PLAIN_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_PLAIN_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_ESCAPED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_QUOTED = str.maketrans({chr(c): f"\\u{c:04x}" for c in (*range(32), 127)} | _ESCAPED)
_RE2_LITERAL = str.maketrans({c: f"\\{c}" for c in "\\.+*?()|[]{}^$"})
# Names of thousands of pods are searched at once for what few of them have: translating takes 40 times as long.
_ANY_QUOTED = re.compile(r'[\x00-\x1f\x7f"\\]')
_ANY_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


def quote(text: str) -> str:
    """``text`` as a PromQL string literal. Raises ValueError for text that is not Unicode (lone surrogates)."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} is not valid Unicode text") from None
    return f'"{text.translate(_QUOTED) if _ANY_QUOTED.search(text) else text}"'


def literal(text: str) -> str:
    """``text`` as a regular expression (RE2) that matches just it."""
    return text.translate(_RE2_LITERAL)


def one_of(texts: Iterable[str]) -> str:
    """A regular expression that matches each of ``texts`` and nothing else; sorted, so that equal sets read equal."""
    names = sorted(set(texts))
    return "|".join([literal(text) for text in names] if _ANY_SPECIAL.search("\n".join(names)) else names)


def matcher(label: str, operator: str, value: str) -> str:
    """One label matcher; ``operator`` is ``=``, ``!=``, ``=~`` or ``!~``. Raises ValueError for a malformed label name."""
    if not _PLAIN_LABEL.fullmatch(label):
        raise ValueError(f"{label!r} is not a label name")
    if operator not in ("=", "!=", "=~", "!~"):
        raise ValueError(f"{operator!r} is not a match operator")
    return f"{label}{operator}{quote(value)}"


def among(label: str, values: Iterable[str]) -> list[str]:
    """Matchers for "the label has one of these values": equality for one, a regular expression for several."""
    choices = sorted(set(values))
    if not choices:
        return []
    return [matcher(label, "=", choices[0])] if len(choices) == 1 else [matcher(label, "=~", one_of(choices))]


def equalities(labels: Mapping[str, str]) -> list[str]:
    """Matchers for labels that must be equal, sorted by name."""
    return [matcher(name, "=", labels[name]) for name in sorted(labels)]


def selector(metric: str, matchers: Iterable[str]) -> str:
    """An instant vector selector of one metric. Raises ValueError for a malformed metric name."""
    if not _PLAIN_METRIC.fullmatch(metric):
        raise ValueError(f"{metric!r} is not a metric name")
    inner = ",".join(matchers)
    return f"{metric}{{{inner}}}" if inner else metric


def selector_of(metrics: Iterable[str], matchers: Iterable[str]) -> str:
    """An instant vector selector of several metrics, by a regular expression on the name."""
    names = sorted(set(metrics))
    for name in names:
        if not _PLAIN_METRIC.fullmatch(name):
            raise ValueError(f"{name!r} is not a metric name")
    return "{" + ",".join([matcher("__name__", "=~", "|".join(names)), *matchers]) + "}"
