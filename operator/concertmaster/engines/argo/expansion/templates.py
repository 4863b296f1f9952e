"""Argo templates: lookup of the template a task calls, and reading of leaf templates.

A template is defined in the same object, in another object (``templateRef``, read through a resolver so that this
module stays free of I/O), or inline in the task. Only templates of the same object can be patched through it: all
others have no JSON pointer. The workflow's ``templateDefaults`` apply to all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from concertmaster.core.fast_init import fast_replace
from concertmaster.core.model import ContainerSpec
from concertmaster.engines.argo.traits import sets_resources, template_kind
from concertmaster.engines.common.manifest import (
    Problems,
    Resolve,
    Unreadable,
    container,
    container_rows,
    flag,
    mapping,
    pointer,
    restarts,
    seconds,
    sequence,
    text,
    whole,
)
from concertmaster.engines.common.pod_level import pod_level
from concertmaster.engines.overlay import merged

_LEAVES = ("container", "script", "containerSet", "resource", "data", "suspend", "http", "plugin")
_KINDS = ("dag", "steps", *_LEAVES)
_POD = "podResources"
_PODLESS = frozenset({"suspend", "http", "plugin"})
_DECLARED = (
    "retryStrategy",
    "timeout",
    "activeDeadlineSeconds",
    "parallelism",
    "memoize",
    "inputs",
    "outputs",
    "metrics",
)


def _kind(template: Mapping[str, Any]) -> str | None:
    return next((kind for kind in _KINDS if template.get(kind) is not None), None)


@dataclass(frozen=True, slots=True)
class ResolvedTemplate:
    """A template and its origin. ``scope`` names the object it comes from, ``at`` is its JSON pointer (None: in another
    object). ``body`` is the template as it applies, with ``templateDefaults``; ``written`` as its author wrote it."""

    name: str
    body: Mapping[str, Any]
    scope: str
    at: str | None
    written: Mapping[str, Any]

    @property
    def kind(self) -> str | None:
        """dag, steps, one of the leaf kinds, or None if the template contains nothing to run."""
        return _kind(self.written)


@dataclass(slots=True)
class Templates:
    """All templates that one run, in ``namespace``, can reach, and the defaults that apply to them."""

    spec: Mapping[str, Any]
    scope: str
    at: str
    resolve: Resolve | None
    problems: Problems
    namespace: str
    foreign: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # specs of referenced objects, by scope
    _known: dict[str, dict[str, ResolvedTemplate]] = field(default_factory=dict)

    def named(self, scope: str, name: str) -> ResolvedTemplate | None:
        """The template ``name`` of the object ``scope``; None if missing."""
        return self._table(scope).get(name)

    def called(self, holder: Mapping[str, Any], scope: str, where: str, at: str | None) -> ResolvedTemplate | None:
        """The template that a task, step or hook calls; None (and a problem) if it is missing."""
        inline = holder.get("inline")
        if inline is not None:
            body = mapping(inline, f"{where}.inline", self.problems)
            return self._with_defaults("", body, scope, None if at is None else f"{at}/inline")
        if holder.get("templateRef") is not None:
            return self._referenced(mapping(holder["templateRef"], f"{where}.templateRef", self.problems), where)
        name = text(holder.get("template"), f"{where}.template", self.problems)
        if name is None:
            self.problems.add(f"{where} names no template")
            return None
        if "{{" in name:
            self.problems.add(f"{where}: template {name} is only known at run time")
            return None
        template = self.named(scope, name)
        if template is None:
            self.problems.add(f"{where} calls template {name!r}, which {scope} does not define")
        return template

    def _referenced(self, ref: Mapping[str, Any], where: str) -> ResolvedTemplate | None:
        name = text(ref.get("name"), f"{where}.templateRef.name", self.problems)
        template = text(ref.get("template"), f"{where}.templateRef.template", self.problems)
        if name is None or template is None:
            self.problems.add(f"{where}.templateRef needs name and template")
            return None
        kind = template_kind(ref)
        scope = f"{kind} {name}"
        if scope != self.scope and scope not in self.foreign:
            try:
                raw = self.resolve(kind, name) if self.resolve is not None else None
            except Unreadable:
                self.problems.add(f"{where} refers to template {template!r} of {scope}, which cannot be read")
                return None
            if raw is None:
                self.problems.add(f"{where} refers to template {template!r} of {scope}, which cannot be found")
                return None
            self.foreign[scope] = mapping(
                mapping(raw, scope, self.problems).get("spec"), f"{scope}.spec", self.problems
            )
        called = self.named(scope, template)
        if called is None:
            self.problems.add(f"{where} refers to template {template!r}, which {scope} does not define")
        return called

    def _table(self, scope: str) -> dict[str, ResolvedTemplate]:
        if scope not in self._known:
            own = scope == self.scope
            spec = self.spec if own else self.foreign.get(scope, {})
            table: dict[str, ResolvedTemplate] = {}
            for i, raw in enumerate(sequence(spec.get("templates"), f"{scope} templates", self.problems)):
                body = mapping(raw, f"{scope} templates[{i}]", self.problems)
                name = text(body.get("name"), f"{scope} templates[{i}].name", self.problems)
                if name is None:
                    self.problems.add(f"{scope} templates[{i}] has no name: it is ignored")
                elif name in table:
                    self.problems.add(f"{scope} defines template {name!r} twice: the first one is used")
                else:
                    at = f"{self.at}{pointer('templates', i)}" if own else None
                    table[name] = self._with_defaults(name, body, scope, at)
            self._known[scope] = table
        return self._known[scope]

    def _with_defaults(self, name: str, written: Mapping[str, Any], scope: str, at: str | None) -> ResolvedTemplate:
        """A template with the workflow's ``templateDefaults``, of which those for another kind of template do not apply."""
        defaults, kind = self.defaults, _kind(written)
        fitting = {k: v for k, v in defaults.items() if k == kind or k not in _KINDS}
        return ResolvedTemplate(name, merged(written, fitting) if fitting else written, scope, at, written)

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The workflow's ``templateDefaults``."""
        return mapping(self.spec.get("templateDefaults"), "templateDefaults", self.problems)

    def retries(self, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The effective retry strategy; an empty one counts. The workflow's own applies to every template without
        one."""
        strategy = body.get("retryStrategy")
        if strategy is None:
            strategy = self.spec.get("retryStrategy")
        return None if strategy is None else mapping(strategy, "retryStrategy", self.problems)

    def retry_limit(self, body: Mapping[str, Any], where: str) -> int | None:
        """How often a template is retried at most; None without a limit, or with one that is only known at run time."""
        retry = self.retries(body)
        return 0 if retry is None else whole(retry.get("limit"), f"{where}.retryStrategy.limit", self.problems)


@dataclass(frozen=True, slots=True)
class LeafTemplate:
    """What one leaf template runs. ``retry_limit``: 0 without retries, None if unlimited or only known at run time."""

    containers: tuple[ContainerSpec, ...] = ()
    pod: ContainerSpec | None = None
    retry_limit: int | None = 0
    timeout_seconds: float | None = None
    has_timeout: bool = False
    memoized: bool = False
    daemon: bool = False
    podless: bool = False  # suspend, http, plugin: run by the controller or its agent
    creates: bool = False  # resource: its pod creates an object and waits for its conditions


def read_leaf(called: ResolvedTemplate, templates: Templates, where: str) -> LeafTemplate:
    """Read a leaf template: containers with requests and JSON pointers, retries, timeouts, cache."""
    body, problems = called.body, templates.problems
    kind = called.kind
    if kind is None:
        problems.add(f"{where}: template {called.name!r} has nothing to run")
    limits = [body.get("timeout"), body.get("activeDeadlineSeconds")]
    known = [t for t in (seconds(v, f"{where} timeout", problems) for v in limits) if t is not None]
    containers = _containers(called, templates, where)
    return LeafTemplate(
        containers=containers,
        pod=None if kind in _PODLESS else _pod_level(called, containers, templates, where),
        retry_limit=templates.retry_limit(body, where),
        timeout_seconds=min(known, default=None),
        has_timeout=any(v not in (None, "") for v in limits),
        memoized=body.get("memoize") is not None,
        daemon=flag(body.get("daemon")),
        podless=kind in _PODLESS,
        creates=kind == "resource",
    )


def declared(called: ResolvedTemplate) -> dict[str, object]:
    """The template's fields that recommendations set, as literally declared."""
    return {key: called.written[key] for key in _DECLARED if called.written.get(key) is not None}


def resources_patched(called: ResolvedTemplate, templates: Templates) -> str | None:
    """Whether a podSpecPatch "sets" or "may set" resources, None if it does not: it is applied last and overrides the
    template's own values."""
    found = {sets_resources(holder.get("podSpecPatch")) for holder in (templates.spec, called.body)}
    return next((said for said in ("sets", "may set") if said in found), None)


def _pod_level(
    called: ResolvedTemplate, containers: tuple[ContainerSpec, ...], templates: Templates, where: str
) -> ContainerSpec | None:
    """Pod-level resources of the template: its own over those of templateDefaults, else the workflow's."""
    problems = templates.problems
    base = None if called.at is None or resources_patched(called, templates) else called.at
    whole_spec = None if base is None else templates.at
    places = (
        (called.written, base),
        (templates.defaults, None if whole_spec is None else f"{whole_spec}/templateDefaults"),
        (templates.spec, whole_spec),
    )
    for spec, at in places:
        own = spec.get(_POD)
        if own is not None:
            applied = {**called.body, _POD: called.body.get(_POD) or own}
            pod = pod_level(applied, containers, where, problems, at=at, field=_POD)
            if pod is not None:  # what is written there is what a change replaces
                literal = container({_POD: own}, where, problems, at=None, resources_field=_POD).resources
                pod = fast_replace(pod, resources=literal)
            return pod
    return None


def _containers(called: ResolvedTemplate, templates: Templates, where: str) -> tuple[ContainerSpec, ...]:
    """Containers of a leaf template. Only what is written in the template itself has a pointer."""
    body, problems = called.body, templates.problems
    set_by = "podSpecPatch" if resources_patched(called, templates) else None
    base = None if set_by else called.at

    def one(whole: object, *path: str | int, name: str | None = None, **kind: bool) -> ContainerSpec:
        here = f"{where}: " + ".".join(str(p) for p in path)
        own = _at(called.written, path)
        at = None if base is None or own is None else base + pointer(*path)
        declared = container(whole if own is None else own, here, problems, at=at,
                             defaults=None if whole is own else mapping(whole, here, problems))  # fmt: skip
        if kind or set_by or (name and name != declared.name):
            return fast_replace(declared, name=name or declared.name, set_by=set_by, **kind)
        return declared

    out: list[ContainerSpec] = []
    if body.get("container") is not None:
        out.append(one(body["container"], "container", name="main"))
    elif body.get("script") is not None:
        out.append(one(body["script"], "script", name="main"))
    elif body.get("containerSet") is not None:
        rows = mapping(body["containerSet"], f"{where}.containerSet", problems).get("containers")
        for i, raw in enumerate(container_rows(rows, f"{where}.containerSet.containers", problems)):
            out.append(one(raw, "containerSet", "containers", i))
    for i, raw in enumerate(container_rows(body.get("sidecars"), f"{where}.sidecars", problems)):
        out.append(one(raw, "sidecars", i, sidecar=True))
    for i, raw in enumerate(container_rows(body.get("initContainers"), f"{where}.initContainers", problems)):
        beside = restarts(raw)
        out.append(one(raw, "initContainers", i, sidecar=beside, init=not beside, native=beside))
    return tuple(out)


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    """The value at ``path``; None if there is none."""
    for key in path:
        if isinstance(key, int):
            value = value[key] if isinstance(value, list | tuple) and key < len(value) else None
        else:
            value = value.get(key) if isinstance(value, Mapping) else None
    return value
