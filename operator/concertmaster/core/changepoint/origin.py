"""Is a step slower by itself, or only because it was given more to do?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from concertmaster.core.changepoint.detect import Numbers, prepare
from concertmaster.core.changepoint.inputs import input_effect
from concertmaster.core.changepoint.model import Detection
from concertmaster.core.stats.robust import median_difference

MINOR = 0.25  # a part below a quarter of the whole change is not worth a sentence


class OriginKind(StrEnum):
    """Where a change comes from. UNKNOWN: input sizes are not known for every run, or nothing can be told from them."""

    OWN = "Own"
    INHERITED = "Inherited"
    BOTH = "Both"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Origin:
    """A change point taken apart: its ratio is about ``own_ratio`` (of the step itself) times ``inherited_ratio`` (what
    its inputs explain). Both are NaN when unknown."""

    kind: OriginKind
    own_ratio: float = math.nan
    inherited_ratio: float = math.nan


UNKNOWN = Origin(OriginKind.UNKNOWN)


def origins(times: Numbers | None, values: Numbers, inputs: Numbers, changes: Detection) -> tuple[Origin, ...]:
    """One origin for each point of ``changes``, which must come from ``detect(times, values)`` without inputs."""
    series = prepare(times, values, inputs)
    if isinstance(series, str) or not series.is_log:
        return tuple(UNKNOWN for _ in changes.points)
    effect = input_effect(series.y, series.inputs)
    place = {int(original): i for i, original in enumerate(series.index)}
    edges = [0, *(place.get(point.index, -1) for point in changes.points), series.y.size]
    out = []
    for i, point in enumerate(changes.points):
        before, at, after = edges[i], edges[i + 1], edges[i + 2]
        if not 0 <= before < at < after:
            out.append(UNKNOWN)
        elif effect is None:
            known = bool((series.inputs[before:after] > 0).all())
            out.append(Origin(OriginKind.OWN, point.ratio, 1.0) if known else UNKNOWN)
        else:
            own = median_difference(
                series.y[before:at] - effect.explained[before:at], series.y[at:after] - effect.explained[at:after]
            )
            inherited = median_difference(effect.explained[before:at], effect.explained[at:after])
            if own is None or inherited is None:
                out.append(UNKNOWN)
                continue
            whole = abs(own.likely) + abs(inherited.likely)
            if abs(inherited.likely) < MINOR * whole:
                kind = OriginKind.OWN
            elif abs(own.likely) < MINOR * whole or own.low <= 0 <= own.high:
                kind = OriginKind.INHERITED
            else:
                kind = OriginKind.BOTH
            out.append(Origin(kind, math.exp(own.likely), math.exp(inherited.likely)))
    return tuple(out)
