"""Building blocks of the snippets that set sizes where a workflow is defined."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence

from concertmaster.core.model.scalars import Quantity
from concertmaster.core.units import MIB

COMPUTE = ("cpu", "memory")
NODE = (*COMPUTE, "ephemeral-storage")


def sections(values: Mapping[str, str], only: Collection[str] = ()) -> dict[str, dict[str, str]]:
    """Convert ``{"requests.cpu": "1"}`` to the form of Kubernetes resources: by section, requests first; restricted to
    the resources ``only``, if any."""
    resources: dict[str, dict[str, str]] = {}
    for section in ("requests", "limits"):
        named = [key.removeprefix(f"{section}.") for key in values if key.startswith(f"{section}.")]
        named = [resource for resource in named if not only or resource in only]
        if named:
            order = sorted(named, key=lambda resource: (resource not in ("cpu", "memory"), resource))
            resources[section] = {resource: values[f"{section}.{resource}"] for resource in order}
    return resources


def arguments(values: Mapping[str, str]) -> str:
    """Requests and limits as Python keyword arguments, each a dict."""
    return ", ".join(f"{section}={json.dumps(amounts)}" for section, amounts in sections(values).items())


def yaml_lines(values: Mapping[str, str], indent: int) -> list[str]:
    """Lines of ``resources:`` in YAML."""
    lines = ["resources:"]
    for section, amounts in sections(values).items():
        lines += [f"  {section}:", *(f"    {resource}: {amount}" for resource, amount in amounts.items())]
    return indented(lines, indent)


def indented(lines: Sequence[str], by: int) -> list[str]:
    """The lines, each further in by so many spaces."""
    return [" " * by + line for line in lines]


def mebibytes(amount: str) -> int:
    """A memory quantity in MiB, rounded up."""
    return math.ceil(Quantity(amount).bytes / MIB - 1e-9)


def whole_cores(amount: str) -> int:
    """A CPU quantity in cores, rounded up, at least 1."""
    return max(1, math.ceil(Quantity(amount).cores - 1e-9))


def joined(blocks: Sequence[Sequence[str]]) -> str | None:
    """Join blocks of lines into one text; None if there are none."""
    return "\n".join("\n".join(block) for block in blocks if block) or None
