"""Options and result of one reading of a metrics source. Plain data."""

from __future__ import annotations

from dataclasses import dataclass

from concertmaster.core.model import JobFact, PodFact
from concertmaster.core.model.facts import owners_of_jobs
from concertmaster.core.units import HOUR
from concertmaster.prometheus.facts.missing_series import MissingSeries


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """How to collect. ``run_labels``: Kubernetes label keys that make a pod part of a run (graph profiles);
    ``named`` are pods of runs whose labels no metric tells.

    ``overlap`` seconds before the watermark are read again, for samples that arrived late; the caller distinguishes
    pods by uid. One reading covers at most ``longest`` seconds and splits down to ``shortest``. ``hold`` bounds how long
    the watermark waits for pods that may have ended while kube-state-metrics was down.
    """

    run_labels: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    settled: frozenset[str] = frozenset()  # uids of pods that were read whole by an earlier reading, and are left out
    overlap: float = 120.0
    longest: float = 6 * HOUR
    shortest: float = 60.0
    hold: float = 6 * HOUR
    nodes: bool = False  # whether types and prices of nodes are queried
    named_pods: int = 2000  # of which one query asks by name
    longest_query: int = 640 * 1024  # bytes of a query's text: proxies take bodies of 1 MiB unless configured otherwise


@dataclass(frozen=True, slots=True)
class SkippedSpan:
    """A span (unix seconds) of one namespace that was given up because the smallest answer is still too large. ``why``
    names nothing of the namespace's content."""

    namespace: str
    since: float
    until: float
    why: str


@dataclass(frozen=True, slots=True)
class Collection:
    """The result of one reading: everything that ended in (``since``, ``complete_until``].

    ``facts`` may repeat pods of earlier readings (same uid, equal or better figures); ``settled`` are the uids of those
    that no later reading would show better. ``queries`` counts requests, ``recorded`` those among them that recording rules
    answered.
    """

    since: float
    complete_until: float
    facts: tuple[PodFact, ...] = ()
    jobs: tuple[JobFact, ...] = ()
    missing: tuple[MissingSeries, ...] = ()
    warnings: tuple[str, ...] = ()
    queries: int = 0
    recorded: int = 0
    held: int = 0  # vanished pods held back: they may still be running
    shards: int = 1  # with an answer
    left_out: tuple[SkippedSpan, ...] = ()
    settled: frozenset[str] = frozenset()
    blind: bool = False  # the metrics source has no samples of the span: runs in it may have been missed

    @property
    def job_owners(self) -> dict[tuple[str, str], tuple[str, str]]:
        """(namespace, Job) to its owner's (kind, name), for Jobs that have one."""
        return owners_of_jobs(self.jobs)
