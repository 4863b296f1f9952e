"""The chart's RBAC rules for engines' objects, and the values that enable them, generated from the registry."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from concertmaster.core.model import ObjectKind
from concertmaster.core.text import listing
from concertmaster.engines.base import PODS, Engine
from concertmaster.engines.registry import ENGINES

_HEAD = "{{- /* Made by python -m charts.sync from the engines' declarations. */ -}}\n"
_VALUES = re.compile(r"^engines:\n(?:  .*\n)+", re.MULTILINE)

Rule = tuple[str, tuple[str, ...], str]  # API group, plurals, verbs


def switches() -> dict[str, list[Engine]]:
    """The engines enabled by each value below ``engines``."""
    by_name: dict[str, list[Engine]] = {}
    for engine in ENGINES:
        if engine.chart is not None:
            by_name.setdefault(engine.chart.name, []).append(engine)
    return by_name


def values(text: str) -> str:
    """The text of values.yaml with an updated section ``engines``."""
    lines = ["engines:"]
    for name, engines in switches().items():
        kinds = [kind for e in engines if e.chart is not None for kind in e.chart.reads]
        reads = listing(kinds, limit=len(kinds))
        lines += [f"  # -- Read {reads}.", f"  {name}: true"]
    return _VALUES.sub("\n".join(lines) + "\n", text)


def template() -> str:
    """Named templates: rules for definitions, for cluster-scoped definitions and for runs, and those of
    apply.namespaces."""
    parts: dict[str, Callable[[Engine], Iterable[Rule]]] = {
        "definitions": lambda e: _rules(_definitions(e, namespaced=True), "list"),
        "clusterDefinitions": lambda e: _rules(_definitions(e, namespaced=False), "list"),
        "runs": _runs,
        "changes": _changes,
    }
    return _HEAD + "\n".join(
        f'{{{{- define "concertmaster.engines.{name}" -}}}}\n{_switched(rules)}{{{{- end -}}}}\n'
        for name, rules in parts.items()
    )


def _definitions(engine: Engine, *, namespaced: bool) -> list[ObjectKind]:
    """Kinds that must be listed: discoverable ones, and those they refer to."""
    companions = {kind for kinds in engine.companions.values() for kind in kinds}
    listed = (k for k in engine.traits.kinds if k.short is not None or k.kind in companions)
    return [kind for kind in listed if kind.namespaced is namespaced]


def _runs(engine: Engine) -> Iterator[Rule]:
    for kind in engine.run_kinds:
        yield from _rules([kind.object], "list, watch")
        yield from _rules([kind.children] if kind.children is not None else [], "list")
    yield from _rules([PODS] if engine.watches_pods else [], "list, watch")


def _changes(engine: Engine) -> Iterator[Rule]:
    yield from _rules([k for k in _definitions(engine, namespaced=True) if k.fields], "get, patch")
    yield from _rules([engine.active_runs.kind] if engine.active_runs is not None else [], "list")


def _rules(kinds: Iterable[ObjectKind], verbs: str) -> Iterator[Rule]:
    groups: dict[str, list[str]] = {}
    for kind in kinds:
        groups.setdefault(kind.group, []).append(kind.plural)
    for group, plurals in groups.items():
        yield group, tuple(plurals), verbs


def _switched(rules: Callable[[Engine], Iterable[Rule]]) -> str:
    out = ""
    for name, engines in switches().items():
        own = dict.fromkeys(rule for engine in engines for rule in rules(engine))
        if own:
            out += f"{{{{- if .Values.engines.{name} }}}}\n{''.join(map(_written, own))}{{{{- end }}}}\n"
    return out


def _written(rule: Rule) -> str:
    group, plurals, verbs = rule
    return f"- apiGroups: [{group or chr(34) * 2}]\n  resources: [{', '.join(plurals)}]\n  verbs: [{verbs}]\n"
