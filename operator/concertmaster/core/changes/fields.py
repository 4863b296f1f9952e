"""The value a plan sets a field to: one step from the current value towards the recommended one."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from concertmaster.core import text
from concertmaster.core.changes import json_patch as jsonpatch
from concertmaster.core.changes.operations import limit_beside, named_members
from concertmaster.core.model import Edit, ObjectKind
from concertmaster.core.model.amounts import quantity, whole
from concertmaster.core.model.policy import Bounds

_MI = 1024.0**2
_MEMBERS = {"templates": "template", "tasks": "task", "finally": "task", "replicatedJobs": "replicated job"}  # of lists


class Refused(Exception):
    """A recommendation cannot be turned into a plan; the message is a sentence. ``changed``: the object has changed since
    the analysis, so that a new analysis may give a plan."""

    def __init__(self, message: str, *, changed: bool = False) -> None:
        super().__init__(message)
        self.changed = changed


@dataclass(frozen=True, slots=True)
class Setting:
    """One field set by a plan. ``place``: whose it is in the object, as text. Numbers are cores, bytes or pods; ``old``:
    current value (None: not set); ``limit``: limit of the same resource. ``source``: pointer of the inherited value
    elsewhere in the object, e.g. a stepTemplate that a Tekton step's own request overrides while other steps keep it.
    ``sure``: the evidence (many runs, or a verified first step) allows the full change at once."""

    pointer: str
    resource: str  # cpu, memory, parallelism
    place: str
    old: float | None
    new: float
    old_literal: object
    new_literal: object
    limit: float | None = None
    source: str | None = None
    sure: bool = False

    @property
    def change(self) -> float | None:
        """Relative change: -0.5 is half of it. None when nothing is set now."""
        return None if not self.old else self.new / self.old - 1.0


def describe(setting: Setting) -> str:
    """One setting as text."""
    name = {"cpu": "CPU request", "memory": "memory request", "parallelism": "parallelism"}[setting.resource]
    place = f" of {setting.place}" if setting.place else ""
    before = "nothing" if setting.old_literal is None else str(setting.old_literal)
    whose = " (of the stepTemplate)" if setting.source else ""
    return f"{name}{place} from {before}{whose} to {setting.new_literal}"


def resolve_setting(edit: Edit, raw: Mapping[str, Any], kind: ObjectKind, bounds: Bounds | None) -> Setting:
    """The setting of ``edit`` on the object ``raw``, limited by ``bounds``. Raises Refused."""
    resource = kind.resource(edit.pointer) or ""
    there, literal = jsonpatch.find(raw, edit.pointer)
    _check_unchanged(edit, resource, there, literal)
    if resource == "parallelism":
        new = whole(json.loads(edit.proposed or "null"))
        if new is None or new < 1:
            raise Refused(f"{edit.pointer}: {edit.proposed} is no number of pods")
        old = whole(literal)
        if there and literal is not None and old is None:
            raise Refused(f"{edit.pointer} is {literal!r}, which is no whole number")
        return Setting(edit.pointer, resource, _place(raw, edit.pointer), old, new, literal, new)
    source = None if there else kind.inherited(edit.pointer)
    if source is not None:
        there, literal = jsonpatch.find(raw, source)
        source = source if there else None
    amount = quantity(literal) if there else None
    proposed = quantity(edit.proposed)
    if (there and amount is None) or proposed is None or proposed <= 0:
        wrong = edit.proposed if proposed is None or proposed <= 0 else literal
        raise Refused(f"{edit.pointer}: {wrong!r} is no amount that can be changed, such as 500m or 2Gi")
    new_literal: object = edit.proposed
    if bounds is not None and amount is not None:
        new_literal = _step(resource, amount, proposed, bounds, edit, literal)
    return Setting(
        edit.pointer,
        resource,
        _place(raw, edit.pointer),
        amount,
        quantity(new_literal) or proposed,
        literal,
        new_literal,
        quantity(limit_beside(kind, edit.pointer, resource, raw)),
        source,
        edit.sure,
    )


def _place(raw: Mapping[str, Any], pointer: str) -> str:
    """Whose field it is, the innermost first: ``container main of template fetch``."""
    found = [f"{_MEMBERS.get(way[-2], 'container')} {name}" for way, name in named_members(raw, pointer)]
    return " of ".join(reversed(found))


def _check_unchanged(edit: Edit, resource: str, there: bool, literal: object) -> None:
    """Raises Refused when the field no longer has the value on which the recommendation is based."""
    expected: object = edit.current
    if resource == "parallelism" and edit.current is not None:
        expected = json.loads(edit.current)
    shown = literal if resource == "parallelism" or isinstance(literal, str) else json.dumps(literal)
    if (expected is not None, expected) != (
        there and literal is not None,
        shown if there and literal is not None else None,
    ):
        was = "absent" if expected is None else f"{expected!r}"
        now = "absent" if not there else f"{literal!r}"
        raise Refused(f"{edit.pointer} is {now} now and was {was} when the recommendation was made", changed=True)


def _step(resource: str, old: float, proposed: float, bounds: Bounds, edit: Edit, literal: object) -> object:
    """The literal one step towards ``proposed``, or ``proposed`` if within one step; ``literal``, the current one, when
    bounds and steps would lead away from it."""
    stepped = _bounded(resource, old, proposed, bounds, edit)
    return stepped if ((quantity(stepped) or proposed) - old) * (proposed - old) > 0 else literal


def _bounded(resource: str, old: float, proposed: float, bounds: Bounds, edit: Edit) -> str | None:
    limits = bounds.of(resource)
    if limits.min > limits.max:
        return edit.proposed  # reported by the bounds check
    target = min(max(proposed, limits.min), limits.max)
    near, far = (0.0, math.inf) if edit.sure else (old * (1.0 - bounds.max_step), old * (1.0 + bounds.max_step))
    if target == proposed and near <= proposed <= far:
        return edit.proposed
    write = text.cpu_quantity if resource == "cpu" else text.memory_quantity
    unit = 0.001 if resource == "cpu" else _MI
    if target < near:
        return write(near)
    if target > far:
        return write(max(unit, math.floor(far / unit + 1e-9) * unit))
    return write(target)


def progress(edit: Edit, setting: Setting) -> float:
    """Share of the recommended change that the setting covers, 0 to 1."""
    if setting.resource == "parallelism" or setting.old is None:
        return 1.0
    recommended = (quantity(edit.proposed) or setting.new) - setting.old
    return 1.0 if recommended == 0 else min(1.0, max(0.0, (setting.new - setting.old) / recommended))
