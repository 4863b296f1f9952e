"""One call of the stage: its input, the part of the cluster it works on, and what all workflows share in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from concertmaster.controller.changes.cluster_facts import FactReader
from concertmaster.controller.changes.policy_reader import PolicyReader
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile
from concertmaster.controller.health import Heartbeat
from concertmaster.controller.snapshot import ClusterSnapshot
from concertmaster.controller.source_report import SourceReport
from concertmaster.core.model import Recommendation
from concertmaster.kube.access import AccessChecker
from concertmaster.kube.client import KubeClient


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recommendation that sets fields. ``coverage`` is the share of the step's executions with samples,
    ``monthly_cost`` what the requests of a month cost in the policy's currency; None: unknown. ``spread`` is the
    relative standard error with which an effect on the run time can be measured."""

    recommendation: Recommendation
    coverage: float | None = None
    monthly_cost: float | None = None
    spread: float = 0.0


@dataclass(frozen=True, slots=True)
class CycleInput:
    """What one call of the stage works on. ``reports`` by metrics source; ``behind``: the watches lag behind the cluster, so
    that nothing new is written; ``now`` in unix seconds."""

    snapshot: ClusterSnapshot
    profiles: Sequence[ResolvedProfile]
    reports: Mapping[str, SourceReport]
    now: float
    heartbeat: Heartbeat = lambda _: None
    behind: bool = False


@dataclass(frozen=True, slots=True)
class ClusterReach:
    """The part of the cluster that the stage works on. ``namespaces``: those that are read by name (empty: all); ``owns``:
    whether a namespace is this process's; ``secure``: what the configuration says of Argo's templateReferencing."""

    client: KubeClient
    access: AccessChecker
    namespaces: tuple[str, ...] = ()
    owns: Callable[[str], bool] = lambda _: True
    secure: bool | None = None

    def reads(self, namespace: str) -> bool:
        """Whether the changes of a namespace are listed, and this process's to look after."""
        return self.owns(namespace) and (not self.namespaces or namespace in self.namespaces)


@dataclass(frozen=True, slots=True)
class CycleContext:
    """What all workflows share in one call of the stage: its input, and what is read from the API server for it."""

    given: CycleInput
    policies: PolicyReader
    facts: FactReader

    @classmethod
    def of(cls, given: CycleInput, reach: ClusterReach) -> CycleContext:
        """The context of a call; nothing is read from the API server yet."""
        snapshot = given.snapshot
        policies = PolicyReader(reach.client, reach.access, snapshot, given.behind, reach.namespaces)
        return cls(given, policies, FactReader(reach.client, reach.access, reach.secure, snapshot.namespaces))

    @property
    def now(self) -> float:
        """When the call was made (unix seconds)."""
        return self.given.now
