"""Usage of a container over its runs against request and limit, and against what is recommended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from concertmaster.core import text
from concertmaster.core.model.scalars import Quantity
from concertmaster.report.workflows.list_entries import item_of

_WIDTH = 320.0


@dataclass(frozen=True, slots=True)
class UsageBar:
    """One resource of one container. Positions in a box of ``width``: least, quartiles and largest use; request, limit and
    proposed request (None: not set, not known, or not recommended)."""

    step: str
    container: str
    resource: str
    spread: tuple[float, ...]
    request: float | None
    limit: float | None
    proposed: float | None
    text: str
    width: float = _WIDTH


def usage_bars(steps: Sequence[Mapping[str, Any]], items: Iterable[str]) -> list[UsageBar]:
    """One bar per container and resource that was sampled. ``items``: lines of right-sizing recommendations."""
    proposed = {(i["step"], i["container"], i["field"]): _amount(i["new"]) for line in items if (i := item_of(line))}
    bars = []
    for step in steps:
        for c in step.get("containers") or ():
            for resource, unit in (("cpu", "Cores"), ("memory", "Bytes")):
                spread = [v for v in c.get(f"{resource}Spread") or () if isinstance(v, int | float)]
                if len(spread) == 5:
                    new = proposed.get((step["name"], c["name"], f"requests.{resource}"))
                    request, limit = c.get(f"{resource}Request{unit}"), c.get(f"{resource}Limit{unit}")
                    bars.append(_bar(str(step["name"]), str(c["name"]), resource, spread, request, limit, new))
    return bars


def _bar(
    step: str,
    container: str,
    resource: str,
    spread: Sequence[float],
    request: float | None,
    limit: float | None,
    new: float | None,
) -> UsageBar:
    most = max(v for v in (*spread, request, limit, new, 1e-9) if v is not None)
    scale = (_WIDTH - 4) / most

    def at(value: float | None) -> float | None:
        return None if value is None else round(2 + value * scale, 1)

    show = text.cpu if resource == "cpu" else text.memory
    exact = text.cpu if resource == "cpu" else text.memory_quantity
    what = "mean" if resource == "cpu" else "peak"
    figures = [f"{what} per run: median {show(spread[2])}, {show(spread[0])} to {show(spread[4])}"]
    figures.append(f"request {exact(request)}" if request is not None else "no request")
    figures += [f"limit {exact(limit)}"] if limit is not None else []
    figures += [f"recommended request {exact(new)}"] if new is not None else []
    return UsageBar(
        step,
        container,
        resource,
        tuple(at(v) or 0.0 for v in spread),
        at(request),
        at(limit),
        at(new),
        "; ".join(figures),
    )


def _amount(shown: str | None) -> float | None:
    try:
        return Quantity(shown).cores if shown else None
    except ValueError:
        return None
