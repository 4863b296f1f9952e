"""Policies and profiles given as files or recorded, applied as the operator would apply them, and the scale of policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from concertmaster.api.discovery import KIND_SHORT, profile_name
from concertmaster.api.models.policy import ClusterOptimizationPolicy, OptimizationPolicy
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.api.policy import select
from concertmaster.api.resolve import resolve
from concertmaster.api.scale import common_scale, scales
from concertmaster.cli.documents import say
from concertmaster.cli.errors import UserError
from concertmaster.core.model import WorkflowDefinition, WorkflowKey
from concertmaster.core.model.inputs import ExtraMetric
from concertmaster.core.model.policy import Policy, Pricing
from concertmaster.kube.errors import KubeError
from concertmaster.kube.objects import CLUSTER_POLICIES

if TYPE_CHECKING:  # commands that ask no cluster start without its client
    from concertmaster.kube.client import KubeClient

UNREAD = "ClusterOptimizationPolicies could not be read"


class Policies:
    """The policies and profiles among the objects, applied as the operator would apply them."""

    def __init__(self, objects: Sequence[Mapping[str, Any]]) -> None:
        self._policies: list[OptimizationPolicy] = []
        self._cluster: list[ClusterOptimizationPolicy] = []
        self._profiles: list[WorkflowProfile] = []
        self._resolved: dict[WorkflowKey, Policy] = {}
        for raw in objects:
            kind = raw.get("kind")
            try:
                if kind == "OptimizationPolicy":
                    self._policies.append(OptimizationPolicy.model_validate(declared(raw)))
                elif kind == "ClusterOptimizationPolicy":
                    self._cluster.append(ClusterOptimizationPolicy.model_validate(declared(raw)))
                elif kind == "WorkflowProfile":
                    self._profiles.append(WorkflowProfile.model_validate(declared(raw)))
            except ValueError as error:
                name = (raw.get("metadata") or {}).get("name")
                raise UserError(f"{kind} {name} cannot be used: {' '.join(str(error).split())}") from None

    def profile_of(self, definition: WorkflowDefinition) -> str:
        """The name of the workflow's profile: a given one's, else what discovery would call it."""
        given = next((p for p in self._profiles if _describes(p, definition)), None)
        if given is not None:
            return given.metadata.name
        key = definition.key
        return profile_name(key.kind, key.name) if key.kind in KIND_SHORT else key.name

    def metrics(self, definition: WorkflowDefinition) -> tuple[ExtraMetric, ...]:
        """The extra metrics of a workflow."""
        return self.of(definition).extra_metrics

    def of(self, definition: WorkflowDefinition, window: float | None = None, min_runs: int | None = None) -> Policy:
        """The policy in force, or the defaults; a window and a number of runs of the command line win."""
        if definition.key not in self._resolved:
            self._resolved[definition.key] = self._of(definition)
        policy = self._resolved[definition.key]
        analysis = policy.analysis if window is None else replace(policy.analysis, window_seconds=window)
        if min_runs is not None:
            analysis = replace(analysis, min_runs=min_runs)
        return policy if analysis is policy.analysis else replace(policy, analysis=analysis)

    def _of(self, definition: WorkflowDefinition) -> Policy:
        """The policy in force, or the defaults."""
        key = definition.key
        profile = next((p for p in self._profiles if _describes(p, definition)), None)
        stand_in = profile or WorkflowProfile.model_validate(
            {
                "metadata": {"name": key.name, "namespace": key.namespace, "labels": dict(definition.labels)},
                "spec": {"runSelector": {"apiVersion": "batch/v1", "kind": "Job", "namePrefix": "x"}},
            }
        )
        return resolve(profile, select(stand_in, self._policies, self._cluster, {}).winner)


def scale(client: KubeClient, run_hour: float | None, failed_run: float | None) -> tuple[Pricing, str]:
    """Values of an hour of run time and of a failed run to rank by, and where they come from: the given ones, else those of
    the ClusterOptimizationPolicies where all have the same, else the defaults."""
    if run_hour is not None and failed_run is not None:
        return Pricing(run_hour=run_hour, failed_run=failed_run), "--run-hour, --failed-run"
    listed = _cluster_policies(client)
    default, known = Pricing(), scales(listed or ())
    options = "--run-hour, --failed-run"
    if len(known) == 1:
        ((values, names),) = known.items()
        base, source = values, f"ClusterOptimizationPolicy {', '.join(names)}; {options}"
    else:
        differ = "cluster policies differ" if known else "the default"
        differ += f", as {UNREAD}" if listed is None else ""
        base, source = (default.run_hour, default.failed_run), f"{differ}; {options}"
    if run_hour is not None or failed_run is not None:
        source = options
    return (
        Pricing(
            run_hour=base[0] if run_hour is None else run_hour,
            failed_run=base[1] if failed_run is None else failed_run,
        ),
        source,
    )


def scale_of_below(client: KubeClient) -> Pricing:
    """The scale of ``--below``. Prints where it is the default only because policies could not be read: decisions about
    many recommendations rest on it."""
    pricing, source = scale(client, None, None)
    if UNREAD in source:
        counted = f"a run-hour as {pricing.run_hour:g} and a failed run as {pricing.failed_run:g}"
        say(f"--below counts {counted}, the default: {UNREAD}", err=True)
    return pricing


def recorded_scale(objects: Sequence[Mapping[str, Any]]) -> Pricing:
    """The same of the policies among recorded objects."""
    return common_scale(raw for raw in objects if raw.get("kind") == "ClusterOptimizationPolicy")


def declared(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The object without its status, which a newer operator may have written with values that this version does not know."""
    return {key: value for key, value in raw.items() if key != "status"}


def _cluster_policies(client: KubeClient) -> list[dict[str, Any]] | None:
    """The cluster's policies; None if they could not be read, as without the right to list them."""
    try:
        return list(client.items(CLUSTER_POLICIES.path(None)))
    except KubeError:
        return None


def _describes(profile: WorkflowProfile, definition: WorkflowDefinition) -> bool:
    key = definition.key
    if (profile.metadata.namespace or "default") != key.namespace:
        return False
    target = profile.spec.workflow_ref
    if target is not None:
        return (target.kind, target.name) == (key.kind, key.name)
    return (key.kind, key.name) == ("WorkflowProfile", profile.metadata.name)
