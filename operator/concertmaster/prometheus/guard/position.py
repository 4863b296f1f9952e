"""Where a query stops being PromQL. The parser's bindings name the problem but not the place, so the place is searched:
the first token that no continuation makes valid again.
"""

from __future__ import annotations

import re
from bisect import bisect_left

import promql_parser as p

WINDOW = "$window"
_SAME_LENGTH = "999999s"  # as long as $window, so that columns stay those of the user's text
_TOKEN = re.compile(
    r"""\s*(?:"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|`[^`]*`?|[A-Za-z_:][\w:]*|[\d.]+\w*|[=!]~|[=!<>]=|.)""", re.DOTALL
)
_OPENING = {"(": ")", "[": "]", "{": "}"}
_SYNTAX = "invalid promql query"
_NAMED = re.compile(r"'([^']+)'|syntax: (\S+)")
# What may follow a valid beginning, from nothing to an operand; the open brackets are closed behind it.
_CONTINUATIONS = ("", " a", "a", "5m", " (a)", ' "a"', '="a"', " by (a) (a)", " 1, a")
_TOKENS_WRONG = re.compile(r"paren|brac|syntax|unterminated|unexpected")  # messages about the text, not about types


def column(query: str) -> int | None:
    """The 1-based column at which ``query`` (with ``$window`` in it) stops being valid; None when it cannot be known."""
    text = query.replace(WINDOW, _SAME_LENGTH)
    message = _problem(text)
    if not message:
        return None
    if message != _SYNTAX:
        return _unbalanced(text) if "paren" in message or "brac" in message else _named(text, message)
    tokens = list(_TOKEN.finditer(text))
    # No text is viable that continues after one that is not.
    wrong = bisect_left(tokens, True, key=lambda token: not _viable(text[: token.end()]))
    if wrong == len(tokens):
        return len(query.rstrip()) + 1  # the text ends too early
    lead = len(tokens[wrong].group()) - len(tokens[wrong].group().lstrip())
    return tokens[wrong].start() + lead + 1


def _problem(text: str) -> str:
    try:
        p.parse(text)
    except Exception as error:  # noqa: BLE001 - the parser's bindings raise more than ValueError for malformed input
        return str(error)
    return ""


def _viable(beginning: str) -> bool:
    """Whether some continuation makes a syntactically valid query; wrong types are no matter of syntax."""
    closing = "".join(_OPENING[c] for c in reversed(_open_brackets(beginning)))
    problems = (_problem(beginning + more + closing) for more in _CONTINUATIONS)
    return any(problem != _SYNTAX and not _TOKENS_WRONG.search(problem) for problem in problems)


def _open_brackets(text: str) -> list[str]:
    stack: list[str] = []
    for token in (m.group().strip() for m in _TOKEN.finditer(text)):
        if token in _OPENING:
            stack.append(token)
        elif stack and token == _OPENING[stack[-1]]:
            stack.pop()
    return stack


def _unbalanced(text: str) -> int | None:
    """The last bracket that is never closed, or the first that was never opened."""
    stack: list[tuple[str, int]] = []
    for match in _TOKEN.finditer(text):
        token, place = match.group().strip(), match.end()
        if token in _OPENING:
            stack.append((token, place))
        elif token in _OPENING.values():
            if not stack or _OPENING[stack[-1][0]] != token:
                return place
            stack.pop()
    return stack[-1][1] if stack else None


def _named(text: str, message: str) -> int | None:
    """The place of the first name the message quotes."""
    for match in _NAMED.finditer(message):
        name = match[1] or match[2]
        if place := re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text):
            return place.start() + 1
    return None
