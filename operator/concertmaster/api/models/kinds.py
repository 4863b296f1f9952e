"""The kinds of objects that resources may name: what the engines declare, as fields and rules of the CRDs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from concertmaster.api.models.base import rule
from concertmaster.core.model import ObjectKind
from concertmaster.engines.registry import ENGINES

TARGETS = tuple(kind for engine in ENGINES for kind in engine.traits.kinds if kind.short is not None)
RUNS = tuple(kind.object for engine in ENGINES if engine.traits.kinds for kind in engine.run_kinds)

if TYPE_CHECKING:
    TargetVersion = str
    TargetKind = str
    RunVersion = str
    RunKind = str
else:
    TargetVersion = Literal[tuple(dict.fromkeys(kind.api_version for kind in TARGETS))]
    TargetKind = Literal[tuple(kind.kind for kind in TARGETS)]
    RunVersion = Literal[tuple(dict.fromkeys(kind.api_version for kind in RUNS))]
    RunKind = Literal[tuple(kind.kind for kind in RUNS)]


def pair_rule(kinds: Iterable[ObjectKind], what: str) -> Any:
    """The CEL rule that ``kind`` belongs to ``apiVersion``. Both sides are short literals: an unknown pair is refused
    with the list of what can be observed."""
    names: dict[str, list[str]] = {}
    for kind in kinds:
        names.setdefault(kind.api_version, []).append(kind.kind)
    tests = {
        version: f"self.kind == '{rows[0]}'" if len(rows) == 1 else f"self.kind in [{', '.join(map(repr, rows))}]"
        for version, rows in names.items()
    }
    *versions, last = names
    expression = "".join(f"self.apiVersion == '{version}' ? {tests[version]} : " for version in versions) + tests[last]
    listed = ", ".join(
        f"{version} with {', '.join(rows[:-1])} or {rows[-1]}" if len(rows) > 1 else f"{version} with {rows[0]}"
        for version, rows in names.items()
    )
    return rule(expression, f"this apiVersion has no such {what}: use {listed}")
