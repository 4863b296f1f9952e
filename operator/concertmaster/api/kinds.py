"""The kinds of the API, from which the CRDs are generated."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic.config import JsonDict

from concertmaster.api.models.base import GROUP, CustomResource, rule
from concertmaster.api.models.change import WorkflowChange
from concertmaster.api.models.policy import ClusterOptimizationPolicy, OptimizationPolicy
from concertmaster.api.models.profile import WorkflowProfile


@dataclass(frozen=True, slots=True)
class Column:
    """One column of ``kubectl get``. ``priority`` 1 columns appear with ``-o wide`` only."""

    name: str
    path: str
    description: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """What a CRD says beside its schema."""

    model: type[CustomResource]
    plural: str
    short_name: str
    columns: tuple[Column, ...]
    namespaced: bool = True
    selectable: tuple[str, ...] = ()
    rules: tuple[JsonDict, ...] = field(default=())

    @property
    def name(self) -> str:
        """The kind's name, ``WorkflowProfile``."""
        return self.model.__name__

    @property
    def crd(self) -> str:
        """The name of the CRD object, ``workflowprofiles.concertmaster.dev``."""
        return f"{self.plural}.{GROUP}"


def _condition(name: str, description: str, priority: int = 0) -> Column:
    return Column(name, f'.status.conditions[?(@.type=="{name}")].status', description, priority=priority)


_AGE = Column("Age", ".metadata.creationTimestamp", "Time since creation.", type="date")
# Names end up as label values (63 characters at most) and in the names of other objects.
_NAME_RULES = (rule("self.metadata.name.size() <= 63", "metadata.name must not be longer than 63 characters"),)
_POLICY_COLUMNS = (
    Column("Mode", ".spec.apply.mode", "What the operator may do automatically."),
    Column("Priority", ".spec.priority", "Precedence of the policy; the highest applies.", type="integer"),
    Column("Profiles", ".status.matchedProfiles", "Profiles this policy applies to.", type="integer"),
    Column("Discovered", ".status.discoveredProfiles", "Profiles created by discovery.", type="integer"),
    Column("Changes", ".status.changesInFlight", "Changes under verification.", type="integer"),
    Column("Suspended", ".spec.suspend", "Whether discovery and changes are stopped.", type="boolean"),
    _condition("Ready", "Whether the policy is in effect as written."),
    _condition("WriteAccess", "Whether the operator has the rights the mode needs.", priority=1),
    _AGE,
)

KINDS: tuple[Kind, ...] = (
    Kind(
        model=WorkflowProfile,
        plural="workflowprofiles",
        short_name="wfp",
        rules=_NAME_RULES,
        selectable=(".spec.workflowRef.kind", ".spec.workflowRef.name"),
        columns=(
            Column("Target", ".status.summary.target", "Workflow as kind and name."),
            Column("Score", ".status.score", "How well the workflow runs, 0 to 100.", type="integer"),
            Column("P95", ".status.summary.p95", "95th percentile of the duration of a run."),
            Column("Success(%)", ".status.summary.successPercent", "Share of runs that succeeded, in percent."),
            Column("Open", ".status.summary.open", "Active recommendations.", type="integer"),
            Column(
                "Impact/Month",
                ".status.summary.impact",
                "What they are worth a month, in the currency of the policy's pricing, with its runHour and failedRun; "
                "empty: not known.",
                type="integer",
            ),
            _condition("Ready", "Whether the analysis is up to date."),
            Column("Currency", ".status.summary.currency", "Currency of Impact/Month.", priority=1),
            Column("Runs", ".status.runs.observed", "Finished runs analyzed.", type="integer", priority=1),
            Column("Policy", ".status.policy", "The policy in force.", priority=1),
            Column("Until", ".status.dataUntil", "Up to when the data is complete.", priority=1),
            _condition("ObjectivesMet", "Whether all objectives are met.", priority=1),
            _AGE,
            Column("Top", ".status.summary.top", "Most valuable action, abbreviated."),
        ),
    ),
    Kind(
        model=OptimizationPolicy,
        plural="optimizationpolicies",
        short_name="opol",
        rules=_NAME_RULES,
        columns=_POLICY_COLUMNS,
    ),
    Kind(
        model=ClusterOptimizationPolicy,
        plural="clusteroptimizationpolicies",
        short_name="copol",
        namespaced=False,
        rules=_NAME_RULES,
        columns=_POLICY_COLUMNS,
    ),
    Kind(
        model=WorkflowChange,
        plural="workflowchanges",
        short_name="wfc",
        selectable=(".spec.profileRef.name", ".spec.recommendation"),
        columns=(
            Column("Profile", ".spec.profileRef.name", "The profile the change is about."),
            Column("Recommendation", ".spec.recommendation", "The recommendation behind it."),
            Column("Phase", ".status.phase", "Phase of the change."),
            Column("Decision", ".spec.decision", "What was decided."),
            Column("Verdict", ".status.verdict", "What the runs after it showed."),
            Column("Restored", ".status.restored", "Whether it was rolled back.", type="boolean", priority=1),
            Column("By", ".spec.decidedBy", "Who decided.", priority=1),
            _AGE,
        ),
    ),
)
