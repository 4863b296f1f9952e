"""From a profile to the definition of its workflow, or to the condition that says why there is none.

Definitions are rebuilt only when an object they were made of has changed: the target, what its steps refer to, its
triggers, or the profile itself.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from concertmaster.api.conditions import ConditionType, ConditionUpdate, Reason
from concertmaster.controller.discovery.fingerprint import fingerprint
from concertmaster.controller.discovery.policies import as_document
from concertmaster.controller.discovery.profiles import reference
from concertmaster.controller.discovery.shared_steps import SharedSteps
from concertmaster.controller.discovery.targets import Target, Targets
from concertmaster.controller.discovery.time_shares import WAITS, TimeShares
from concertmaster.controller.logged_faults import LoggedFaults
from concertmaster.controller.object_cache import CachedObject
from concertmaster.core import text
from concertmaster.core.model import PodLabels, WorkflowDefinition
from concertmaster.engines.common.manifest import Unreadable
from concertmaster.engines.define import define
from concertmaster.engines.graph.traits import GRAPH
from concertmaster.engines.registry import CLUSTER_KINDS, trigger
from concertmaster.kube.discover import Problem, ProblemKind
from concertmaster.kube.objects import CONFIG_MAPS

log = logging.getLogger("concertmaster.discovery")

_REASONS = {
    ProblemKind.KIND_MISSING: Reason.KIND_MISSING,
    ProblemKind.NOT_FOUND: Reason.NOT_FOUND,
    ProblemKind.FORBIDDEN: Reason.FORBIDDEN,
    ProblemKind.UNAVAILABLE: Reason.TARGET_UNAVAILABLE,
    ProblemKind.UNREADABLE: Reason.UNSUPPORTED,
}

Part = tuple[str, str, str, str]  # kind, namespace, name, and its _version


@dataclass(frozen=True, slots=True)
class ResolvedDefinition:
    """The definition (None: there is none to be had now) and the condition TargetResolved.

    ``edition`` tells whether the definition or an object it was made of changed since it was last seen, also by another
    process, without comparing all of it. ``waits``: it is read in one of the next cycles.
    """

    definition: WorkflowDefinition | None
    finding: ConditionUpdate
    edition: str = ""
    waits: bool = False


@dataclass(frozen=True, slots=True)
class _Cached:
    spec_text: str
    parts: tuple[Part, ...]
    triggers: tuple[Part, ...]
    resolved: ResolvedDefinition


class Definitions:
    """Resolves profiles, remembering what each definition was made of."""

    def __init__(self, shares: TimeShares | None = None) -> None:
        self._shares = shares or TimeShares()
        self._cache: dict[str, _Cached] = {}
        self._steps = SharedSteps()
        self._faults = LoggedFaults(log)

    def resolve(self, entry: CachedObject, targets: Targets) -> ResolvedDefinition:
        """The definition of one profile under the present targets. An unexpected fault in one object concerns its own
        profile only."""
        try:
            resolved = self._resolve(entry, targets)
        except Exception as error:  # noqa: BLE001 - logged there
            self._faults.note(entry, "reading the workflow", error)
            message = (
                f"the workflow cannot be read and is left out ({type(error).__name__}); the operator's log has the details, "
                "please report it"
            )
            return ResolvedDefinition(None, _finding(False, Reason.UNSUPPORTED, message))
        self._faults.forget(entry.uid)
        return resolved

    def _resolve(self, entry: CachedObject, targets: Targets) -> ResolvedDefinition:
        ref = reference(entry)
        if ref is None:
            return self._own(entry)
        api_version, kind, name = ref
        target = targets.get(kind, entry.namespace, name)
        if target is None:
            return _absent(targets.problem(api_version, kind, entry.namespace, name), kind, name, entry.namespace)
        triggers = targets.triggers(entry.namespace, kind, name)
        cached = self._cache.get(entry.uid)
        if (
            cached is not None
            and cached.spec_text == entry.spec_text
            and cached.triggers == _parts(triggers)
            and all(_version(targets, p) == p[3] for p in cached.parts)
        ):
            return cached.resolved
        if self._shares.defer_work(entry):
            return cached.resolved if cached is not None and cached.spec_text == entry.spec_text else _WAITS
        with self._shares.taking(entry):
            return self._build(entry, target, triggers, targets)

    def _build(
        self, entry: CachedObject, target: Target, triggers: Sequence[Target], targets: Targets
    ) -> ResolvedDefinition:
        kind, _, name = target.id
        parts: list[Part] = [(kind, entry.namespace, name, target.version)]
        unseen: dict[str, list[str]] = {}  # what could not be examined, by the reason
        passing: list[Problem] = []

        def look(other_kind: str, other_name: str) -> Mapping[str, Any] | None:
            other = targets.get(other_kind, entry.namespace, other_name)
            part = (other_kind, entry.namespace, other_name)
            parts.append((*part, _version(targets, (*part, ""))))
            if other is not None:
                return other.unpack()
            if (problem := targets.unseen(other_kind, entry.namespace)) is not None:
                if problem in targets.passing:
                    passing.append(problem)
                unseen.setdefault(problem.message, []).append(f"{other_kind} {other_name}")
                raise Unreadable(problem.message)
            return None

        raw = target.unpack()
        started = [t for t in (trigger(item.unpack()) for item in triggers) if t is not None]
        definition = define(raw, look, namespace=entry.namespace, triggers=started)
        hidden = "".join(f"; {text.listing(item)} cannot be read: {why}" for why, item in unseen.items())
        cached = self._cache.get(entry.uid)
        if passing and cached is not None:  # the part that is seen is not analysed as if it were the whole
            kept, said = cached.resolved, hidden if passing[0].kind is ProblemKind.FORBIDDEN else ""
            whole = kept.definition  # as it was: what of it was changed since, by us too, is not known
            return replace(
                kept,
                definition=replace(whole, fingerprint=None) if whole is not None else None,
                finding=replace(kept.finding, message=f"{kept.finding.message}{said}"),
            )
        if passing and passing[0].kind is ProblemKind.UNAVAILABLE:
            return _absent(passing[0], kind, name, entry.namespace)
        if definition is None:
            resolved = _undefined(raw, kind, name)
        else:
            definition = self._steps.share(replace(definition, written=_written(targets, parts, triggers)))
            if unseen:  # a partial definition would look like a changed one
                definition = replace(definition, fingerprint=None)
            resolved = ResolvedDefinition(definition, _judge(definition, f"{kind} {name}", hidden))
        return self._remember(entry, tuple(dict.fromkeys(parts)), _parts(triggers), resolved)

    def keep_only(self, uids: frozenset[str]) -> None:
        """Forget profiles that are gone."""
        for uid in [u for u in self._cache if u not in uids]:
            del self._cache[uid]
        known = (cached.resolved.definition for cached in self._cache.values())
        self._steps.keep_only(definition for definition in known if definition is not None)
        self._faults.keep_only(uids)

    def _own(self, entry: CachedObject) -> ResolvedDefinition:
        """A profile that describes its workflow itself."""
        cached = self._cache.get(entry.uid)
        if cached is not None and cached.spec_text == entry.spec_text:
            return cached.resolved
        definition = define(as_document(entry))
        if definition is None:
            message = "the profile names no workflow; set one of workflowRef, runSelector, graph and podLabels"
            resolved = ResolvedDefinition(None, _finding(False, Reason.INVALID_SPEC, message))
        elif definition.pod_labels is not None:
            resolved = _by_labels(definition, definition.pod_labels)
        elif definition.engine == GRAPH and definition.graph.steps:
            resolved = _declared_graph(definition)
        else:
            message = "runs are picked by runSelector; the step graph is inferred from their times"
            if definition.run_selector:
                message += "; runs whose object is gone are only known by labels that their pods carry"
            resolved = ResolvedDefinition(definition, _finding(True, Reason.NO_DEFINITION, message))
        return self._remember(entry, (), (), resolved)

    def _remember(
        self, entry: CachedObject, parts: tuple[Part, ...], triggers: tuple[Part, ...], resolved: ResolvedDefinition
    ) -> ResolvedDefinition:
        resolved = replace(resolved, edition=fingerprint(resolved.definition, parts, triggers))
        self._cache[entry.uid] = _Cached(entry.spec_text, parts, triggers, resolved)
        return resolved


def _parts(objects: Sequence[Target]) -> tuple[Part, ...]:
    return tuple((*t.id, t.version) for t in objects)


def _written(targets: Targets, parts: Sequence[Part], triggers: Sequence[Target]) -> float | None:
    """When one of these objects was last written (unix seconds); None where that is not known of each."""
    found = {part: targets.get(*part[:3]) for part in parts}
    lacking = any(target is None and part[0] != CONFIG_MAPS.kind for part, target in found.items())
    times = [target.written[1] for target in (*found.values(), *triggers) if target is not None]
    return max(times) if all(times) and not lacking else None


def _version(targets: Targets, part: Part) -> str:
    """The object's version; for an object that was not listed, why it may exist all the same."""
    target = targets.get(*part[:3])
    if target is not None:
        return target.version
    problem = targets.unseen(part[0], part[1])
    return problem.message if problem is not None else ""


