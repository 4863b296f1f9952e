"""Checks of a plan against the cluster: other controllers of the target, and limits of its namespace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from concertmaster.core.changes.admission.limits import refusals
from concertmaster.core.changes.admission.pods import pod_changes
from concertmaster.core.changes.json_patch import find, join, parts
from concertmaster.core.changes.plan import Plan
from concertmaster.core.changes.situation import CheckResult, ClusterFacts, Situation, blocked, passed
from concertmaster.core.model.enums import ChangeKind, GitOps
from concertmaster.core.text import count, listing


def owner(plan: Plan, situation: Situation) -> CheckResult:
    """Blocks owned objects unless apply.gitOps is Apply: these get a patch to commit."""
    owned_by = situation.facts.owners
    if owned_by is None:
        return blocked(f"who owns the object is not known: {situation.facts.why('owners')}")
    if not owned_by:
        return passed("nobody else owns the object")
    names = " and ".join(owned_by[:3])
    if situation.policy.apply.git_ops is GitOps.APPLY:
        return passed(f"apply.gitOps is Apply although {names} owns it and may change it back")
    return blocked(f"{names} owns it: commit the kustomize patch there, or set apply.gitOps to Apply")


def controllers(plan: Plan, situation: Situation) -> CheckResult:
    """Blocks when a VerticalPodAutoscaler, HorizontalPodAutoscaler or KEDA object targets the same object: the two would
    overwrite each other."""
    autoscalers = situation.facts.controllers
    if autoscalers is None:
        return blocked(f"autoscalers cannot be read: {situation.facts.why('controllers')}")
    if autoscalers:
        return blocked(f"{'; '.join(autoscalers[:3])}: leave the sizing to it, or remove it")
    return passed("no autoscaler aims at it")


def shared_task(plan: Plan, situation: Situation) -> CheckResult:
    """Blocks a Task used by other Pipelines, or a template referenced by other workflows, until the change is approved (the
    verification covers one workflow only), and while those references cannot be read."""
    facts = situation.facts
    if facts.shared_by is None:
        return blocked(f"who else runs {plan.target} is not known: {facts.why('shared_by')}")
    others = other_workflows(plan, facts)
    if others is None:
        return passed("no other workflow uses it")
    if situation.approved:
        return passed(f"a user approved it although {others}")
    return blocked(f"{others}; it waits for a decision", waiting=True)


def other_workflows(plan: Plan, facts: ClusterFacts) -> str | None:
    """Other workflows that use the target and are changed with it, as a sentence; None when there are none."""
    if not facts.shared_by:
        return None
    kind = "Pipeline" if plan.target.kind == "Task" else "workflow"
    who = f"{count(len(facts.shared_by), f'other {kind}')} ({listing(list(facts.shared_by), 5)})"
    return (
        f"{who} {'runs' if len(facts.shared_by) == 1 else 'run'} {plan.target} too and would change with it, unverified"
    )


def namespace_limits(plan: Plan, situation: Situation) -> CheckResult:
    """Blocks what the API server would reject when the next run creates its pods: LimitRange (with defaults), limits,
    ResourceQuota including current usage, also for a higher parallelism, and what a dry run of the pod showed."""
    facts = situation.facts
    requests = any(s.resource != "parallelism" for s in plan.settings)
    if facts.quotas is None or (requests and facts.ranges is None):
        topic = "ranges" if requests and facts.ranges is None else "quotas"
        return blocked(f"LimitRange and ResourceQuota cannot be read: {facts.why(topic)}")
    changes = pod_changes(plan.settings, plan.task, facts.definition, facts.pods)
    refused = refusals(changes, facts.ranges or (), facts.quotas)
    if refused:
        return blocked("; ".join(r.message for r in refused[:3]))
    if facts.pod_refused is not None:
        return blocked(f"the API server would refuse the pods of the next run: {facts.pod_refused}")
    if "pod_refused" in facts.unknown:
        return blocked(f"no answer to a trial of the pods of the next run: {facts.why('pod_refused')}")
    return passed("the API server would create the pods")


def pod_admission(plan: Plan, situation: Situation) -> CheckResult:
    """Blocks, until the change is approved, what admission policies and webhooks may refuse where no pod may be tried."""
    if situation.facts.admission is None:
        return blocked(f"what else decides about new pods is not known: {situation.facts.why('admission')}")
    untried = untried_admission(situation.facts)
    if untried is None:
        return passed("nothing else decides about new pods, or they are tried")
    if situation.approved:
        return passed(f"a user approved it although {untried}")
    then = "without a trial it" if "trials" in situation.facts.unknown else "it"
    return blocked(f"{untried}; {then} waits for a decision", waiting=True)


def untried_admission(facts: ClusterFacts) -> str | None:
    """Who decides about new pods without having been asked, as a sentence; None for nobody."""
    who = listing(list(facts.admission or ()))
    may = facts.unknown.get("trials", "the operator may not try a pod (apply.trialPods)")
    return f"{may}, and new pods are up to {who} too" if who else None


def pod_spec_patch(plan: Plan, situation: Situation) -> CheckResult:
    """Blocks requests that a podSpecPatch overrides, or may as a parameter stands for it: Argo applies it last."""
    if plan.kind is ChangeKind.RESOURCES and situation.facts.pod_spec_patch:
        return blocked("a podSpecPatch sets resources, or may by a parameter, and has the last word; change it there")
    return passed("no podSpecPatch sets resources")


def write_access(plan: Plan, situation: Situation) -> CheckResult:
    """Blocks without permission to patch the target; the condition WriteAccess names the Helm value to set."""
    access = situation.facts.write_access
    if access is None:
        why = situation.facts.unknown.get("write_access", "the API server could not be asked about the right to write")
        return blocked(why, waiting=True)
    if not access:
        remedy = "the policy's condition WriteAccess has the value to set"
        return blocked(f"the operator may not patch {plan.target.kind}; {remedy}")
    return passed(f"the operator may patch {plan.target.kind}")


def secure_reference(plan: Plan, situation: Situation) -> CheckResult:
    """Blocks while runs are active if Argo compares stored templates, or if that is unknown: with
    ``templateReferencing: Secure`` it fails running workflows whose template changes."""
    facts = situation.facts
    if not plan.object_kind.compared:
        return passed("runs in progress keep the definition they began with", waiting=True)
    if facts.secure is False:
        return passed("Argo does not compare templates with running workflows", waiting=True)
    if facts.active_runs == 0:
        return passed("no run is active", waiting=True)
    if facts.active_runs is None:
        message = f"whether runs are active is not known: {facts.why('active_runs')}"
        return blocked(message, waiting=True)
    active = count(facts.active_runs, "run")
    if facts.secure is None:
        message = f"{active} active, and Argo's templateReferencing is not known: {facts.why('secure')}"
        return blocked(message, waiting=True)
    message = f"templateReferencing is Secure and {active} active, which a change would fail"
    return blocked(message, waiting=True)


_ARGO_CD = frozenset({"argocd-controller", "argocd-application-controller"})  # by either kind of apply


def owners(raw: Mapping[str, Any], pointers: Sequence[str], own: str) -> tuple[str, ...]:
    """Other writers of the object or of the fields at ``pointers``, from its metadata; ``own``: our own field manager.

    These are markers of Argo CD, Flux and Helm, ownerReferences, and managers that applied these very fields (server-side
    apply). Lists without keys belong to their manager as a whole. Argo CD that tracks by label (default before 3.0) marks
    objects with ``app.kubernetes.io/instance`` only, as many do who own nothing: it is known by its field manager.
    """
    meta = raw.get("metadata") or {}
    labels, annotations = _texts(meta.get("labels")), _texts(meta.get("annotations"))
    names: dict[str, None] = {}
    tracking = annotations.get("argocd.argoproj.io/tracking-id")
    instance = labels.get("argocd.argoproj.io/instance")
    if tracking or instance or "argocd.argoproj.io/installation-id" in annotations:
        names.setdefault(f"Argo CD application {(tracking or instance or '').split(':', 1)[0]}".rstrip())
    for prefix, kind in (("kustomize.toolkit.fluxcd.io", "Kustomization"), ("helm.toolkit.fluxcd.io", "HelmRelease")):
        if labels.get(f"{prefix}/name"):
            names.setdefault(f"Flux {kind} {labels[f'{prefix}/name']}")
    release = annotations.get("meta.helm.sh/release-name")
    if release or labels.get("app.kubernetes.io/managed-by") == "Helm":
        names.setdefault(f"Helm release {release}" if release else "Helm")
    for reference in meta.get("ownerReferences") or ():
        if isinstance(reference, Mapping) and reference.get("kind"):
            names.setdefault(f"{reference['kind']} {reference.get('name')}")
    for entry in meta.get("managedFields") or ():
        if not isinstance(entry, Mapping) or entry.get("manager") == own:
            continue
        manager = str(entry.get("manager"))
        if manager in _ARGO_CD:
            if not any(name.startswith("Argo CD") for name in names):
                names.setdefault(f"Argo CD (field manager {manager})")
        elif entry.get("operation") == "Apply" and any(_covers(entry.get("fieldsV1"), raw, p) for p in pointers):
            names.setdefault(f"field manager {manager} (server-side apply)")
    return tuple(names)


def may_change_back(raw: Mapping[str, Any], pointers: Sequence[str], own: str) -> tuple[str, ...]:
    """Who may change a written field back: the ``owners``, or else the next ``kubectl apply`` where there was one. That is
    no owner: most objects that nobody but a person applies have its mark. Argo CD leaves the same mark."""
    annotations = _texts((raw.get("metadata") or {}).get("annotations"))
    applied = "kubectl.kubernetes.io/last-applied-configuration" in annotations
    return owners(raw, pointers, own) or (("kubectl apply of its present manifest",) if applied else ())


def _covers(fields: object, raw: Mapping[str, Any], pointer: str) -> bool:
    """Whether a ``fieldsV1`` set contains the field at ``pointer`` or an atomic parent of it."""
    node = fields
    walked: list[str] = []
    for part in parts(pointer):
        walked.append(part)
        if not isinstance(node, Mapping):
            return False
        below = _member(node, part, find(raw, join(walked))[1])
        if below is None:
            return False
        if not below or set(below) == {"."}:
            return True  # owned as a whole: an atomic list or map, or the field itself
        node = below
    return True


def _member(node: Mapping[str, Any], part: str, value: object) -> Mapping[str, Any] | None:
    if f"f:{part}" in node:
        below = node[f"f:{part}"]
        return below if isinstance(below, Mapping) else {}
    if part.isdigit() and isinstance(value, Mapping):
        for key, below in node.items():
            if key.startswith("k:") and f'"name":"{value.get("name")}"' in key:
                return below if isinstance(below, Mapping) else {}
    return None


def _texts(value: object) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, Mapping) else {}
