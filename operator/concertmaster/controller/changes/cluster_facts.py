"""The state of the cluster around the target of a plan: the facts the policy checks need, read only when a plan is at
hand.

What cannot be read is None with the reason, so that its check blocks and says which right is missing. Lists of a
namespace are read once per cycle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from concertmaster.core.changes.admission.capacity import ranges_of
from concertmaster.core.changes.admission.model import LimitRange, ResourceQuota
from concertmaster.core.changes.admission.others import deciders
from concertmaster.core.changes.admission.pods import pod_trials, pods_at_a_time
from concertmaster.core.changes.admission.quotas import queue_quota, quota_of
from concertmaster.core.changes.checks_cluster import owners
from concertmaster.core.changes.plan import Plan
from concertmaster.core.changes.situation import ClusterFacts
from concertmaster.core.model import WorkflowDefinition
from concertmaster.core.model.engines import PARTIAL_ADMISSION, POD_BY_POD, QUEUE_LABEL
from concertmaster.engines import ENGINES, by_object
from concertmaster.engines.registry import CLUSTER_KINDS, users_of
from concertmaster.kube.access import AccessChecker, Right
from concertmaster.kube.apply import DRY_RUN_SECONDS
from concertmaster.kube.client import FIELD_MANAGER, KubeClient
from concertmaster.kube.errors import Forbidden, KubeError, NotFound, Rejected
from concertmaster.kube.objects import (
    ADMISSION,
    AUTOSCALERS,
    KUEUE_QUEUES,
    LIMIT_RANGES,
    PODS,
    RESOURCE_QUOTAS,
    Resource,
    resource_of,
    target_resource,
)


class ListFailed(Exception):
    """A kind of object could not be listed; the message says why."""


@dataclass(slots=True)
class FactReader:
    """Reads facts for the plans of one cycle. ``secure``: what the configuration says of Argo's templateReferencing;
    ``labels``: of the namespaces, as far as they are known. ``person``: the rights are those of somebody who asks, not
    the operator's."""

    client: KubeClient
    access: AccessChecker
    secure: bool | None = None
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    person: bool = False
    _lists: dict[tuple[str, str], list[dict[str, Any]] | KubeError] = field(default_factory=dict)
    _untried: dict[str, ListFailed] = field(default_factory=dict)  # by namespace: why no further pod is tried

    def sharing(self, plan: Plan, workflow: str) -> ClusterFacts:
        """Only what a person must decide: the other workflows that run the target, and admission that cannot be asked.
        ``workflow`` is the name of the object that defines the workflow."""
        unknown: dict[str, str] = {}
        return ClusterFacts(
            shared_by=_ask(unknown, "shared_by", lambda: self._shared_by(plan, workflow)),
            admission=_ask(unknown, "admission", lambda: self._admission(plan)),
            unknown=unknown,
        )

    def read(
        self, plan: Plan, raw: Mapping[str, Any], definition: WorkflowDefinition | None, workflow: str
    ) -> ClusterFacts:
        """The facts about ``raw``, the target as the API server has it; ``workflow`` as in ``sharing``."""
        unknown: dict[str, str] = {}
        space = plan.namespace
        ask = partial(_ask, unknown)
        tried = self._pod_refused(plan, raw, definition)
        active = None if self.secure is False else ask("active_runs", lambda: self._active(plan, space))
        if self.person:
            unknown["trials"] = "whether the operator may try a pod (apply.trialPods) is not known here"
        return ClusterFacts(
            owners=owners(raw, [s.pointer for s in plan.settings], FIELD_MANAGER),
            controllers=ask("controllers", lambda: self._controllers(plan, space)),
            shared_by=ask("shared_by", lambda: self._shared_by(plan, workflow)),
            ranges=ask("ranges", lambda: self.ranges(space)),
            quotas=ask("quotas", lambda: (*self.quotas(space), *self._queues(space, definition))),
            pod_spec_patch=any(engine.patches_pods(raw) for engine in ENGINES),
            secure=self.secure,
            active_runs=None if active is None else len(active),
            pods=_pods(plan, definition),
            definition=definition,
            pod_refused=next(iter(ask("pod_refused", lambda: islice(tried, 1)) or ()), None),
            admission=ask("admission", lambda: self._admission(plan)),
            write_access=self._may_write(plan),
            unknown=unknown,
        )

    def _may_write(self, plan: Plan) -> bool | None:
        resource = target_resource(plan.target.api_version, plan.target.kind)
        if resource is None:
            return False
        return self.access.allowed(Right("patch", resource, plan.target.namespace if resource.namespaced else None))

    def ranges(self, namespace: str) -> Iterator[LimitRange]:
        """The entries of the LimitRanges of a namespace. Raises ListFailed."""
        for limits in self._list(LIMIT_RANGES, namespace):
            yield from ranges_of(limits)

    def quotas(self, namespace: str) -> Iterator[ResourceQuota]:
        """The ResourceQuotas of a namespace. Raises ListFailed."""
        for raw in self._list(RESOURCE_QUOTAS, namespace):
            if (quota := quota_of(raw)) is not None:
                yield quota

    def _queues(self, namespace: str, definition: WorkflowDefinition | None) -> Iterator[ResourceQuota]:
        """What the ClusterQueue holds that admits a workflow's runs, or each of their pods; nothing where it may not be
        read, since the verification sees that runs are not admitted. Raises ListFailed."""
        declared = definition.declared if definition is not None else {}
        if QUEUE_LABEL not in declared:
            return
        each = POD_BY_POD in declared or PARTIAL_ADMISSION in declared  # the rest may wait
        for local, cluster in KUEUE_QUEUES:
            if not self.access.allowed(Right("list", cluster)) or not self.access.allowed(
                Right("list", local, namespace)
            ):
                continue
            named = (q for q in self._list(local, namespace) if q["metadata"]["name"] == declared[QUEUE_LABEL])
            name = next(((q.get("spec") or {}).get("clusterQueue") for q in named), None)
            if name is not None:
                queues = (q for q in self._list(cluster, None) if q["metadata"]["name"] == name)
                yield from (queue_quota(q, each=each) for q in queues)
                return

    def _pod_refused(self, plan: Plan, raw: Mapping[str, Any], definition: WorkflowDefinition | None) -> Iterator[str]:
        """The API server's refusal of the changed pod where it accepts the present one, by a dry run, which needs the
        right to create pods."""
        allowed = self.access.allowed(Right("create", PODS, plan.namespace))
        if allowed is None:
            raise ListFailed("the API server could not be asked about the right to try one")
        if not allowed:
            return
        for before, after in pod_trials(plan, raw, definition):
            refused = self._try_pod(plan.namespace, after)
            if refused is not None and self._try_pod(plan.namespace, before) is None:
                yield refused

    def _admission(self, plan: Plan) -> Iterable[str]:
        """What else decides about the changed pods, where none may be tried."""
        resized = any(s.resource != "parallelism" for s in plan.settings)
        untried = self.person or self.access.allowed(Right("create", PODS, plan.namespace)) is False
        if not resized or not untried:
            return ()  # a right that could not be asked about holds the plan already
        objects: dict[str, list[dict[str, Any]]] = {}
        for resource in ADMISSION:
            if self.access.allowed(Right("list", resource)) is False:
                who = "you" if self.person else "it"
                return (f"admission that {who} may not list ({resource.plural})",)
            objects.setdefault(resource.kind, []).extend(self._list(resource, None))
        return deciders(objects, plan.namespace, self.labels.get(plan.namespace, {}))

    def _try_pod(self, namespace: str, spec: Mapping[str, Any]) -> str | None:
        if namespace in self._untried:  # where admission hangs, each would take as long as its time limit
            raise self._untried[namespace]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "concertmaster-trial-"}, "spec": spec}
        try:
            query = {"dryRun": "All"}
            self.client.request("POST", PODS.path(namespace), query=query, body=pod, again=DRY_RUN_SECONDS)
        except (Forbidden, Rejected) as error:
            return str(error)
        except KubeError as error:
            self._untried[namespace] = ListFailed(str(error))
            raise self._untried[namespace] from error
        return None

    def _controllers(self, plan: Plan, namespace: str) -> Iterator[str]:
        for resource, place in AUTOSCALERS:
            for autoscaler in self._list(resource, namespace):
                aim = (autoscaler.get("spec") or {}).get(place) or {}
                if (aim.get("kind"), aim.get("name")) == (plan.target.kind, plan.target.name):
                    yield f"{resource.kind} {autoscaler['metadata']['name']} aims at it"

    def _shared_by(self, plan: Plan, workflow: str) -> Iterator[str]:
        """Names of the workflows that use the target too; with their kind where they may be of several."""
        everywhere = plan.target.kind in CLUSTER_KINDS
        ways = users_of(plan.target.kind)
        for way in ways:
            users = target_resource(plan.target.api_version, way.users)
            for user in self._list(users, None if everywhere else plan.namespace) if users is not None else ():
                name, space = str(user["metadata"]["name"]), user["metadata"].get("namespace")
                if name == workflow and (len(ways) == 1 or way.users == plan.target.kind):
                    continue
                used = way.names({**user, "kind": way.users}, plan.namespace)
                who = f"{way.users} {f'{space}/' if everywhere and space else ''}{name}" if len(ways) > 1 else name
                if plan.target.name in used:
                    yield who
                elif any("$(" in other or "{{" in other for other in used):
                    yield f"{who}, perhaps"

    def _active(self, plan: Plan, namespace: str) -> Iterator[str]:
        engine = by_object({"apiVersion": plan.target.api_version, "kind": plan.target.kind})
        if engine is None or engine.active_runs is None or not plan.object_kind.compared:
            return
        runs = engine.active_runs
        for run in self._list(resource_of(runs.kind), namespace, runs.selector):
            if plan.target.name in runs.made_from(run):
                yield str((run.get("metadata") or {}).get("name"))

    def listed(self, resource: Resource, namespace: str | None, selector: str | None = None) -> list[dict[str, Any]]:
        """Objects of a kind, read once a cycle; none of a kind that the cluster does not have. Raises KubeError."""
        key = (resource.path(namespace), selector or "")
        if key not in self._lists:
            try:
                self._lists[key] = list(self.client.items(key[0], label_selector=selector))
            except NotFound:
                self._lists[key] = []
            except KubeError as error:
                self._lists[key] = error
        objects = self._lists[key]
        if isinstance(objects, KubeError):
            raise objects
        return objects

    def _list(self, resource: Resource, namespace: str | None, selector: str | None = None) -> list[dict[str, Any]]:
        try:
            return self.listed(resource, namespace, selector)
        except KubeError as error:
            denied = "you have no right to" if self.person else f"grant the operator list on {resource.plural}"
            hint = denied if error.status == 403 else str(error)
            raise ListFailed(f"{resource.kind} objects cannot be listed; {hint}") from error


def _ask(unknown: dict[str, str], topic: str, read: Callable[[], Iterable[Any]]) -> Any:
    """The result of ``read``; None, with the reason under ``topic`` in ``unknown``, where it cannot be read."""
    try:
        return tuple(read())
    except ListFailed as error:
        unknown[topic] = str(error)
        return None


def _pods(plan: Plan, definition: WorkflowDefinition | None) -> int | None:
    """How many pods of the step may run at a time, as far as the definition says."""
    step = definition.graph.step(plan.step) if definition is not None and plan.step is not None else None
    return pods_at_a_time(step, definition) if step is not None and definition is not None else 1