def _absent(problem: Problem | None, kind: str, name: str, namespace: str) -> ResolvedDefinition:
    if problem is not None:
        status = None if problem.kind is ProblemKind.UNAVAILABLE else False
        return ResolvedDefinition(None, _finding(status, _REASONS[problem.kind], problem.message))
    where = "" if kind in CLUSTER_KINDS else f" in namespace {namespace}"
    message = f"{kind} {name} does not exist{where}; create it, or correct or delete this profile"
    return ResolvedDefinition(None, _finding(False, Reason.NOT_FOUND, message))


def _undefined(raw: Mapping[str, Any], kind: str, name: str) -> ResolvedDefinition:
    """The object is there and defines no workflow of its own."""
    started = trigger(raw)
    if started is None:
        message = f"{kind} {name} defines no workflow the operator can read"
    else:
        message = (
            f"{kind} {name} only starts {started.target_kind} {started.target_name}; "
            "delete this profile or let workflowRef name that template"
        )
    return ResolvedDefinition(None, _finding(False, Reason.UNSUPPORTED, message))


def _by_labels(definition: WorkflowDefinition, labels: PodLabels) -> ResolvedDefinition:
    """A workflow recognised by labels of its pods."""
    if problems := definition.graph.problems:
        return ResolvedDefinition(
            None, _finding(False, Reason.INVALID_SPEC, f"{_listed(problems)}; correct spec.podLabels")
        )
    pods = text.plain(f"{definition.engine} pods of workflow {labels.value} (label {labels.workflow})")
    if not definition.graph.inferred:
        return ResolvedDefinition(definition, _judge(definition, f"{pods}, the declared graph"))
    message = f"{pods}; the step graph is inferred from the times of the runs"
    return ResolvedDefinition(definition, _finding(True, Reason.NO_DEFINITION, message))


