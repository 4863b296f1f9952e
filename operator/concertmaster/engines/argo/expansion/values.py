"""Values of parameters that are known before a run: defaults of the workflow, and what tasks pass on to the templates they
call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from concertmaster.engines.argo.expansion.templates import ResolvedTemplate
from concertmaster.engines.common.manifest import Problems, mapping, text
from concertmaster.engines.common.objects import mappings

# Characters that values may add to a text; beyond, they are not put in.
MAX_TEXT = 1_000_000
_MAX_PASSED = 2_000  # characters of a value that is passed on: it may be to thousands of calls
_PARAMETER = re.compile(r"\{\{\s*((?:workflow|inputs)\.parameters\.[\w.-]+)\s*\}\}")


@dataclass(frozen=True, slots=True)
class KnownValues:
    """``known``: values by reference (``workflow.parameters.x``, ``inputs.parameters.x``); ``assumed``: the references of
    those that a run may override."""

    known: Mapping[str, str]
    assumed: frozenset[str] = frozenset()

    def put_in(self, value: str) -> str:
        """``value`` with every reference replaced by its value, if it has one."""
        if "{{" not in value or sum(len(self.known.get(r, "")) for r in references_in(value)) > MAX_TEXT:
            return value
        return _PARAMETER.sub(lambda m: self.known.get(m.group(1), m.group(0)), value)

    def assumes(self, value: str) -> bool:
        """Whether what ``value`` becomes may be another in a run."""
        return "{{" in value and not self.assumed.isdisjoint(references_in(value))

    def passed(
        self, called: ResolvedTemplate, arguments: object, where: str, problems: Problems, *, of_run: bool = False
    ) -> KnownValues:
        """The values inside a template that is called with these ``arguments``. ``of_run``: they are those of the workflow
        itself, which a run may override and add to. One without a name is written where it is called, and reads the inputs
        there: Argo puts in what the caller knows before it looks at the inputs of the template itself."""
        rows = _parameters(called.body.get("inputs"), f"{where} inputs", problems)
        if not rows and (not called.name or not any(r.startswith("inputs.") for r in self.known)):
            return self
        given = _parameters(arguments, f"{where} arguments", problems)
        known = {r: v for r, v in self.known.items() if not called.name or r.startswith("workflow.")}
        assumed = set(self.assumed.intersection(known))
        for name, row in rows.items():
            reference = f"inputs.parameters.{name}"
            if reference in known:  # of a template written where it is called
                continue
            written = text(_supplied(row, given.get(name)), f"{where} {name}", problems) or "{{"
            filled = self.put_in(written)
            if "{{" in filled or len(filled) > _MAX_PASSED:
                continue
            known[reference] = filled
            if of_run or self.assumes(written):
                assumed.add(reference)
        return KnownValues(known, frozenset(assumed))


NO_VALUES = KnownValues({})


def of_workflow(arguments: object, problems: Problems) -> KnownValues:
    """The default values of a workflow's parameters."""
    known: dict[str, str] = {}
    for name, row in _parameters(arguments, "spec.arguments", problems).items():
        value = text(row.get("value", row.get("default")), f"parameter {name}", problems)
        if value is not None:
            known[f"workflow.parameters.{name}"] = value
    return KnownValues(known, frozenset(known))


def references_in(value: str) -> list[str]:
    """The parameters that ``value`` refers to."""
    return _PARAMETER.findall(value)


def _supplied(declared: Mapping[str, Any], argument: Mapping[str, Any] | None) -> object:
    """The value of an input, as ProcessArgs in workflow/common/util.go takes it. None where it is only known at run time,
    for example from a ConfigMap: an argument without a value replaces what the template declares all the same."""
    if argument is not None:
        value = argument.get("value")
    elif declared.get("valueFrom"):
        value = None
    else:
        value = declared.get("value", declared.get("default"))
    return None if isinstance(value, dict | list) else value


def _parameters(holder: object, where: str, problems: Problems) -> dict[str, Mapping[str, Any]]:
    rows = mappings(mapping(holder, where, problems).get("parameters"), f"{where}.parameters", problems)
    return {str(row["name"]): row for row in rows if row.get("name")}
