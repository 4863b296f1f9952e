"""Error answers of metrics sources, mapped by status, type and text to the errors of this package.

Stores word their limits in their own ways and answer them with 400, 413, 422 or 500, so the text is examined where the
status is not enough. Bodies of web pages never get into a message: a login page may carry session data.
"""

from __future__ import annotations

import re

from concertmaster.prometheus.client.errors import (
    AuthFailed,
    BadQuery,
    MetricsError,
    NotPrometheus,
    SourceUnreachable,
    TimedOut,
    TooLarge,
)
from concertmaster.prometheus.client.vector import Envelope

CHECK_URL = "Check url, auth and headers of the source in the operator's configuration; the URL has no /api/v1"
_OF_A_STORE = r"limit \d+ violated|message larger than max"  # one of several behind Thanos, which warns of it
_LIMITS = re.compile(
    r"too many (samples|series|points|chunks|time ?series)|max-samples|exceed(s|ed|ing)?\b.*\b(limit|max|resolution|maximum)"
    r"|limit .*(reached|exceeded)|the query hit the max|-search\.max|maxUniqueTimeseries|query.*too large"
    rf"|not enough memory for processing|{_OF_A_STORE}",
    re.IGNORECASE | re.DOTALL,
)
# What is said of other queries at the same time, and of time, names limits as well: these are looked for first.
_BUSY = re.compile(r"-search\.maxConcurrentRequests|too many (concurrent|outstanding)", re.IGNORECASE)
# "context deadline exceeded": how a query ends that runs out of time while its series are gathered.
_DEADLINE = re.compile(r"context deadline exceeded|-search\.maxQueryDuration|query timed out", re.IGNORECASE)
_MAX_SEARCHED = 2_000  # characters of a message: searching takes time that grows with their square
# Used by managed stores for the metric's name only.
_NAMES = re.compile(
    r"(regex|regular expression|matcher).*(metric name|__name__)"
    r"|(metric name|__name__).*(regex|regular expression|equality)",
    re.IGNORECASE | re.DOTALL,
)


def refusal(status: int, envelope: Envelope | None, where: str, location: str = "") -> MetricsError:
    """The error for an answer that is no success.

    ``envelope`` is None when the body is not the API's; ``location`` is where a redirect points (host and path only).
    """
    if 300 <= status < 400:
        return AuthFailed(
            f"it answers with a redirect ({status}) to {location or 'nowhere'}, as login pages do; not followed",
            where=where,
            remedy=CHECK_URL,
        )
    if status in (401, 403):
        return AuthFailed(f"it refuses the credentials ({status})", where=where, remedy=CHECK_URL)
    if status in (404, 405, 410):
        return NotPrometheus(
            f"there is no Prometheus HTTP API at this address ({status})", where=where, remedy=CHECK_URL
        )
    reason, said = _store_message(envelope), "" if envelope is None else envelope.error[:_MAX_SEARCHED]
    if status == 429 or _BUSY.search(said):
        return SourceUnreachable(
            f"the metrics source asks for fewer requests ({status}){reason}",
            where=where,
            remedy="Raise its rate limit for this client or lengthen the operator's interval",
        )
    if status == 504 or (envelope is not None and envelope.error_type == "timeout") or _DEADLINE.search(said):
        return TimedOut(
            f"the time limit of the metrics source, or of a proxy before it, ended the query{reason}",
            where=where,
            remedy="Raise its query timeout or timeoutSeconds of the source, or lower limits.backfillPerCycle",
        )
    if status == 413 or _LIMITS.search(said):
        return TooLarge(
            f"the metrics source refuses the query as too large ({status}){reason}",
            where=where,
            remedy="Raise its limit, or give the operator fewer namespaces",
        )
    if _NAMES.search(said):
        return BadQuery(
            f"the metrics source refuses patterns of metric names ({status}){reason}",
            where=where,
            remedy="Set perMetricQueries: true for this source",
        )
    if status in (400, 422) or (envelope is not None and envelope.error_type in ("bad_data", "execution")):
        return BadQuery(
            f"the metrics source refuses the query ({status}){reason}", where=where, remedy="Correct the query"
        )
    return SourceUnreachable(
        f"the metrics source answers {status}{reason}",
        where=where,
        remedy="Check its log; the operator retries by itself",
    )


def of_a_limit(warning: str) -> bool:
    """Whether part of the answer is missing because it is too large. In doubt it is not: who waits loses nothing."""
    return re.search(_OF_A_STORE, warning) is not None


def _store_message(envelope: Envelope | None) -> str:
    if envelope is None or not envelope.error:
        return ""
    return ": " + " ".join(envelope.error.split())[:300]
