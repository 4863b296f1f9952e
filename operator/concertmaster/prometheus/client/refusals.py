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
from concertmaster.prometheus.client.response import Envelope

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
# What stores and proxies say to whom they do not know, and what to do about it. Looked for, never quoted.
_UNKNOWN = (
    (re.compile(r"no org ?id|X-Scope-OrgID", re.I), "Name the tenant: headers: {X-Scope-OrgID: TENANT} of the source"),
    # In AWS's own words: other proxies find fault with the signature of a bearer token.
    (re.compile(r"Missing Authentication Token|SigV4|AWS4-HMAC|AWS Secret|request signature we calculated"),
     "It takes signed requests only: put its signing proxy in between and name that in url"),
    (re.compile(r"user=.?system:(serviceaccount|anonymous)|cannot (get|create) resource", re.I),
     "Give the ServiceAccount of the token the right that the server's proxy asks for (on OpenShift: the ClusterRole"
     " cluster-monitoring-view), or set auth.bearerTokenFile where no token is sent"),
)  # fmt: skip
_OTHER_PATH = re.compile(r"unsupported path|missing tenant|/select/", re.I)
_SCHEME = re.compile(r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|unknown protocol", re.I)


def untrusted(what: str, where: str) -> MetricsError:
    """The error for a TLS connection that is not made, by the library's words."""
    remedy = "Check tls.caFile and the host name"
    if _SCHEME.search(what):
        remedy = "The server does not speak TLS at this port: write http:// in url, or its TLS port"
    elif "self-signed" in what or "unable to get local issuer" in what:
        remedy = "Name the certificate authority that signed the server's certificate in tls.caFile"
    return AuthFailed(f"no trusted TLS connection ({what})", where=where, remedy=remedy)


def refusal(status: int, envelope: Envelope | None, where: str, location: str = "", body: bytes = b"") -> MetricsError:
    """The error for an answer that is no success.

    ``envelope`` is None when the body is not the API's; ``location`` is where a redirect points (host and path only).
    ``body`` is searched for what some servers are known to say, and never quoted.
    """
    found = body[:_MAX_SEARCHED].decode(errors="replace")
    return (
        _not_let_in(status, found, where, location)
        or _no_api(status, envelope, found, where)
        or _overloaded(status, envelope, where)
        or _refused_query(status, envelope, where)
        or SourceUnreachable(
            f"the metrics source answers {status}{_store_message(envelope)}",
            where=where,
            remedy="Check its log; the operator retries by itself",
        )
    )


def _not_let_in(status: int, found: str, where: str, location: str) -> MetricsError | None:
    """Where a login page or a check of credentials answers."""
    if 300 <= status < 400:
        return AuthFailed(
            f"it answers with a redirect ({status}) to {location or 'nowhere'}, as login pages do; not followed",
            where=where,
            remedy=CHECK_URL,
        )
    if status in (401, 403):
        known = next((remedy for said, remedy in _UNKNOWN if said.search(found)), CHECK_URL)
        return AuthFailed(f"it refuses the credentials ({status})", where=where, remedy=known)
    return None


def _no_api(status: int, envelope: Envelope | None, found: str, where: str) -> MetricsError | None:
    """Where something answers that is no Prometheus HTTP API, or lies before one."""
    if status == 405:
        return NotPrometheus(
            f"it refuses POST ({status})",
            where=where,
            remedy=f"Let the proxy before it pass POST to /api/v1/query, whose text is too long for a URL. {CHECK_URL}",
        )
    if status == 400 and envelope is None and _OTHER_PATH.search(found):
        return NotPrometheus(
            f"there is no Prometheus HTTP API at this path ({status})",
            where=where,
            remedy=f"Add what precedes /api/v1, for vmselect /select/0/prometheus. {CHECK_URL}",
        )
    if status in (404, 410):
        return NotPrometheus(
            f"there is no Prometheus HTTP API at this address ({status})",
            where=where,
            remedy=f"Add what precedes /api/v1, as /prometheus of Mimir or of --web.route-prefix. {CHECK_URL}",
        )
    return None


def _overloaded(status: int, envelope: Envelope | None, where: str) -> MetricsError | None:
    """Where the source asks for fewer, shorter or smaller queries."""
    reason, said = _store_message(envelope), _said(envelope)
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
    return None


def _refused_query(status: int, envelope: Envelope | None, where: str) -> MetricsError | None:
    reason = _store_message(envelope)
    if _NAMES.search(_said(envelope)):
        return BadQuery(
            f"the metrics source refuses patterns of metric names ({status}){reason}",
            where=where,
            remedy="Set perMetricQueries: true for this source",
        )
    if status in (400, 422) or (envelope is not None and envelope.error_type in ("bad_data", "execution")):
        return BadQuery(
            f"the metrics source refuses the query ({status}){reason}", where=where, remedy="Correct the query"
        )
    return None


def _said(envelope: Envelope | None) -> str:
    return "" if envelope is None else envelope.error[:_MAX_SEARCHED]


def of_a_limit(warning: str) -> bool:
    """Whether part of the answer is missing because it is too large. In doubt it is not: who waits loses nothing."""
    return re.search(_OF_A_STORE, warning) is not None


def _store_message(envelope: Envelope | None) -> str:
    if envelope is None or not envelope.error:
        return ""
    return ": " + " ".join(envelope.error.split())[:300]