def _declared_graph(definition: WorkflowDefinition) -> ResolvedDefinition:
    """A graph a person wrote is refused when it contradicts itself: which edge was meant cannot be guessed."""
    problems = definition.graph.problems
    if problems:
        return ResolvedDefinition(
            None, _finding(False, Reason.GRAPH_INVALID, f"{_listed(problems)}; correct spec.graph")
        )
    return ResolvedDefinition(definition, _judge(definition, "the graph"))


def _judge(definition: WorkflowDefinition, what: str, hidden: str = "") -> ConditionUpdate:
    """An engine's object with anomalies is analysed as far as it was understood. ``hidden``: what it refers to that could
    not be read."""
    problems = definition.graph.problems
    if problems:
        message = f"{what} is analyzed as far as it was understood: {_listed(problems)}{hidden}"
        return _finding(False, Reason.UNSUPPORTED, message)
    return _finding(True, Reason.FOUND, f"{what} with {text.count(len(definition.graph.steps), 'step')}{hidden}")


def _listed(problems: tuple[str, ...]) -> str:
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    return "; ".join(problems[:3]) + more


def _finding(status: bool | None, reason: Reason, message: str) -> ConditionUpdate:
    return ConditionUpdate(ConditionType.TARGET_RESOLVED, status, reason, message)


_WAITS = ResolvedDefinition(None, _finding(None, Reason.PENDING, WAITS), waits=True)
