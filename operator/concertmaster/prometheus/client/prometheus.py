"""The one door to a metrics store, and the only importer of prometheus_api_client and requests.

The client library puts a POST's query into the URL, never retries a 503 on POST, waits for ever, replaces the caller's
adapter and hands out ``result`` without the warnings that say half of it is missing. All of that is cured below it: the
library talks through a session of ours, which sends the body, holds every time limit, refuses redirects and web pages,
bounds what it reads and looks at the whole envelope.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from prometheus_api_client import PrometheusConnect

from concertmaster.net.retry import Breaker, RetryPolicy
from concertmaster.prometheus.client.errors import BadQuery, NotPrometheus, Partial, Truncated
from concertmaster.prometheus.client.refusals import CHECK_URL
from concertmaster.prometheus.client.transport import Tools, Transport
from concertmaster.prometheus.client.vector import Envelope, Malformed, Matrix, Vector, matrix, vector
from concertmaster.settings import Source

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One scrape target as the store describes it."""

    job: str
    instance: str
    health: str  # up | down | unknown
    last_error: str
    scrape_interval: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What a store says about itself; fields it does not tell are None."""

    version: str | None = None
    retention: str | None = None
    started: str | None = None


class PrometheusClient:
    """Queries one source. Every method raises MetricsError and nothing else; safe to share between threads."""

    def __init__(
        self,
        source: Source,
        *,
        policy: RetryPolicy | None = None,
        breaker: Breaker | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.source = source
        tools = Tools(monotonic=monotonic, sleep=sleep, chance=chance)
        self._transport = Transport(source, policy or RetryPolicy(), breaker or Breaker(), tools)
        self._api = PrometheusConnect(url=source.url, session=self._transport, method="POST")
        self.requests = 0  # logical requests answered or failed, for telemetry

    def close(self) -> None:
        """Give the connections back."""
        self._transport.close()

    def __enter__(self) -> PrometheusClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def instant(
        self, query: str, at: float, *, limit: int | None = None, name: str = "query", whole: bool = True
    ) -> Vector:
        """Evaluate ``query`` at ``at`` (unix seconds).

        ``limit`` bounds the number of series (the source's maxElements when None); reaching it raises Truncated.
        With ``whole`` an answer that carries warnings raises Partial; without, they are in the result's ``warnings``.
        ``name`` stands for the query in messages.
        """
        bound = self.source.max_elements if limit is None else limit
        params = {**self._params(), "time": f"{at:.3f}", "limit": str(bound)}
        envelope = self._call(name, lambda: self._api.custom_query(query, params=params))
        found = self._read(lambda: vector(envelope))
        self._check(envelope, len(found) + found.dropped, bound, whole)
        return found

    def range(
        self,
        query: str,
        start: float,
        end: float,
        step: float,
        *,
        limit: int | None = None,
        name: str = "query",
        whole: bool = True,
    ) -> Matrix:
        """Evaluate ``query`` from ``start`` to ``end`` (whole unix seconds) every ``step`` seconds; as ``instant``."""
        bound = self.source.max_elements if limit is None else limit
        first, last = (datetime.fromtimestamp(moment, UTC) for moment in (start, end))
        params = {**self._params(), "limit": str(bound)}
        envelope = self._call(
            name, lambda: self._api.custom_query_range(query, first, last, f"{step:.3f}", params=params)
        )
        found = self._read(lambda: matrix(envelope))
        self._check(envelope, len(found.series), bound, whole)
        return found

    def targets(self) -> list[Endpoint]:
        """Active scrape targets; empty where the store has none to tell of (Thanos, Mimir, VictoriaMetrics cluster)."""
        found = self._call("targets", lambda: self._api.get_targets(state="active")).data
        active = found.get("activeTargets") if isinstance(found, dict) else None
        return [_target(one) for one in active if isinstance(one, dict)] if isinstance(active, list) else []

    def metadata(self, metric: str) -> list[dict[str, str]]:
        """Type, help and unit of a metric, as far as the store keeps them."""
        found = self._plain("metadata", "/api/v1/metadata", {"metric": metric}).data
        entries = found.get(metric, []) if isinstance(found, dict) else []
        return [{str(k): str(v) for k, v in entry.items()} for entry in entries if isinstance(entry, dict)]

    def info(self) -> StoreInfo:
        """Version, retention and start time of the store."""
        build = self._status("buildinfo")
        runtime = self._status("runtimeinfo")
        return StoreInfo(build.get("version"), runtime.get("storageRetention"), runtime.get("startTime"))

    def _params(self) -> dict[str, str]:
        # The store gives up a little before we do, so that it can say why.
        return {**self.source.query_params, "timeout": f"{round(self.source.timeout_seconds * 950)}ms"}

    def _call(self, name: str, ask: Callable[[], Any]) -> Envelope:
        """Let the library ask; our session hands it the envelope in place of the result, and it hands that on."""
        self.requests += 1
        self._transport.name = name
        found = ask()
        envelope = found["result"] if isinstance(found, dict) else found
        if not isinstance(envelope, Envelope):
            raise NotPrometheus("the answer could not be read", where=self._transport.where)
        return envelope

    def _status(self, what: str) -> dict[str, str]:
        try:
            found = self._plain(what, f"/api/v1/status/{what}", {}).data
        except (NotPrometheus, BadQuery):
            return {}  # many compatible stores lack one or both; what they lack stays unknown
        return {key: text for key, text in found.items() if isinstance(text, str)} if isinstance(found, dict) else {}

    def _plain(self, name: str, path: str, params: dict[str, str]) -> Envelope:
        return self._call(name, lambda: self._transport.get(self.source.url + path, params=params).json()["data"])

    def _read(self, shape: Callable[[], _T]) -> _T:
        try:
            return shape()
        except Malformed as error:
            raise NotPrometheus(str(error), where=self._transport.where, remedy=CHECK_URL) from None

    def _check(self, envelope: Envelope, size: int, bound: int, whole: bool) -> None:
        where = self._transport.where
        cut = next((text for text in envelope.warnings if "truncated" in text.lower()), None)
        if size >= bound or cut is not None:
            raise Truncated(
                f"the answer reached the limit of {bound} series",
                where=where,
                remedy="Ask for fewer namespaces or less time",
            )
        if envelope.partial:
            raise Partial(
                "the store says its answer is partial (isPartial)",
                where=where,
                remedy="Wait until all of its storage nodes are back; old advice stays until then",
            )
        if whole and envelope.warnings:
            raise Partial(
                f"the store warns: {envelope.warnings[0][:300]}",
                where=where,
                remedy="Repair what the warning names; old advice stays until the answer is whole",
            )


def _target(found: dict[str, Any]) -> Endpoint:
    labels = found.get("labels")
    labels = {str(k): str(v) for k, v in labels.items()} if isinstance(labels, dict) else {}
    return Endpoint(
        job=labels.get("job", ""),
        instance=labels.get("instance", ""),
        health=str(found.get("health", "unknown")),
        last_error=str(found.get("lastError", ""))[:300],
        scrape_interval=str(found.get("scrapeInterval", "")),
        labels=labels,
    )
