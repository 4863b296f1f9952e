"""Whether pods would be refused for a request that a rollback writes, by LimitRanges that were changed since. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from concertmaster.core.changes.admission.limits import LimitRange
from concertmaster.core.changes.operations import tested, written
from concertmaster.core.model.amounts import quantity
from concertmaster.core.model.engines import ObjectKind
from concertmaster.core.text import resource_amount


def outside_ranges(
    kind: ObjectKind | None, operations: Sequence[Mapping[str, Any]], ranges: Iterable[LimitRange]
) -> str | None:
    """The first request that the rollback ``operations`` would set and a LimitRange for containers refuses, as a sentence;
    None when there is none. One that refuses the present request as well is no reason to keep it."""
    present, bounds = tested(operations), [r for r in ranges if r.scope == "Container"]
    for pointer, value in written(operations).items():
        resource = kind.resource(pointer) if kind is not None else None
        new, old = quantity(value), quantity(present.get(pointer))
        if resource is None or resource == "parallelism" or new is None or old is None:
            continue
        for one in bounds:
            most, least = one.most.get(resource), one.least.get(resource)
            if most is not None and new > most >= old:
                word, bound = "above the maximum", most
            elif least is not None and new < least <= old:
                word, bound = "below the minimum", least
            else:
                continue
            amount = resource_amount(resource, bound)
            return f"{resource} request {value} would be {word} {amount} that LimitRange {one.name} sets"
    return None
