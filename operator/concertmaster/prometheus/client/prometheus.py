"""Queries to one metrics source: instant vectors and its build information, targets and retention."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from concertmaster.net.retry import Tools
from concertmaster.prometheus.client.errors import BadQuery, NotPrometheus, PartialAnswer, TooLarge, Truncated
from concertmaster.prometheus.client.hourly_queries import HourlyQueries
from concertmaster.prometheus.client.refusals import CHECK_URL, of_a_limit
from concertmaster.prometheus.client.response import Envelope, Malformed, Wide, vector_of
from concertmaster.prometheus.client.server_clock import ServerClock
from concertmaster.prometheus.client.traits import SourceTraits
from concertmaster.prometheus.client.transport import Transport
from concertmaster.prometheus.client.vector import Vector
from concertmaster.settings import MetricsSource

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """Version and retention of a metrics source; None where unknown."""

    version: str | None = None
    retention: str | None = None

    @property
    def retention_days(self) -> float | None:
        """Days of ``retention`` as Prometheus states it (``15d``, ``2w``, ``15d or 10GiB``); None when only a size is."""
        units = {"ms": 1e-3 / 86400, "s": 1 / 86400, "m": 60 / 86400, "h": 1 / 24, "d": 1.0, "w": 7.0, "y": 365.0}
        first = (self.retention or "").split(" or ")[0]
        parts = re.findall(r"(\d+)(ms|[smhdwy])(?![a-zA-Z])", first)
        return sum(int(number) * units[unit] for number, unit in parts) or None


class PrometheusClient:
    """Queries one source. Every method raises MetricsError and nothing else; safe to share between threads."""

    def __init__(
        self,
        source: MetricsSource,
        *,
        tools: Tools | None = None,
    ) -> None:
        self.source = source
        self._transport = Transport(source, tools or Tools())
        self._transport.limit.most = lambda: self.places - self.lent
        self._most: Callable[[], int] = lambda: source.max_concurrent_queries
        self.traits = SourceTraits()
        self.hourly = HourlyQueries()
        self.lent = 0  # queries at a time that another process of this operator may send
        self.requests = 0  # logical requests answered or failed, for telemetry
        self.beat: Callable[[], object] = lambda: None  # called before each query that is not a user's

    @property
    def clock(self) -> ServerClock:
        """How far the clock of this process is from the source's."""
        return self._transport.clock

    def shared_by(self, shards: Callable[[], int]) -> None:
        """The source's limit of queries at a time is shared by so many shards."""
        self.limit(lambda: self.source.max_concurrent_queries // max(1, shards()))

    def limit(self, most: Callable[[], int]) -> None:
        """Send no more queries at a time than ``most`` gives."""
        self._most = most

    @property
    def places(self) -> int:
        """Queries at a time that this operator may send to the source, 1 or more."""
        return max(1, self._most())

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> PrometheusClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def instant(
        self,
        query: str,
        at: float,
        *,
        limit: int | None = None,
        name: str = "query",
        whole: bool = True,
        of_user: bool = False,
    ) -> Vector:
        """Evaluate ``query`` at ``at`` (unix seconds).

        ``limit`` bounds the number of series (the source's maxElements when None); reaching it raises Truncated.
        With ``whole`` an answer that carries warnings raises Partial; without, they are in the result's ``warnings``.
        ``name`` stands for the query in messages. A query ``of_user`` concerns its author alone: its failures are not held
        against the source.
        """
        bound = self.source.max_elements if limit is None else limit
        params = {"query": query, **self._params(), "time": f"{at:.3f}", "limit": str(bound)}
        envelope = self._ask(name, "POST", "/api/v1/query", params, counts=not of_user)
        answer = self._read(lambda: vector_of(envelope))
        self._check(envelope, len(answer) + answer.dropped, bound, whole)
        return answer

    @property
    def scrape_interval(self) -> float | None:
        """Seconds between two samples of a container: as configured, or as the source reports; None: not known."""
        configured = self.source.scrape_interval
        return self.traits.listed_interval if configured is None else float(configured.seconds)

    def targets(self) -> list[Mapping[str, Any]]:
        """The active scrape targets; none where the source does not list any."""
        try:
            data = self._ask("targets", "GET", "/api/v1/targets", {"state": "active"}).data
        except (NotPrometheus, BadQuery):
            return []
        active = data.get("activeTargets") if isinstance(data, dict) else None
        return [target for target in active if isinstance(target, dict)] if isinstance(active, list) else []

    def info(self) -> StoreInfo:
        """Version and retention of the metrics source."""
        build = self._status("buildinfo")
        runtime = self._status("runtimeinfo")
        return StoreInfo(build.get("version"), runtime.get("storageRetention"))

    def _params(self) -> dict[str, str]:
        # The metrics source times out a little earlier than the client, so that it can report the reason.
        return {**self.source.query_params, "timeout": f"{round(self.source.timeout_seconds * 950)}ms"}

    def _ask(self, name: str, method: str, path: str, params: Mapping[str, str], *, counts: bool = True) -> Envelope:
        self.requests += 1
        if counts:
            self.beat()
        self._transport.name = name
        return self._transport.ask(method, path, params, counts=counts)

    def _status(self, what: str) -> dict[str, str]:
        try:
            data = self._ask(what, "GET", f"/api/v1/status/{what}", {}).data
        except (NotPrometheus, BadQuery):
            return {}  # many compatible stores lack one or both; what they lack stays unknown
        return {key: text for key, text in data.items() if isinstance(text, str)} if isinstance(data, dict) else {}

    def _read(self, shape: Callable[[], _T]) -> _T:
        try:
            return shape()
        except Malformed as error:
            raise NotPrometheus(str(error), where=self._transport.where, remedy=CHECK_URL) from None
        except Wide as error:
            remedy = "Aggregate the query to fewer labels, as in sum by (run) (...)"
            raise TooLarge(str(error), where=self._transport.where, remedy=remedy) from None

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
            raise PartialAnswer(
                "the metrics source reports a partial answer (isPartial)",
                where=where,
                remedy="Wait until all of its storage nodes are back; earlier recommendations stay until then",
            )
        if whole and envelope.warnings:
            limit = next(filter(of_a_limit, envelope.warnings), None)
            raise (PartialAnswer if limit is None else Truncated)(
                f"the metrics source warns: {(limit or envelope.warnings[0])[:300]}",
                where=where,
                remedy="Repair what the warning names; earlier recommendations stay until the answer is complete",
            )
