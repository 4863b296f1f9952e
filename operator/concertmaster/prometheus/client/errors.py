"""Errors of a metrics source: one class for each case that callers treat differently.

The client library knows one exception that carries the server's raw answer. A loop has to tell "try again later",
"the operator's configuration is wrong", "this query is wrong" and "the answer is not whole" apart, and a person needs
one sentence with what, where and what to do. No message ever carries a credential: request headers, userinfo of URLs
and the bodies of login pages never get into one.
"""

from __future__ import annotations


class MetricsError(Exception):
    """An answer of a metrics source that cannot be used.

    ``what`` says what happened, ``where`` the source and the query's name, ``remedy`` what to do about it.
    ``reason`` is a CamelCase word for conditions.
    """

    reason = "MetricsError"

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what = what.rstrip(".")
        self.where = where
        self.remedy = remedy.rstrip(".")
        head = f"{where}: {self.what}" if where else self.what
        super().__init__(f"{head}. {self.remedy}." if self.remedy else f"{head}.")


class SourceUnreachable(MetricsError):
    """No connection, or the server kept answering that it is overloaded or down until the deadline passed."""

    reason = "Unreachable"


class TimedOut(MetricsError):
    """The server accepted the query and gave no whole answer in time."""

    reason = "TimedOut"


class NoFreeSlot(TimedOut):
    """Other queries of the operator took all the places the source has for it."""


class AuthFailed(MetricsError):
    """The server wants other credentials (401, 403, or a redirect to a login page), or a credential file is missing."""

    reason = "AuthFailed"


class NotPrometheus(MetricsError):
    """Whatever answers at the URL does not speak the Prometheus HTTP API: HTML, broken JSON, 404, unknown shapes."""

    reason = "NotPrometheus"


class BadQuery(MetricsError):
    """The metrics source refused the query (400, 422, bad_data, execution): the query or the metrics source's limits must
    change."""

    reason = "BadQuery"


class TooLarge(BadQuery):
    """The metrics source or the client gave up because the answer has too many samples, series or bytes: ask for less."""

    reason = "TooLarge"


class PartialAnswer(MetricsError):
    """The metrics source answered with warnings or reported missing data: a partial answer must not be taken for a
    complete one."""

    reason = "Partial"


class Truncated(TooLarge):
    """The answer stopped at the limit of result elements that was requested."""

    reason = "Truncated"


class Unlabelled(MetricsError):
    """Series lack the labels that tell what they are of: whatever is read of them would look like nothing at all."""

    reason = "SeriesMissing"


class QueryRefused(BadQuery):
    """A user's query that is not executed, because it cannot be confined to its namespace or would cost too much."""

    reason = "QueryRefused"
